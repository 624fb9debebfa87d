package x3dh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// bobsStore is the part of a responder's store that replays meet: one-time
// keys that go away when used and a table for the last-resort key.
type bobsStore struct {
	w      *world
	used   bool
	replay ReplayTable
}

// receive does what a client does with a first message in one transaction.
// opens stands for the ratchet message beside it: does it open under the
// secret? If not, the transaction leaves no trace.
func (b *bobsStore) receive(initial []byte, opens bool) (Accepted, error) {
	keys := b.w.keys
	if b.used {
		keys.OneTime = nil // erased when first used
	}
	i, err := ParseInitial(initial)
	if err != nil {
		return Accepted{}, err
	}
	if b.replay.Seen(i.ID) {
		return Accepted{}, ErrReplayed
	}
	a, err := i.Respond(b.w.bob, b.w.alice.Party, &keys)
	if err != nil {
		return Accepted{}, err
	}
	if !opens {
		return a, errors.New("the ratchet message does not open")
	}
	b.used = true
	if a.Strength.Reusable() {
		err = b.replay.Add(a.ID, i.KEMID)
	}
	return a, err
}

func TestR_X3D_10_Replays(t *testing.T) {
	for s, want := range map[Strength]error{OneTime: ErrKeys, OneTimeEC: ErrReplayed, LastResort: ErrReplayed} {
		w := newWorld(t, s)
		store := bobsStore{w: w}
		first := w.initiate(t).Initial
		// Delivered with a message that does not open, it is not used up.
		if _, err := store.receive(first, false); err == nil || errors.Is(err, want) {
			t.Fatal(s, err)
		}
		if _, err := store.receive(first, true); err != nil {
			t.Fatal(s, err)
		}
		if _, err := store.receive(first, true); !errors.Is(err, want) {
			t.Errorf("%v: replay gives %v, want %v", s, err, want)
		}
		// A restart in between changes nothing.
		table, err := ParseReplayTable(store.replay.Record())
		if err != nil {
			t.Fatal(err)
		}
		store.replay = table
		if _, err := store.receive(first, true); !errors.Is(err, want) {
			t.Errorf("%v: replay after a restart gives %v, want %v", s, err, want)
		}
		// The same message claiming a one-time key passes neither.
		i, _ := ParseInitial(first)
		if s == LastResort {
			i.KEMKind = KEMOneTime
			if _, err := store.receive(i.encode(), true); !errors.Is(err, ErrKeys) {
				t.Errorf("%v relabelled: %v", s, err)
			}
		}
		// A new session under the same last-resort key is no replay.
		if s == LastResort {
			again, err := Initiate(w.alice, &w.offer)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.receive(again.Initial, true); err != nil {
				t.Errorf("a second session: %v", err)
			}
		}
	}
}

func TestR_X3D_10_ReusableStrengths(t *testing.T) {
	for s, want := range map[Strength]bool{OneTime: false, OneTimeKEM: false, OneTimeEC: true, LastResort: true} {
		if s.Reusable() != want {
			t.Errorf("%v: %v", s, !want)
		}
	}
	names := map[string]bool{}
	for _, s := range append([]Strength{0}, strengths...) {
		names[s.String()] = true
	}
	if len(names) != 5 {
		t.Errorf("names: %v", names)
	}
}

func TestR_X3D_10_Table(t *testing.T) {
	var table ReplayTable
	id := func(n uint64) (b [32]byte) {
		binary.BigEndian.PutUint64(b[8:], n*0x9e3779b97f4a7c15)
		return b
	}
	for n := range uint64(100) {
		if table.Seen(id(n)) {
			t.Fatal("seen before it was added")
		}
		if err := table.Add(id(n), 1+n%3); err != nil {
			t.Fatal(err)
		}
		if err := table.Add(id(n), 9); !errors.Is(err, ErrReplayed) {
			t.Fatal("added twice:", err)
		}
	}
	b := table.Record()
	back, err := ParseReplayTable(b)
	if err != nil || back.Len() != 100 || !bytes.Equal(back.Record(), b) {
		t.Fatal(err)
	}
	// Entries live as long as their key, and no others go with it.
	table.Forget(2)
	for n := range uint64(100) {
		if table.Seen(id(n)) == (1+n%3 == 2) {
			t.Errorf("entry %d of key %d: %v", n, 1+n%3, table.Seen(id(n)))
		}
	}
	for n := range b {
		if _, err := ParseReplayTable(b[:n]); !errors.Is(err, ErrReplayRecord) {
			t.Errorf("prefix of %d bytes accepted", n)
		}
	}
	swapped := bytes.Clone(b)
	copy(swapped[5:45], b[45:85])
	copy(swapped[45:85], b[5:45])
	twice := bytes.Clone(b)
	copy(twice[45:85], b[5:45])
	version := bytes.Clone(b)
	version[0]++
	for name, bad := range map[string][]byte{"order": swapped, "twice": twice, "version": version, "empty": nil, "one more": append(bytes.Clone(b), make([]byte, replayEntry)...)} {
		if _, err := ParseReplayTable(bad); !errors.Is(err, ErrReplayRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := uint64(1000); table.Len() < MaxReplay; n++ {
		if err := table.Add(id(n), 7); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Add([32]byte{1}, 7); !errors.Is(err, ErrReplayFull) {
		t.Errorf("full: %v", err)
	}
	table.Forget(7)
	if err := table.Add([32]byte{1}, 7); err != nil {
		t.Errorf("after the key went: %v", err)
	}
}

func FuzzParseReplayTable(f *testing.F) {
	var table ReplayTable
	table.Add([32]byte{1}, 5)
	table.Add([32]byte{2}, 6)
	f.Add(table.Record())
	f.Add([]byte{replayVersion, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParseReplayTable(b)
		if err == nil && !bytes.Equal(table.Record(), b) {
			t.Errorf("%x parses but encodes to %x", b, table.Record())
		}
	})
}
