package ratchet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/dh"
)

var update = flag.Bool("update", false, "write spec/vectors/ratchet.json anew")

const vectorFile = "../spec/vectors/ratchet.json"

// octets is a byte string, in JSON as lower-case hexadecimal.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }
func (o *octets) UnmarshalText(b []byte) error {
	d, err := hex.DecodeString(string(b))
	*o = d
	return err
}

type vectorDoc struct {
	Area    string   `json:"area"`
	Vectors []vector `json:"vectors"`
}

// vector is one of several kinds, told apart by Function:
//
//	derive        from Secret, and a DH step with result DH, the first keys of a
//	              chain and the MAC key of Number
//	conversation  two sides, step by step
//	forge         the forging tool
//	open, seal, initiate, record: one call that is refused
type vector struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Reason   string `json:"reason,omitempty"`
	Function string `json:"function"`

	Secret       octets            `json:"secret,omitempty"`
	InitiatorKey octets            `json:"initiator_key,omitempty"` // private
	ResponderKey octets            `json:"responder_key,omitempty"` // private
	Initiator    octets            `json:"initiator,omitempty"`     // record at the start
	Responder    octets            `json:"responder,omitempty"`
	Steps        []vectorStep      `json:"steps,omitempty"`
	Derived      map[string]octets `json:"derived,omitempty"`

	State   octets   `json:"state,omitempty"`
	Public  octets   `json:"public,omitempty"`
	DH      octets   `json:"dh,omitempty"`
	Epochs  []octets `json:"epochs,omitempty"` // secrets that the step mixes in
	Seed    octets   `json:"seed,omitempty"`
	Number  uint32   `json:"number,omitempty"`
	Message octets   `json:"message,omitempty"`
	AD      octets   `json:"ad,omitempty"`
	XOR     octets   `json:"xor,omitempty"`
	Forged  octets   `json:"forged,omitempty"`
	Now     int64    `json:"now,omitempty"`

	Objects []vectorObject `json:"objects,omitempty"`
}

// vectorObject is a byte string as CBOR carries it, and its CDDL rule.
type vectorObject struct {
	CDDL    string `json:"cddl"`
	Encoded octets `json:"encoded"`
}

type vectorStep struct {
	By        string `json:"by"`
	Do        string `json:"do"` // seal, open, expire, farewell
	Random    octets `json:"random,omitempty"`
	Plaintext octets `json:"plaintext,omitempty"`
	AD        octets `json:"ad,omitempty"`
	Message   octets `json:"message,omitempty"`
	Now       int64  `json:"now,omitempty"`
	Chain     uint64 `json:"chain,omitempty"`
	Number    uint32 `json:"number,omitempty"`
	Refused   bool   `json:"piece_refused,omitempty"`
	State     octets `json:"state,omitempty"` // record after the step
}

// script writes a conversation vector while playing it.
type script struct {
	v    vector
	side map[string]*State
	n    byte
}

// bytes makes n bytes that no other call has made.
func (s *script) bytes(n int) octets {
	s.n++
	var out octets
	for block := byte(0); len(out) < n; block++ {
		out = append(out, mac([]byte("pawl ratchet vectors"), []byte{s.n, block})...)
	}
	return out[:n]
}

func newScript(name string) *script { return newScriptFrom(name, 0) }

// newScriptFrom is a script whose bytes are none of those that another has made.
func newScriptFrom(name string, n byte) *script {
	s := &script{v: vector{Name: name, Kind: "positive", Function: "conversation"}, side: map[string]*State{}, n: n}
	s.v.Secret, s.v.InitiatorKey, s.v.ResponderKey = s.bytes(32), s.bytes(32), s.bytes(32)
	own := dh.FromBytes([32]byte(s.v.ResponderKey))
	alice, err := initiate((*[32]byte)(s.v.Secret), own.Public(), dh.FromBytes([32]byte(s.v.InitiatorKey)))
	if err != nil {
		panic(err)
	}
	bob := Respond((*[32]byte)(s.v.Secret), own)
	s.side["initiator"], s.side["responder"] = &alice, &bob
	s.v.Initiator, s.v.Responder = alice.AppendRecord(nil), bob.AppendRecord(nil)
	return s
}

var vectorAD = octets("associated data")

func (s *script) seal(by, text string) octets {
	st := vectorStep{By: by, Do: "seal", Random: s.bytes(108), Plaintext: octets(text), AD: vectorAD}
	st.play(s.side[by], true)
	s.v.Steps = append(s.v.Steps, st)
	return st.Message
}

func (s *script) farewell(by string) octets {
	st := vectorStep{By: by, Do: "farewell", Random: s.bytes(108), AD: vectorAD}
	st.play(s.side[by], true)
	s.v.Steps = append(s.v.Steps, st)
	return st.Message
}

func (s *script) open(by string, m octets) {
	st := vectorStep{By: by, Do: "open", Message: m, AD: vectorAD, Now: 1_800_000_000 + int64(s.n)}
	st.play(s.side[by], true)
	s.v.Steps = append(s.v.Steps, st)
}

func (s *script) expire(by string, now int64) {
	st := vectorStep{By: by, Do: "expire", Now: now}
	st.play(s.side[by], true)
	s.v.Steps = append(s.v.Steps, st)
}

// play does the step on s. It fills in the results if write is set, and
// otherwise compares.
func (st *vectorStep) play(s *State, write bool) error {
	got := *st
	switch st.Do {
	case "seal":
		r := randomness(st.Random)
		x, err := s.seal(st.Plaintext, st.AD, &r)
		if err != nil {
			return err
		}
		*s, got.Message, got.Chain, got.Number = x.Next, x.Message, x.At.Chain, x.At.Number
	case "farewell":
		r := randomness(st.Random)
		m, err := s.farewell(st.AD, &r)
		if err != nil {
			return err
		}
		got.Message = m
	case "open":
		o, err := s.Open(st.Message, st.AD, time.Unix(st.Now, 0))
		if err != nil {
			return err
		}
		*s, got.Plaintext, got.Chain, got.Number, got.Refused = o.Next, o.Plaintext, o.At.Chain, o.At.Number, o.PieceRefused != nil
	case "expire":
		next, changed := s.Expire(time.Unix(st.Now, 0))
		if !changed {
			return errors.New("nothing expired")
		}
		*s = next
	default:
		return errors.New("unknown step")
	}
	if st.Do != "farewell" {
		got.State = s.AppendRecord(nil)
	}
	if write {
		*st = got
		return nil
	}
	a, _ := json.Marshal(st)
	b, _ := json.Marshal(got)
	if !bytes.Equal(a, b) {
		return fmt.Errorf("got %s\nwant %s", b, a)
	}
	return nil
}

// derive fills in a derivation vector.
func (v *vector) derive() map[string]octets {
	root, i, r := start((*[32]byte)(v.Secret))
	shared := [32]byte(v.DH)
	var epochs []epochKey
	for _, e := range v.Epochs {
		epochs = append(epochs, epochKey(e))
	}
	next, b := root.advance(&shared, epochs)
	chain := b.chain
	first := chain.step()
	second := chain.step()
	key := b.seed.key(v.Number)
	return map[string]octets{
		"root": root[:], "initiator_header_key": i[:], "responder_header_key": r[:],
		"next_root": next[:], "chain_key": b.chain[:], "next_header_key": b.header[:], "mac_seed": b.seed[:],
		"message_key_0": first[:], "message_key_1": second[:], "chain_key_2": chain[:], "mac_key": key[:],
	}
}

func makeVectors(t *testing.T) vectorDoc {
	doc := vectorDoc{Area: "ratchet"}
	add := func(v vector) { doc.Vectors = append(doc.Vectors, v) }

	s := newScript("")
	d := vector{Name: "derivations", Kind: "positive", Function: "derive", Secret: s.bytes(32), DH: s.bytes(32), Number: 7}
	d.Derived = d.derive()
	add(d)
	d = vector{Name: "derivations with two epochs", Kind: "positive", Function: "derive", Secret: s.bytes(32), DH: s.bytes(32), Epochs: []octets{s.bytes(32), s.bytes(32)}, Number: 7}
	d.Derived = d.derive()
	add(d)

	s = newScript("conversation with loss, reordering, disclosure and farewell")
	const a, b = "initiator", "responder"
	m0 := s.seal(a, "hello")
	m1 := s.seal(a, "")
	m2 := s.seal(a, "third")
	s.open(b, m2)
	waiting := s.v.Responder
	skipping := s.side[b].AppendRecord(nil)
	s.open(b, m0)
	m3 := s.seal(b, "answer")
	s.open(a, m3)
	m4 := s.seal(a, "new chain")
	s.open(b, m4)
	late := s.side[b].AppendRecord(nil)
	s.open(b, m1) // closes chain 1
	owing := s.side[b].AppendRecord(nil)
	m5 := s.seal(b, "discloses chain 1")
	expecting := s.side[a].AppendRecord(nil)
	s.open(a, m5)
	s.seal(a, "lost")
	m6 := s.seal(a, "after a loss")
	s.open(b, m6)
	m7 := s.seal(b, "again")
	s.open(a, m7)
	m8 := s.seal(a, "closes with a number missing")
	s.open(b, m8)
	s.expire(b, 1_800_000_000+8*86400)
	m9 := s.farewell(b)
	s.open(a, m9)
	bob := *s.side[b]
	s.v.Objects = []vectorObject{
		{"ratchet-message", codec.Marshal([]byte(m5))},
		{"ratchet-head", codec.Marshal(bob.AppendHead(nil))},
		{"ratchet-skipped", codec.Marshal(bob.AppendSkipped(nil))},
	}
	add(s.v)

	add(epochVector(s).v)

	wire, err := ParseMessage(m5)
	if err != nil {
		t.Fatal(err)
	}
	f := vector{Name: "forgery", Kind: "positive", Function: "forge", Seed: wire.Disclosed[0][:], Message: m0, AD: vectorAD, XOR: octets("\x01\x02\x03\x04\x05")}
	if f.Forged, err = Forge(wire.Disclosed[0], 0, m0, vectorAD, f.XOR); err != nil {
		t.Fatal(err)
	}
	add(f)

	// Refusals of Open. The first state has opened m2 of chain 1 only.
	now := int64(1_800_000_100)
	open := func(name, reason string, state octets, m []byte) {
		add(vector{Name: name, Kind: "negative", Reason: reason, Function: "open", State: state, Message: m, AD: vectorAD, Now: now})
	}
	flip := func(m []byte, i int) []byte {
		m = slices.Clone(m)
		m[(i+len(m))%len(m)] ^= 1
		return m
	}
	open("message cut short", "ErrMalformed", skipping, m0[:Overhead-1])
	open("unknown type", "ErrMalformed", skipping, slices.Concat([]byte{3}, m0[1:]))
	open("six seeds in an ordinary message", "ErrMalformed", skipping, slices.Concat(m0[:countAt], []byte{6}, make([]byte, 6*seedLen), m0[seedsAt:]))
	open("eleven seeds in a farewell", "ErrMalformed", skipping, slices.Concat([]byte{2}, m0[1:countAt], []byte{11}, make([]byte, 11*seedLen), m0[seedsAt:]))
	open("more seeds than bytes", "ErrMalformed", skipping, slices.Concat(m0[:countAt], []byte{1}, m0[seedsAt:]))
	open("header changed", "ErrUnknownChain", skipping, flip(m0, sealedAt))
	open("type changed", "ErrUnknownChain", skipping, slices.Concat([]byte{2}, m0[1:]))
	open("salt changed", "ErrUnknownChain", skipping, flip(m0, saltAt))
	open("own message sent back", "ErrUnknownChain", s.v.Initiator, m0)
	open("chain erased and disclosed", "ErrUnknownChain", owing, m0)
	open("body changed", "ErrForged", skipping, flip(m0, seedsAt))
	open("tag changed", "ErrForged", skipping, flip(m0, -1))
	open("disclosed seed changed", "ErrForged", expecting, flip(m5, seedsAt))
	open("body of a duplicate changed", "ErrForged", skipping, flip(m2, seedsAt))
	open("first message of a chain changed", "ErrForged", waiting, flip(m0, -1))
	open("duplicate", "ErrDuplicate", skipping, m2)
	open("duplicate in a closed chain", "ErrDuplicate", late, m0)

	// A peer that does not keep to the protocol.
	first, err := ParseRecord(s.v.Initiator)
	if err != nil {
		t.Fatal(err)
	}
	x, err := first.seal([]byte("x"), vectorAD, (*randomness)(s.bytes(108)))
	if err != nil {
		t.Fatal(err)
	}
	rogue := func(state State, change func(*header)) []byte {
		turn := state.turn.(*sending)
		h := header{turn.public, turn.previous, turn.number - 1, state.mixed, false}
		change(&h)
		m := slices.Clone(x.Message)
		copy(m[saltAt:], s.bytes(saltLen))
		turn.cipher.seal(m, &h)
		key := turn.seed.key(h.number)
		tag := key.tag(vectorAD, m[:len(m)-tagLen])
		copy(m[len(m)-tagLen:], tag[:])
		return m
	}
	for _, name := range slices.Sorted(maps.Keys(badKeys())) {
		open("ratchet key "+name, "ErrBadKey", waiting, rogue(x.Next, func(h *header) { h.key = badKeys()[name] }))
	}
	open("new chain on an epoch to come", "ErrEpoch", waiting, rogue(x.Next, func(h *header) { h.epoch = 1 }))
	open("another epoch than the chain's", "ErrEpoch", skipping, rogue(x.Next, func(h *header) { h.epoch, h.number = 1, 1 }))
	open("first chain announces one before it", "ErrRolledBack", waiting, rogue(x.Next, func(h *header) { h.previous = 1 }))
	open("number too far ahead in a new chain", "ErrTooFarAhead", waiting, rogue(x.Next, func(h *header) { h.number = 2001 }))
	open("number too far ahead", "ErrTooFarAhead", skipping, rogue(x.Next, func(h *header) { h.number = 2004 }))
	open("number at the length of a closed chain", "ErrRolledBack", late, rogue(x.Next, func(h *header) { h.number = 3 }))
	now += 8 * 86400
	open("skipped key older than seven days", "ErrTooOld", skipping, m0)
	expired, _ := func() (State, bool) {
		st, err := ParseRecord(skipping)
		if err != nil {
			t.Fatal(err)
		}
		return st.Expire(time.Unix(now, 0))
	}()
	open("skipped key erased", "ErrTooOld", expired.AppendRecord(nil), m0)

	add(vector{Name: "seal while waiting", Kind: "negative", Reason: "ErrWaiting", Function: "seal", State: waiting})
	add(vector{Name: "initiate towards key zero", Kind: "negative", Reason: "ErrBadKey", Function: "initiate", Secret: s.v.Secret, Public: make(octets, 32)})
	add(vector{Name: "forge with a seed of another chain", Kind: "negative", Reason: "ErrForged", Function: "forge", Seed: wire.Disclosed[0][:], Message: m3, AD: vectorAD, XOR: make(octets, 6)})
	add(vector{Name: "forge with a number of another message", Kind: "negative", Reason: "ErrForged", Function: "forge", Seed: wire.Disclosed[0][:], Number: 1, Message: m0, AD: vectorAD, XOR: make(octets, 5)})
	add(vector{Name: "forge with a mask of another length", Kind: "negative", Reason: "ErrMalformed", Function: "forge", Seed: wire.Disclosed[0][:], Message: m0, AD: vectorAD, XOR: make(octets, 4)})

	record := func(name string, b []byte) {
		add(vector{Name: name, Kind: "negative", Reason: "ErrMalformed", Function: "record", State: b})
	}
	record("record cut short", skipping[:len(skipping)-1])
	record("record with a byte behind it", slices.Concat(skipping, []byte{0}))
	record("record of another version", slices.Concat([]byte{3}, skipping[1:]))
	add(vector{Name: "record of version 1", Kind: "negative", Reason: "ErrOldRecord", Function: "record", State: slices.Concat([]byte{1}, skipping[1:])})
	record("record with an unknown turn", slices.Concat(skipping[:55], []byte{4}, skipping[56:]))
	n := 5 + int(binary.BigEndian.Uint32(skipping[1:]))
	record("record whose parts are of different states", slices.Concat(skipping[:n], late[5+int(binary.BigEndian.Uint32(late[1:])):]))
	record("record with a heartbeat count over its limit", slices.Concat(skipping[:54], []byte{51}, skipping[55:]))
	return doc
}

// epochVector is a conversation with pieces: with room for everything, for some,
// for none; a late one; and one that is no piece.
func epochVector(after *script) *script {
	s := newScriptFrom("conversation with pieces and epochs", after.n)
	const a, b = "initiator", "responder"
	say := func(text string, zeros int) string { return text + string(make([]byte, zeros)) }
	for range 2 {
		s.open(b, s.seal(a, say("all of it", 1300)))
		late := s.seal(a, say("some, and late", 150))
		s.open(b, s.seal(a, say("seven zeros", 7)))
		s.open(a, s.seal(b, say("all of it", 1300)))
		s.open(b, late)
		s.open(a, s.seal(b, say("six zeros", 6)))
	}
	if s.side[a].mixed == 0 || s.side[b].mixed == 0 {
		panic("no epoch came to its end")
	}
	x, err := s.side[a].seal([]byte("no piece\xff"), vectorAD, (*randomness)(s.bytes(108)))
	if err != nil {
		panic(err)
	}
	t := x.Next.turn.(*sending)
	m := x.Message
	t.cipher.seal(m, &header{t.public, t.previous, t.number - 1, x.Next.mixed, true})
	key := t.seed.key(t.number - 1)
	tag := key.tag(vectorAD, m[:len(m)-tagLen])
	copy(m[len(m)-tagLen:], tag[:])
	s.open(b, m)
	return s
}

// reasons maps the names in negative vectors to errors.
var reasons = map[string]error{
	"ErrMalformed": ErrMalformed, "ErrUnknownChain": ErrUnknownChain, "ErrForged": ErrForged, "ErrDuplicate": ErrDuplicate,
	"ErrTooOld": ErrTooOld, "ErrTooFarAhead": ErrTooFarAhead, "ErrRolledBack": ErrRolledBack, "ErrBadKey": ErrBadKey, "ErrWaiting": ErrWaiting,
	"ErrEpoch": ErrEpoch, "ErrOldRecord": ErrOldRecord,
}

// TestVectors replays the pinned vectors: first as an implementation that reads
// them would, then by making them anew.
func TestVectors(t *testing.T) {
	if *update {
		b, err := json.MarshalIndent(makeVectors(t), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc vectorDoc
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, v := range doc.Vectors {
		met[v.Reason] = true
		t.Run(v.Name, v.check)
	}
	for name := range reasons {
		if !met[name] {
			t.Errorf("no vector is refused with %s", name)
		}
	}
	again, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(again, '\n'), b) {
		t.Error("the vectors made now differ from the pinned ones")
	}
}

func (v vector) check(t *testing.T) {
	if v.Kind == "negative" && reasons[v.Reason] == nil || v.Kind == "positive" && v.Reason != "" {
		t.Fatalf("%s with reason %q", v.Kind, v.Reason)
	}
	want := reasons[v.Reason]
	var err error
	switch v.Function {
	case "derive":
		for name, got := range v.derive() {
			if !bytes.Equal(got, v.Derived[name]) {
				t.Errorf("%s: %x", name, got)
			}
		}
	case "conversation":
		err = v.converse()
	case "forge":
		var forged []byte
		forged, err = Forge([32]byte(v.Seed), v.Number, v.Message, v.AD, v.XOR)
		if !bytes.Equal(forged, v.Forged) {
			t.Errorf("forged %x", forged)
		}
	case "initiate":
		// The only key that reaches Initiate unparsed is the zero one.
		_, err = initiate((*[32]byte)(v.Secret), dh.PublicKey{}, dh.FromBytes([32]byte{1}))
		if _, parsed := ParsePublicKey(v.Public); parsed == nil {
			t.Error("the key parses")
		}
	case "record":
		_, err = ParseRecord(v.State)
	case "seal", "open":
		var s State
		if s, err = ParseRecord(v.State); err != nil {
			t.Fatal(err)
		}
		if v.Function == "seal" {
			_, err = s.Seal(nil, v.AD)
		} else {
			_, err = s.Open(v.Message, v.AD, time.Unix(v.Now, 0))
		}
		if !bytes.Equal(s.AppendRecord(nil), v.State) {
			t.Error("the state has changed")
		}
	default:
		t.Fatalf("unknown function %q", v.Function)
	}
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// converse plays a conversation from its start, and each step once more from
// the pinned record before it.
func (v *vector) converse() error {
	own := dh.FromBytes([32]byte(v.ResponderKey))
	alice, err := initiate((*[32]byte)(v.Secret), own.Public(), dh.FromBytes([32]byte(v.InitiatorKey)))
	if err != nil {
		return err
	}
	bob := Respond((*[32]byte)(v.Secret), own)
	live := map[string]*State{"initiator": &alice, "responder": &bob}
	pinned := map[string]octets{"initiator": v.Initiator, "responder": v.Responder}
	for name, s := range live {
		if !bytes.Equal(s.AppendRecord(nil), pinned[name]) {
			return fmt.Errorf("%s begins otherwise", name)
		}
	}
	for i, st := range v.Steps {
		golden, err := ParseRecord(pinned[st.By])
		if err != nil {
			return fmt.Errorf("step %d: pinned record: %w", i, err)
		}
		for _, s := range []*State{live[st.By], &golden} {
			if err := st.play(s, false); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		}
		if st.State != nil {
			pinned[st.By] = st.State
		}
	}
	return nil
}
