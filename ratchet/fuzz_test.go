package ratchet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// pinned reads the vectors for seeds.
func pinned(tb testing.TB) []vector {
	tb.Helper()
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		tb.Fatal(err)
	}
	var doc vectorDoc
	if err := json.Unmarshal(b, &doc); err != nil {
		tb.Fatal(err)
	}
	return doc.Vectors
}

// FuzzMessage gives any bytes to a receiver: nothing but an authentic message
// opens, and nothing refused changes the state.
func FuzzMessage(f *testing.F) {
	var state State
	var text []byte
	genuine := map[string]bool{}
	seeds := 0
	for _, v := range pinned(f) {
		for _, st := range v.Steps {
			if st.Message != nil {
				f.Add([]byte(st.Message), []byte(st.AD))
				seeds++
			}
		}
		if v.Name == "duplicate" {
			s, err := ParseRecord(v.State)
			if err != nil {
				f.Fatal(err)
			}
			state, text = s, []byte("hello")
		}
		switch v.Reason {
		case "ErrBadKey", "ErrRolledBack", "ErrTooFarAhead", "ErrEpoch":
			continue // sealed under the keys of this very state, by a rogue peer
		}
		if v.Function == "open" {
			f.Add([]byte(v.Message), []byte(v.AD))
			seeds++
		}
		if v.Function == "conversation" && len(genuine) == 0 {
			genuine[string(v.Steps[0].Message)] = true // hello
			genuine[string(v.Steps[1].Message)] = true // empty
		}
	}
	if seeds < 20 || state.SkippedCount() == 0 || text == nil {
		f.Fatal("no seeds")
	}
	before := state.AppendRecord(nil)
	f.Fuzz(func(t *testing.T, message, ad []byte) {
		w, err := ParseMessage(message)
		if err == nil {
			again := append([]byte{w.Type}, w.Salt...)
			again = append(append(again, w.Header...), byte(len(w.Disclosed)))
			for _, s := range w.Disclosed {
				again = append(again, s[:]...)
			}
			again = append(append(again, w.Body...), w.Tag...)
			if !bytes.Equal(again, message) {
				t.Error("parsed parts are not the message")
			}
		}
		o, openErr := state.Open(message, ad, time.Unix(1_800_000_010, 0))
		switch {
		case openErr == nil && (err != nil || !genuine[string(message)] || !bytes.Equal(ad, vectorAD)):
			t.Error("opened what nobody sealed")
		case openErr == nil && o.Next.SkippedCount() != state.SkippedCount()-1:
			t.Error("opened without using a key")
		case err != nil && openErr != err:
			t.Error("Open and ParseMessage differ", openErr, err)
		}
		if !bytes.Equal(state.AppendRecord(nil), before) {
			t.Error("the state has changed")
		}
	})
}

// FuzzRecord gives any bytes to the record's parser: what it accepts is written
// as it was read, in both forms, and works.
func FuzzRecord(f *testing.F) {
	seeds := 0
	for _, v := range pinned(f) {
		for _, b := range []octets{v.State, v.Initiator, v.Responder} {
			if b != nil {
				f.Add([]byte(b))
				seeds++
			}
		}
		for _, st := range v.Steps {
			if st.State != nil {
				f.Add([]byte(st.State))
				seeds++
			}
		}
	}
	if seeds < 20 {
		f.Fatal("no seeds")
	}
	message := make([]byte, Overhead)
	message[0] = TypeMessage
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseRecord(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.AppendRecord(nil), b) {
			t.Error("written otherwise than read")
		}
		if j, err := Join(s.AppendHead(nil), s.AppendSkipped(nil)); err != nil || !bytes.Equal(j.AppendRecord(nil), b) {
			t.Error("the parts do not join", err)
		}
		if _, err := s.Open(message, nil, time.Unix(0, 0)); err == nil {
			t.Error("opened zeros")
		}
		if x, err := s.Seal([]byte("text"), nil); err == nil {
			if _, err := ParseRecord(x.Next.AppendRecord(nil)); err != nil {
				t.Error("the next state is no state", err)
			}
			if _, err := ParseMessage(x.Message); err != nil {
				t.Error("the message is no message", err)
			}
		}
		e, _ := s.Expire(time.Unix(1<<40, 0)) // times in the future become this
		if e, _ = e.Expire(time.Unix(1<<41, 0)); e.SkippedCount() != 0 {
			t.Error("keys that never expire")
		}
	})
}

// FuzzStory turns bytes into a story (story_test.go): one choice a byte.
func FuzzStory(f *testing.F) {
	f.Add([]byte("\x00\x01\x02 alice writes, bob answers, much is lost"))
	f.Add(bytes.Repeat([]byte{0, 0, 7, 1, 4, 0, 1, 0, 3, 9, 0, 4}, 20))
	f.Add(bytes.Repeat([]byte{1, 15, 6, 5, 3, 0, 4, 1, 12, 13, 2}, 20))
	long := make([]byte, 600)
	for i := range long {
		long[i] = byte(i * i >> 3)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 600 {
			return
		}
		// The bytes give out in the end; then every choice is 0.
		w := newStory(func(n int) int {
			if len(b) == 0 {
				return 0
			}
			c := b[0]
			b = b[1:]
			return int(c) % n
		})
		for len(b) > 0 {
			if err := w.act(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.disclosedIsDead(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzPiece lets a peer that has all keys end bodies as it likes, in messages of
// both directions in turn: each text arrives, each state is one that is read again,
// and the conversation goes on (R-RAT-45).
func FuzzPiece(f *testing.F) {
	genuine := func() (pieces [][]byte) {
		c := newCourse(f, 1)
		for n := range 12 {
			from := n % 2
			sent := c.sides[from].braid.Send(1300, new([64]byte))
			c.sides[from].braid = sent.Next
			c.sides[from].wait(&sent.Secret)
			pieces = append(pieces, sent.Piece)
			o, err := c.sides[1-from].braid.Receive(sent.Piece)
			if err != nil {
				f.Fatal(err)
			}
			c.sides[1-from].braid = o.Next
		}
		return pieces
	}()
	for i, p := range genuine {
		f.Add(append([]byte("text\x00\x00"), p...), uint16(len(p)), uint8(i))
	}
	f.Add([]byte("text"), uint16(5), uint8(0))
	f.Add([]byte{0, 0, 0, 1, 3, 1, 0, 0}, uint16(8), uint8(3))
	f.Add([]byte{}, uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, length uint16, rounds uint8) {
		if len(body) > 4000 {
			return
		}
		c := newTalk(t)
		c.rounds(1)
		c.pass(&c.alice, &c.bob, "turn")
		for range rounds % 16 {
			c.pass(&c.bob, &c.alice, padded("x", 700))
			c.pass(&c.alice, &c.bob, padded("x", 700))
		}
		body = binary.BigEndian.AppendUint16(bytes.Clone(body), length)
		from, to := &c.alice, &c.bob
		for range 2 {
			o := c.open(to, withPiece(t, from, body))
			n := int(length)
			whole := n < 5 || n > 1259 || n+2 > len(body)
			want := bytes.Clone(body)
			if !whole {
				clear(want[len(want)-2-n:])
			} else if o.PieceRefused == nil {
				t.Fatal("no piece, and nothing said of it")
			}
			if !bytes.Equal(o.Plaintext, want) {
				t.Fatalf("%q arrives as %q", want, o.Plaintext)
			}
			s, err := ParseRecord(to.AppendRecord(nil))
			if err != nil || !bytes.Equal(s.AppendRecord(nil), to.AppendRecord(nil)) {
				t.Fatal("a state that is not read", err)
			}
			*to = s
			from, to = to, from
		}
		for range 8 {
			c.pass(&c.bob, &c.alice, padded("on", 700))
			c.pass(&c.alice, &c.bob, padded("on", 700))
		}
	})
}
