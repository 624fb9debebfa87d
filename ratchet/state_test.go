package ratchet

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

func TestR_RAT_01_RefusedMessagesChangeNothing(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	all := c.burst(&c.alice, 5)
	c.open(&c.bob, all[4])
	bad := bytes.Clone(all[1])
	bad[len(bad)-1] ^= 1
	c.refuse(c.bob, bad, ErrForged)
	c.refuse(c.bob, all[4], ErrDuplicate)
	c.refuse(c.bob, all[0][:50], ErrMalformed)
	before := c.bob.AppendRecord(nil)
	c.bob.Seal([]byte("text"), nil)
	c.bob.Farewell(nil)
	c.bob.Expire(c.now.Add(100 * SkippedLife))
	c.bob.Open(all[1], talkAD, c.now)
	if !bytes.Equal(before, c.bob.AppendRecord(nil)) {
		t.Error("a method changed its receiver")
	}
	if o := c.open(&c.bob, all[1]); string(o.Plaintext) != "burst" {
		t.Error("lost")
	}
}

func TestR_RAT_08_ReplyKeyIsMadeWhenReplying(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	own := c.alice.turn
	if _, ok := own.(*replying); !ok {
		t.Fatalf("%T after receiving", own)
	}
	m := c.burst(&c.alice, 2)
	before := c.bob.own(t)
	secret := before.Export()
	c.open(&c.bob, m[0])
	if bytes.Contains(c.bob.AppendRecord(nil), secret[:]) {
		t.Error("the answered private key is still held")
	}
	// Two replies from one state use different keys.
	x, _ := c.bob.Seal(nil, nil)
	y, _ := c.bob.Seal(nil, nil)
	if x.Next.turn.(*sending).public == y.Next.turn.(*sending).public {
		t.Error("one ratchet key for two replies")
	}
}

func TestR_RAT_09_NewChainNeedsItsHeaderAndClosesTheOld(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	c.burst(&c.alice, 1)
	late := c.burst(&c.alice, 3)
	c.open(&c.bob, late[0])
	c.pass(&c.bob, &c.alice, "reply")
	o := c.pass(&c.alice, &c.bob, "new chain")
	if !o.Ratcheted || o.At.Number != 0 {
		t.Error("no new chain", o.At)
	}
	if n := c.bob.SkippedCount(); n != 3 {
		t.Errorf("%d skipped keys of the closed chain, want 3", n)
	}
	if len(c.bob.older) != 1 || c.bob.older[0].next != 4 {
		t.Error("length not kept")
	}
	c.open(&c.bob, late[2])
	c.open(&c.bob, late[1])
	// The authentic header of a new chain with another body is forged.
	c.pass(&c.bob, &c.alice, "reply")
	m := c.seal(&c.alice, "next")
	m[seedsAt] ^= 1
	c.refuse(c.bob, m, ErrForged)
}

// badKeys are ratchet keys that must be refused wherever they come from.
func badKeys() map[string][32]byte {
	return map[string][32]byte{
		"zero": {}, "one": {1},
		"order 8":       [32]byte(unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
		"order 8, too":  [32]byte(unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")),
		"p-1":           [32]byte(unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")),
		"p":             [32]byte(unhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")),
		"p+1":           [32]byte(unhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")),
		"nine, top bit": [32]byte(unhex("0900000000000000000000000000000000000000000000000000000000000080")),
		"all ones":      [32]byte(bytes.Repeat([]byte{255}, 32)),
	}
}

func TestR_RAT_26_BadRatchetKeys(t *testing.T) {
	for name, key := range badKeys() {
		c := newTalk(t)
		m := reseal(t, c.alice, func(h *header) { h.key = key })
		c.refuse(c.bob, m, ErrBadKey) // of a waiting responder
		c.rounds(2)
		c.seal(&c.alice, "new chain")
		m = reseal(t, c.alice, func(h *header) { h.key = key })
		c.refuse(c.bob, m, ErrBadKey)
		if _, err := ParsePublicKey(key[:]); err == nil {
			t.Errorf("%s parses", name)
		}
	}
	// A zero result is refused even if a bad key gets past parsing: the zero
	// PublicKey is the only such value there can be.
	if _, err := Initiate(new([32]byte), PublicKey{}); !errors.Is(err, ErrBadKey) {
		t.Error(err)
	}
}

func TestR_RAT_28_BothSidesNameMessagesAlike(t *testing.T) {
	c := newTalk(t)
	for step := range uint64(6) {
		from, to := &c.alice, &c.bob
		if step%2 == 1 {
			from, to = to, from
		}
		for n := range uint32(3) {
			x, err := from.Seal(nil, talkAD)
			if err != nil {
				t.Fatal(err)
			}
			*from = x.Next
			o := c.open(to, x.Message)
			if want := (Position{step + 1, n}); x.At != want || o.At != want {
				t.Errorf("sealed as %v, opened as %v, want %v", x.At, o.At, want)
			}
		}
	}
}

func TestR_RAT_29_ResponderWaits(t *testing.T) {
	c := newTalk(t)
	if c.bob.CanSeal() || !c.alice.CanSeal() || c.bob.Received() || c.alice.Received() {
		t.Error("turns")
	}
	if _, err := c.bob.Seal(nil, nil); !errors.Is(err, ErrWaiting) {
		t.Error(err)
	}
	if _, err := c.bob.Farewell(nil); !errors.Is(err, ErrWaiting) {
		t.Error(err)
	}
	c.pass(&c.alice, &c.bob, "first")
	if !c.bob.CanSeal() || !c.bob.Received() {
		t.Error("still waiting")
	}
	var zero State
	if _, err := zero.Seal(nil, nil); !errors.Is(err, ErrWaiting) {
		t.Error(err)
	}
	if _, err := zero.Open(c.seal(&c.alice, ""), nil, c.now); !errors.Is(err, ErrUnknownChain) {
		t.Error(err)
	}
}

func TestR_RAT_30_LastNumberIsNotUsed(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	c.pass(&c.alice, &c.bob, "chain")
	// Both sides almost at the end of the chain.
	turn := *c.alice.turn.(*sending)
	turn.number = math.MaxUint32 - 1
	c.alice.turn = &turn
	c.bob.current.next = math.MaxUint32 - 1
	c.bob.key = turn.key
	c.pass(&c.alice, &c.bob, "the last")
	if _, err := c.alice.Seal(nil, talkAD); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	if _, err := c.alice.Farewell(talkAD); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	turn.number = math.MaxUint32 - 1
	m := reseal(t, State{turn: &turn}, func(h *header) { h.number = math.MaxUint32 })
	c.refuse(c.bob, m, ErrTooFarAhead)
	// The next chain goes on.
	c.pass(&c.bob, &c.alice, "reply")
	c.pass(&c.alice, &c.bob, "new chain")
}

func TestR_RAT_32_RolledBackPeer(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	c.pass(&c.alice, &c.bob, "0")
	old := c.alice // a snapshot
	c.pass(&c.alice, &c.bob, "1")
	c.pass(&c.alice, &c.bob, "2")
	reply := c.seal(&c.bob, "reply")
	restored := old
	c.open(&restored, reply)
	c.refuse(c.bob, c.seal(&restored, "announces length 1"), ErrRolledBack)

	// A number at or above the announced length.
	late := c.alice
	c.burst(&c.alice, 2)
	c.open(&c.alice, reply)
	c.pass(&c.alice, &c.bob, "new chain, two of the old one missing")
	m := reseal(t, late, func(h *header) { h.number += 2 })
	c.refuse(c.bob, m, ErrRolledBack)

	// The first chain has none before it.
	c = newTalk(t)
	m = reseal(t, c.alice, func(h *header) { h.previous = 1 })
	c.refuse(c.bob, m, ErrRolledBack)
}

func TestR_RAT_21_Farewell(t *testing.T) {
	c := newTalk(t)
	for range 4 { // each of alice's chains misses a message
		c.burst(&c.alice, 1)
		c.pass(&c.alice, &c.bob, "ping")
		c.pass(&c.bob, &c.alice, "pong")
	}
	c.pass(&c.alice, &c.bob, "open chain")
	last := c.seal(&c.alice, "never opened")
	want := map[[32]byte]bool{c.bob.current.seed: true}
	for _, o := range c.bob.older {
		want[o.seed] = true
	}
	if len(want) != 5 {
		t.Fatal(len(want))
	}
	m, err := c.bob.Farewell(talkAD)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseMessage(m)
	if err != nil || w.Type != TypeFarewell || len(w.Body) != 0 || len(w.Disclosed) != 5 {
		t.Fatal(err, w.Type, len(w.Disclosed))
	}
	for _, s := range w.Disclosed {
		if !want[s] {
			t.Error("an unknown seed")
		}
	}
	o := c.open(&c.alice, m)
	if !o.Farewell || len(o.Plaintext) != 0 || len(o.Disclosed) != 5 {
		t.Error("farewell opens as something else")
	}
	if _, ok := Locate(w.Disclosed[4], last, talkAD, 10); !ok {
		t.Error("the open chain is not disclosed")
	}

	// An initiator that was never answered has nothing to disclose.
	c = newTalk(t)
	m, err = c.alice.Farewell(talkAD)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := ParseMessage(m); err != nil || len(w.Disclosed) != 0 {
		t.Error(err)
	}
	if o := c.open(&c.bob, m); !o.Farewell {
		t.Error("no farewell")
	}

	// The most that a farewell can hold: five owed, one chain open.
	c = newTalk(t)
	for range 5 {
		c.burst(&c.alice, 1)
		c.pass(&c.alice, &c.bob, "ping")
		c.pass(&c.bob, &c.alice, "pong")
	}
	c.burst(&c.alice, 1)
	c.pass(&c.alice, &c.bob, "ping")
	s, _ := c.bob.Expire(c.now.Add(2 * SkippedLife))
	if len(s.owed) != MaxDisclosed {
		t.Errorf("%d owed", len(s.owed))
	}
	if _, err := ParseRecord(s.AppendRecord(nil)); err != nil {
		t.Error(err)
	}
	if m, err = s.Farewell(talkAD); err != nil {
		t.Fatal(err)
	}
	if w, err := ParseMessage(m); err != nil || len(w.Disclosed) != 6 {
		t.Error(err, len(w.Disclosed))
	}
}

func TestR_RAT_22_Heartbeat(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	for i := range 3 * HeartbeatAfter {
		if due := i%HeartbeatAfter == 0 && i > 0; c.bob.HeartbeatDue() != due {
			t.Fatalf("after %d: %v", i, c.bob.HeartbeatDue())
		}
		if c.bob.HeartbeatDue() {
			o := c.pass(&c.bob, &c.alice, "")
			if !o.Ratcheted {
				t.Error("the heartbeat does not ratchet")
			}
		}
		if o := c.pass(&c.alice, &c.bob, "one-sided"); o.Ratcheted != (i%HeartbeatAfter == 0) {
			t.Error("the peer does not move on", i)
		}
	}
	if c.bob.HeartbeatDue() != true || c.alice.HeartbeatDue() {
		t.Error("at the end")
	}
}

// What came in the chain before does not count.
func TestHeartbeatCountsTheOpenChain(t *testing.T) {
	c := newTalk(t)
	c.rounds(1)
	late := c.burst(&c.alice, HeartbeatAfter)
	for _, m := range late[:HeartbeatAfter-1] {
		c.open(&c.bob, m)
	}
	c.seal(&c.bob, "answer, lost")
	answer := c.seal(&c.bob, "answer")
	for range HeartbeatAfter - 1 {
		late = append(late, c.seal(&c.alice, "one more"))
	}
	for _, m := range late[HeartbeatAfter-1:] {
		if c.bob.HeartbeatDue() {
			t.Fatal("due too early")
		}
		c.open(&c.bob, m)
	}
	if !c.bob.HeartbeatDue() {
		t.Error("not due")
	}
	c.open(&c.alice, answer)
	c.pass(&c.alice, &c.bob, "new chain")
	if c.bob.HeartbeatDue() {
		t.Error("due for messages of a closed chain")
	}
}

// A message sent back to its sender is nobody's.
func TestReflection(t *testing.T) {
	c := newTalk(t)
	c.refuse(c.alice, c.seal(&c.alice, "first"), ErrUnknownChain)
	c.rounds(2)
	c.refuse(c.alice, c.seal(&c.alice, "later"), ErrUnknownChain)
	c.refuse(c.bob, c.seal(&c.bob, "later"), ErrUnknownChain)
}

// Two successors of one state do not write to each other's memory, whatever
// room the slices of the state before have left.
func TestForksDoNotMeet(t *testing.T) {
	fork := func(c *talk, base State, a, b []byte) {
		t.Helper()
		first, second := base, base
		c.open(&first, a)
		want := first.AppendRecord(nil)
		c.now = c.now.Add(time.Second)
		c.open(&second, b)
		if !bytes.Equal(first.AppendRecord(nil), want) {
			t.Error("a step from the same state has changed this one")
		}
	}
	// Skipped keys: expiry has left room behind them.
	c := newTalk(t)
	all := c.burst(&c.alice, 40)
	c.open(&c.bob, all[10])
	c.now = c.now.Add(SkippedLife)
	c.open(&c.bob, all[20])
	c.now = c.now.Add(time.Second)
	base, changed := c.bob.Expire(c.now)
	if !changed || cap(base.current.skipped) == len(base.current.skipped) {
		t.Fatal("no room to meet in")
	}
	fork(c, base, all[22], all[30])

	// Owed seeds: three of them leave room for one more.
	c = newTalk(t)
	var late [][]byte
	for range 4 {
		late = append(late, c.burst(&c.alice, 1)...)
		c.pass(&c.alice, &c.bob, "ping")
		c.pass(&c.bob, &c.alice, "pong")
	}
	late = append(late, c.burst(&c.alice, 1)...)
	c.pass(&c.alice, &c.bob, "ping")
	for _, m := range late[:2] {
		c.open(&c.bob, m)
	}
	c.bob.owed = append(make([][32]byte, 0, 8), c.bob.owed...)
	fork(c, c.bob, late[2], late[3])
}

// Two states of one session share what is immutable: both can be used at once.
func TestStatesAreIndependent(t *testing.T) {
	c := newTalk(t)
	c.rounds(2)
	all := c.burst(&c.alice, 40)
	o := c.open(&c.bob, all[39])
	base := o.Next
	done := make(chan error)
	for range 4 {
		go func() {
			s := base
			for _, m := range all[:39] {
				o, err := s.Open(m, talkAD, c.now)
				if err != nil {
					done <- err
					return
				}
				s = o.Next
				if _, err := s.Seal(nil, nil); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if base.SkippedCount() != 39 {
		t.Error("a step reached into another state")
	}
}
