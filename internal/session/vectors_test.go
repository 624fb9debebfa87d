package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

type encoded struct {
	CDDL    string `json:"cddl"`
	Encoded string `json:"encoded"`
	Refuses bool   `json:"cddl_refuses,omitempty"`
}

type vector struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Reason  string   `json:"reason,omitempty"`
	Record  *encoded `json:"record,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	// Which of two sessions is used: the active one, one that something new
	// arrives on, and what is active afterwards.
	Active  *side  `json:"active,omitempty"`
	Arrives *side  `json:"arrives,omitempty"`
	Then    string `json:"then,omitempty"` // active or arrives
}

type side struct {
	ID        string `json:"id"`
	Initiator bool   `json:"initiator"`
	Answered  bool   `json:"answered"`
	New       bool   `json:"new,omitempty"` // the message begins it
	Started   int64  `json:"started_ms"`
	Elsewhere uint8  `json:"elsewhere"`
}

// fixed is a 32-byte value for a name.
func fixed(name string) [32]byte { return sha256.Sum256([]byte(name)) }

// ratchetHead assembles a ratchet record's head from fixed values: of an
// initiator before the first answer, or of somebody who has received one
// message and not replied.
func ratchetHead(received bool) []byte {
	var b []byte
	put := func(names ...string) {
		for _, n := range names {
			k := fixed(n)
			b = append(b, k[:]...)
		}
	}
	number := func(n uint32) { b = binary.BigEndian.AppendUint32(b, n) }
	private := x3dh.PrivateKeyFromBytes(fixed("ratchet key"))
	// The exchange at its beginning: nothing mixed in, no secret waits.
	exchange := func(side, turn byte, in ...byte) {
		b = append(b, 0, 0, 0, 0, 0, 1, side, 0, 0, 0, 1)
		put("authentication key")
		b = append(append(b, turn), in...)
	}
	b = append(b, 2)
	b = binary.BigEndian.AppendUint64(b, 0) // generation
	b = binary.BigEndian.AppendUint64(b, 1) // step
	put("root")
	if !received {
		b = append(b, 0, 3) // unanswered, sending
		put("ratchet key")
		b = append(b, private.Public().Bytes()...)
		put("header cipher", "mac seed", "chain key")
		number(2)
		number(0)
		put("next header", "following")
		b = append(b, 0, 0) // no chains, nothing owed
		exchange(1, 1)
		return b
	}
	b = append(b, 1, 2) // unanswered, replying
	b = append(b, private.Public().Bytes()...)
	put("next header")
	number(0)
	put("following")
	b = append(b, 1)
	put("chain key")
	b = binary.BigEndian.AppendUint64(b, 1)
	put("header cipher", "mac seed")
	number(0) // epoch
	number(1)
	number(0)
	b = append(b, 0)
	exchange(2, 3, 0, 0)
	return b
}

func vectors() []vector {
	skipped := append([]byte{2}, make([]byte, 9)...)
	id, ad := fixed("id"), fixed("associated data")
	initial := []byte("an initial message")
	own := x3dh.SessionID(initial)
	unanswered := record{
		Version: 1, ID: own[:], Rank: 3, Initiator: true, Initial: initial, AD: ad[:], Strength: 4,
		Started: 1_800_000_000_000, Heard: 1_800_000_000_000, LastUsed: 1_800_000_001_234, Elsewhere: 15, Head: ratchetHead(false),
	}
	answered := record{
		Version: 1, ID: id[:], Rank: 1, Answered: true, Initial: []byte{}, AD: ad[:], Strength: 1,
		Started: 0, Heard: 1, LastUsed: 2, Head: ratchetHead(true),
	}
	var out []vector
	add := func(name, reason string, r record, refuses bool) {
		v := vector{Name: name, Kind: "positive", Record: &encoded{"session-record", hex.EncodeToString(codec.Marshal(r)), refuses}, Skipped: hex.EncodeToString(skipped)}
		if reason != "" {
			v.Kind, v.Reason = "negative", "ErrRecord: "+reason
		}
		out = append(out, v)
	}
	add("record-unanswered", "", unanswered, false)
	add("record-answered", "", answered, false)
	with := func(r record, f func(*record)) record { f(&r); return r }
	add("record-version-2", "unknown version", with(answered, func(r *record) { r.Version = 2 }), true)
	add("record-old-ratchet", "a ratchet's record of version 1", with(answered, func(r *record) { r.Head = append([]byte{1}, r.Head[1:]...) }), false)
	add("record-rank-zero", "rank", with(answered, func(r *record) { r.Rank = 0 }), true)
	add("record-strength-5", "strength", with(answered, func(r *record) { r.Strength = 5 }), true)
	add("record-elsewhere-16", "count of messages elsewhere", with(answered, func(r *record) { r.Elsewhere = 16 }), true)
	add("record-other-id", "id is not the hash of the initial message", with(unanswered, func(r *record) { r.ID = id[:] }), false)
	add("record-answered-with-initial", "an initial message that was answered", with(answered, func(r *record) { r.Initial = initial }), false)
	add("record-not-received", "answered, and nothing received", with(answered, func(r *record) { r.Head = ratchetHead(false) }), false)
	add("record-received", "not answered, but received", with(unanswered, func(r *record) { r.Head = ratchetHead(true) }), false)

	small, large := strings.Repeat("11", 32), strings.Repeat("22", 32)
	choose := func(name string, active, arrives side, then string) {
		out = append(out, vector{Name: name, Kind: "positive", Active: &active, Arrives: &arrives, Then: then})
	}
	choose("crossed-own-smaller", side{ID: small, Initiator: true}, side{ID: large, New: true}, "active")
	choose("crossed-own-larger", side{ID: large, Initiator: true}, side{ID: small, New: true}, "arrives")
	choose("start-after-own-answered", side{ID: small, Initiator: true, Answered: true}, side{ID: large, New: true}, "arrives")
	choose("start-after-the-peers", side{ID: small, Answered: true}, side{ID: large, New: true}, "arrives")
	choose("both-the-peers", side{ID: small, Answered: true}, side{ID: large, Answered: true}, "arrives")
	choose("first-answer-to-own", side{ID: small, Answered: true}, side{ID: large, Initiator: true}, "arrives")
	choose("first-answer-to-newer-own", side{ID: small, Initiator: true, Started: 5}, side{ID: large, Initiator: true, Started: 6}, "arrives")
	choose("first-answer-to-older-own", side{ID: large, Initiator: true, Started: 6}, side{ID: small, Initiator: true, Started: 5}, "active")
	choose("own-answered-before", side{ID: large, Answered: true}, side{ID: small, Initiator: true, Answered: true}, "active")
	choose("eighth-on-smaller", side{ID: large, Answered: true, Elsewhere: 7}, side{ID: small, Initiator: true, Answered: true}, "arrives")
	choose("eighth-on-larger", side{ID: small, Answered: true, Elsewhere: 7}, side{ID: large, Initiator: true, Answered: true}, "active")
	choose("sixteenth-on-larger", side{ID: small, Answered: true, Elsewhere: 15}, side{ID: large, Initiator: true, Answered: true}, "arrives")
	return out
}

func (v *side) session(t *testing.T) *Session {
	t.Helper()
	id, err := hex.DecodeString(v.ID)
	if err != nil || len(id) != 32 {
		t.Fatal(err)
	}
	return &Session{ID: ID(id), Initiator: v.Initiator, Answered: v.Answered, Started: time.UnixMilli(v.Started), Elsewhere: v.Elsewhere}
}

// R-SES-05, R-SES-09, R-SES-11
func TestVectors(t *testing.T) {
	pinned := vectorfile.Pin(t, "../../spec/vectors/session.json", map[string]any{"area": "session", "vectors": vectors()})
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(pinned, &file); err != nil || len(file.Vectors) == 0 {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		if v.Record == nil {
			a, s := v.Active.session(t), v.Arrives.session(t)
			takes := a.yields(s)
			if v.Arrives.New {
				takes = a.yieldsToStart(s.ID)
			}
			if takes != (v.Then == "arrives") {
				t.Errorf("%s: the other session is chosen", v.Name)
			}
			continue
		}
		head, err1 := hex.DecodeString(v.Record.Encoded)
		skipped, err2 := hex.DecodeString(v.Skipped)
		if err1 != nil || err2 != nil {
			t.Fatal(v.Name)
		}
		s, err := Parse(head, skipped)
		switch {
		case v.Kind == "negative" && !errors.Is(err, ErrRecord):
			t.Errorf("%s: %v", v.Name, err)
		case (v.Name == "record-old-ratchet") != errors.Is(err, ratchet.ErrOldRecord): // R-RAT-48
			t.Errorf("%s: %v", v.Name, err)
		case v.Kind == "positive" && (err != nil || !bytes.Equal(s.Head(), head) || !bytes.Equal(s.Skipped(), skipped)):
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
