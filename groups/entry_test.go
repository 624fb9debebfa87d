package groups

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// small is a group of alice, an admin, and bob, with what both devices hold.
type small struct {
	g    ID
	s    Secret
	a, b Sending
	r    Roster
}

func newSmall(tb testing.TB) *small {
	tb.Helper()
	w := &small{g: NewID(), s: NewSecret()}
	w.a, w.b = newChain(tb, w.g, 1, alice), newChain(tb, w.g, 1, bob)
	w.r = place(tb, Roster{Group: w.g}, w.s, w.a, Change{Kind: Create, Name: "small", Members: []Member{member(alice.Address, Admin), member(bob.Address, RoleMember)}}, nil)
	return w
}

func (w *small) propose(tb testing.TB, by Sending, c Change, next *Secret) Proposal {
	tb.Helper()
	p, err := Propose(w.r, w.s, by, by.Sender().author(), c, next, testNow)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (w *small) read(tb testing.TB, blob []byte) Entry {
	tb.Helper()
	e, err := Read(w.g, w.r.Seq+1, w.r.Head, w.s, w.r.Epoch, blob)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestR_GRP_20_EpochSecret(t *testing.T) {
	g, s := NewID(), NewSecret()
	for label, got := range map[string][32]byte{
		"pawl/1 group log key": s.logKey(g, 3), "pawl/1 group write token": s.Token(g, 3), "pawl/1 group secret commitment": s.Commitment(g, 3),
	} {
		want := refHMAC(s[:], binary.BigEndian.AppendUint64(append([]byte(label), g[:]...), 3))
		if !bytes.Equal(got[:], want) {
			t.Errorf("%s is not that of the specification", label)
		}
	}
	if s.Token(g, 3) == s.Token(g, 4) || s.Token(g, 3) == s.Token(NewID(), 3) {
		t.Error("a token for two places")
	}
	if NewSecret() == s || s.IsZero() || !(Secret{}).IsZero() {
		t.Error("zero")
	}
	w := newSmall(t)
	if !w.r.Holds(w.s) || w.r.Holds(s) || (Roster{}).Holds(s) {
		t.Error("the roster takes another secret for its own")
	}
}

func TestR_GRP_21_Head(t *testing.T) {
	w := newSmall(t)
	p := w.propose(t, w.a, Change{Kind: Rename, Name: "x"}, nil)
	sum := sha256.Sum256(p.Blob)
	var b []byte
	b = append(b, "pawl/1 group head"...)
	b = append(b, w.g[:]...)
	b = binary.BigEndian.AppendUint64(b, 2)
	b = append(b, w.r.Head[:]...)
	b = append(b, sum[:]...)
	if want := Head(sha256.Sum256(b)); p.Head != want || HeadOf(w.g, 2, w.r.Head, p.Blob) != want || p.Roster.Head != want || p.Roster.Seq != 2 {
		t.Error("not the head of the specification")
	}
	if e := w.read(t, p.Blob); e.Head != p.Head || e.Prev != w.r.Head || e.Seq != 2 {
		t.Error("read with another head")
	}
}

func TestR_GRP_22_R_GRP_28_AgainstOtherTools(t *testing.T) {
	w := newSmall(t)
	next := NewSecret()
	p := w.propose(t, w.a, Change{Kind: Remove, Members: named(bob.Address)}, &next)
	if p.Blob[0] != 1 || len(p.Blob) != 1+32+256+16 {
		t.Fatalf("%d bytes", len(p.Blob))
	}
	logKey := refHMAC(w.s[:], binary.BigEndian.AppendUint64(append([]byte("pawl/1 group log key"), w.g[:]...), 1))
	key := refHMAC(logKey, append([]byte("pawl/1 group entry key"), p.Blob[1:33]...))
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCM(block)
	ad := append([]byte{1}, w.g[:]...)
	ad = binary.BigEndian.AppendUint64(ad, 2)
	ad = append(ad, w.r.Head[:]...)
	plain, err := aead.Open(nil, make([]byte, 12), p.Blob[33:], ad)
	if err != nil || len(plain)%256 != 0 {
		t.Fatal(err)
	}
	plain = bytes.TrimRight(plain, "\x00")
	var e entryWire
	if err := codec.Unmarshal(plain[:len(plain)-1], MaxEntry, &e); err != nil || plain[len(plain)-1] != 0x80 {
		t.Fatal(err)
	}
	id := w.a.ID()
	signed := append([]byte("pawl/1 group entry signature"), w.g[:]...)
	signed = binary.BigEndian.AppendUint64(signed, 1)
	signed = binary.BigEndian.AppendUint64(signed, 2)
	signed = append(signed, w.r.Head[:]...)
	signed = binary.BigEndian.AppendUint16(signed, uint16(len(alice.Address)))
	signed = append(signed, alice.Address...)
	signed = binary.BigEndian.AppendUint64(signed, alice.Device)
	signed = append(signed, alice.Identity[:]...)
	signed = append(signed, id[:]...)
	sum := sha256.Sum256(e.Body)
	signed = append(signed, sum[:]...)
	verify := w.a.Key().Verify
	if !ed25519.Verify(verify[:], signed, e.Signature) {
		t.Error("not the signature of the specification")
	}
	hash, commitment := p.Roster.Hash(), next.Commitment(w.g, 2)
	want := codec.Marshal(map[int]any{1: alice.Address, 2: alice.Device, 3: id[:], 4: testNow.Unix(),
		5: map[int]any{1: 3, 2: []any{map[int]any{1: bob.Address}}}, 6: hash[:], 7: commitment[:]})
	if !bytes.Equal(e.Body, want) {
		t.Errorf("body\n%x, want\n%x", e.Body, want)
	}
	// Two proposals of the same look different to the server, and are as long as
	// others.
	again := w.propose(t, w.a, Change{Kind: Remove, Members: named(bob.Address)}, &next)
	rename := w.propose(t, w.a, Change{Kind: Rename, Name: "a longer name than before"}, nil)
	if bytes.Equal(again.Blob, p.Blob) || len(rename.Blob) != len(p.Blob) {
		t.Error("blobs tell what they say")
	}
}

func TestR_GRP_28_Padding(t *testing.T) {
	for n := range 600 {
		in := bytes.Repeat([]byte{0xaa}, n)
		out := padEntry(in)
		got, ok := unpadEntry(out)
		if !ok || !bytes.Equal(got, in) || len(out)%EntryStep != 0 || len(out) <= n || len(out) > n+EntryStep {
			t.Fatalf("%d bytes become %d", n, len(out))
		}
		if _, ok := unpadEntry(append(out, make([]byte, EntryStep)...)); ok {
			t.Fatalf("%d bytes: more padding than needed accepted", n)
		}
		if _, ok := unpadEntry(out[:len(out)-1]); ok {
			t.Fatalf("%d bytes: less padding accepted", n)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 256), bytes.Repeat([]byte{1}, 256)} {
		if _, ok := unpadEntry(bad); ok {
			t.Error("no mark accepted")
		}
	}
}

func TestProposeWantsWhatItNeeds(t *testing.T) {
	w := newSmall(t)
	next := NewSecret()
	other := newChain(t, w.g, 2, alice)
	elsewhere := newChain(t, NewID(), 1, alice)
	rename, rekey := Change{Kind: Rename, Name: "x"}, Change{Kind: Rekey}
	for name, c := range map[string]struct {
		s      Secret
		by     Sending
		author Author
		change Change
		next   *Secret
		want   error
	}{
		"all there":            {w.s, w.a, alice.author(), rekey, &next, nil},
		"no next secret":       {w.s, w.a, alice.author(), rekey, nil, ErrEpoch},
		"a next secret":        {w.s, w.a, alice.author(), rename, &next, ErrEpoch},
		"another secret":       {next, w.a, alice.author(), rename, nil, ErrEpoch},
		"chain of epoch 2":     {w.s, other, alice.author(), rename, nil, ErrEpoch},
		"chain elsewhere":      {w.s, elsewhere, alice.author(), rename, nil, ErrEpoch},
		"chain of another":     {w.s, w.b, alice.author(), rename, nil, ErrEpoch},
		"no chain":             {w.s, Sending{}, alice.author(), rename, nil, ErrEpoch},
		"another device":       {w.s, w.a, Author{alice.Address, 77}, rename, nil, ErrEpoch},
		"not allowed":          {w.s, w.b, bob.author(), rename, nil, ErrNotAllowed},
		"changes that nothing": {w.s, w.a, alice.author(), Change{Kind: Rename, Name: "small"}, nil, ErrNothing},
	} {
		if _, err := Propose(w.r, c.s, c.by, c.author, c.change, c.next, testNow); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Propose(Roster{Group: w.g}, w.s, other, alice.author(), Change{Kind: Create, Name: "x", Members: []Member{member(alice.Address, Admin)}}, nil, testNow); !errors.Is(err, ErrEpoch) {
		t.Error(err)
	}
}

// unread wants a blob to be void for everybody who has the secret.
func TestR_GRP_26_BlobsThatAreNoEntries(t *testing.T) {
	w := newSmall(t)
	p := w.propose(t, w.a, Change{Kind: Rename, Name: "x"}, nil)
	good := p.Blob
	read := func(g ID, seq uint64, prev Head, s Secret, epoch uint64, blob []byte) {
		t.Helper()
		if _, err := Read(g, seq, prev, s, epoch, blob); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	}
	read(NewID(), 2, w.r.Head, w.s, 1, good)
	read(w.g, 3, w.r.Head, w.s, 1, good)
	read(w.g, 2, Head{}, w.s, 1, good)
	read(w.g, 2, w.r.Head, NewSecret(), 1, good)
	read(w.g, 2, w.r.Head, w.s, 2, good)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		read(w.g, 2, w.r.Head, w.s, 1, bad)
	}
	for n := range good {
		read(w.g, 2, w.r.Head, w.s, 1, good[:n])
	}
	read(w.g, 2, w.r.Head, w.s, 1, make([]byte, MaxBlob+1))
	next := w.r.Skip([]byte("garbage"))
	if next.Seq != 2 || next.Head != HeadOf(w.g, 2, w.r.Head, []byte("garbage")) || next.Hash() != w.r.Hash() {
		t.Error("skipping does more than skip")
	}
	// What a member encrypts that is no entry.
	place := func(body any, signature []byte) []byte {
		plain := codec.Marshal(entryWire{Body: codec.Marshal(body), Signature: signature})
		return sealBlob(w.s.logKey(w.g, 1), &[saltLen]byte{}, w.g, 2, &w.r.Head, padEntry(plain))
	}
	id := w.a.ID()
	fields := func(f func(map[int]any)) map[int]any {
		m := map[int]any{1: alice.Address, 2: 1, 3: id[:], 4: 5, 5: map[int]any{1: 8}, 6: make([]byte, 32), 7: bytes.Repeat([]byte{1}, 32)}
		f(m)
		return m
	}
	signature := make([]byte, 64)
	if _, err := Read(w.g, 2, w.r.Head, w.s, 1, place(fields(func(map[int]any) {}), signature)); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(map[int]any){
		"no device":                  func(m map[int]any) { m[2] = 0 },
		"author not canonical":       func(m map[int]any) { m[1] = "Alice@example.org" },
		"short chain":                func(m map[int]any) { m[3] = id[:15] },
		"far time":                   func(m map[int]any) { m[4] = uint64(1<<40 + 1) },
		"short state":                func(m map[int]any) { m[6] = make([]byte, 31) },
		"short commitment":           func(m map[int]any) { m[7] = make([]byte, 31) },
		"commitment zero":            func(m map[int]any) { m[7] = make([]byte, 32) },
		"rekey without a commitment": func(m map[int]any) { delete(m, 7) },
		"leave with a commitment":    func(m map[int]any) { m[5] = map[int]any{1: 4} },
		"kind 0":                     func(m map[int]any) { m[5] = map[int]any{1: 0} },
		"kind 9":                     func(m map[int]any) { m[5] = map[int]any{1: 9} },
		"kind 264":                   func(m map[int]any) { m[5] = map[int]any{1: 264} },
		"rekey with a name":          func(m map[int]any) { m[5] = map[int]any{1: 8, 3: "x"} },
		"rekey with a policy":        func(m map[int]any) { m[5] = map[int]any{1: 8, 4: 1} },
		"rekey with members":         func(m map[int]any) { m[5] = map[int]any{1: 8, 2: []any{map[int]any{1: bob.Address}}} },
		"remove with a role":         func(m map[int]any) { m[5] = map[int]any{1: 3, 2: []any{map[int]any{1: bob.Address, 3: 1}}} },
		"remove nobody":              func(m map[int]any) { m[5] = map[int]any{1: 3} },
		"remove in disorder": func(m map[int]any) {
			m[5] = map[int]any{1: 3, 2: []any{map[int]any{1: bob.Address}, map[int]any{1: ann}}}
		},
		"remove since": func(m map[int]any) { m[5] = map[int]any{1: 3, 2: []any{map[int]any{1: bob.Address, 4: 1}}} },
		"remove with a short key": func(m map[int]any) {
			m[5] = map[int]any{1: 3, 2: []any{map[int]any{1: bob.Address, 2: make([]byte, 31)}}}
		},
		"one more key": func(m map[int]any) { m[8] = 1 },
	} {
		if _, err := Read(w.g, 2, w.r.Head, w.s, 1, place(fields(f), signature)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	read(w.g, 2, w.r.Head, w.s, 1, place(fields(func(map[int]any) {}), signature[:63]))
}

// forgeEntry makes an entry as a member with its own tools could: whatever it
// says, signed by any chain.
func forgeEntry(tb testing.TB, r Roster, s Secret, by Sending, f func(*bodyWire)) []byte {
	tb.Helper()
	id := by.ID()
	w := bodyWire{Author: by.Sender().Address, Device: by.Sender().Device, Chain: id[:], Time: uint64(testNow.Unix()), State: make([]byte, 32)}
	f(&w)
	body := codec.Marshal(w)
	plain := codec.Marshal(entryWire{Body: body, Signature: ed25519.Sign(by.private, by.signedEntry(r.Seq+1, &r.Head, body))})
	return sealBlob(s.logKey(r.Group, r.Epoch), &[saltLen]byte{1}, r.Group, r.Seq+1, &r.Head, padEntry(plain))
}

func TestR_GRP_26_R_GRP_27_VoidEntries(t *testing.T) {
	w := newSmall(t)
	rename := Change{Kind: Rename, Name: "x"}
	stateOf := func(r Roster, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		h := r.Hash()
		return h[:]
	}
	right := stateOf(w.r.After(alice.Address, rename, testNow))
	set := func(author string, c Change, state []byte) func(*bodyWire) {
		return func(b *bodyWire) { b.Author, b.Change, b.State = author, c.wire(), state }
	}
	old := newChain(t, w.g, 7, alice)
	second := alice
	second.Device = 3
	a2 := newChain(t, w.g, 1, second)
	for name, c := range map[string]struct {
		by     Sending
		make   func(*bodyWire)
		verify Sending // whose public key and device the receiver looks up
		want   error
	}{
		"as it should be":         {w.a, set(alice.Address, rename, right), w.a, nil},
		"a member renames":        {w.b, set(bob.Address, rename, right), w.b, ErrNotAllowed},
		"bob as alice":            {w.b, set(alice.Address, rename, right), w.b, ErrForged},
		"bob as alice, her chain": {w.b, func(b *bodyWire) { set(alice.Address, rename, right)(b); id := w.a.ID(); b.Chain = id[:]; b.Device = 1 }, w.a, ErrForged},
		"alice, another device's": {w.a, func(b *bodyWire) { set(alice.Address, rename, right)(b); b.Device = 3 }, w.a, ErrForged},
		"another device of alice": {a2, func(b *bodyWire) { set(alice.Address, rename, right)(b) }, a2, nil},
		"chain of another epoch":  {old, set(alice.Address, rename, right), old, ErrForged},
		"names another chain":     {w.a, func(b *bodyWire) { set(alice.Address, rename, right)(b); id := a2.ID(); b.Chain = id[:] }, w.a, ErrForged},
		"wrong state hash":        {w.a, set(alice.Address, rename, make([]byte, 32)), w.a, ErrState},
		"nothing changes":         {w.a, set(alice.Address, Change{Kind: Rename, Name: "small"}, stateOf(w.r, nil)), w.a, ErrNothing},
		"creates the group once more": {w.a, func(b *bodyWire) {
			set(alice.Address, Change{Kind: Create, Name: "x", Members: []Member{member(alice.Address, Admin)}}, right)(b)
			b.Next = bytes.Repeat([]byte{1}, 32)
		}, w.a, ErrNotAllowed},
		"a stranger": {newChain(t, w.g, 1, sender(dan, 4)), set(dan, rename, right), newChain(t, w.g, 1, sender(dan, 4)), ErrForged},
	} {
		blob := forgeEntry(t, w.r, w.s, c.by, c.make)
		e := w.read(t, blob)
		before := w.r.Encode()
		next, err := w.r.Apply(e, c.verify.Key().Verify, c.verify.Sender())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if next.Seq != 2 || next.Head != HeadOf(w.g, 2, w.r.Head, blob) || (err != nil) != (next.Hash() == w.r.Hash()) {
			t.Errorf("%s: a void entry moves seq and head and nothing else", name)
		}
		if !bytes.Equal(before, w.r.Encode()) {
			t.Errorf("%s: the roster before has changed", name)
		}
	}
	// A stranger with a chain of its own and a right signature.
	d := newChain(t, w.g, 1, sender(dan, 4))
	blob := forgeEntry(t, w.r, w.s, d, set(dan, Change{Kind: Rekey}, right))
	_ = blob
	e := w.read(t, forgeEntry(t, w.r, w.s, d, set(dan, rename, right)))
	if _, err := w.r.Apply(e, d.Key().Verify, d.Sender()); !errors.Is(err, ErrNotMember) {
		t.Error(err)
	}

	// Who has the public seed of a chain of an earlier epoch signs for this one:
	// the id says which epoch the chain is of.
	public := *old.binding
	public.epoch = 1
	replay := old
	replay.binding = &public
	e = w.read(t, forgeEntry(t, w.r, w.s, replay, set(alice.Address, rename, right)))
	if next, err := w.r.Apply(e, old.Key().Verify, alice); !errors.Is(err, ErrForged) || next.Hash() != w.r.Hash() {
		t.Error(err)
	}

	// Entries that were placed do not count again, nor after others.
	p := w.propose(t, w.a, rename, nil)
	e = w.read(t, p.Blob)
	next, err := w.r.Apply(e, w.a.Key().Verify, alice)
	if err != nil || next.Name != "x" {
		t.Fatal(err)
	}
	if again, err := next.Apply(e, w.a.Key().Verify, alice); !errors.Is(err, ErrNotNext) || again.Seq != next.Seq || again.Head != next.Head {
		t.Error(err)
	}
	if _, err := Read(w.g, next.Seq+1, next.Head, w.s, 1, p.Blob); !errors.Is(err, ErrMalformed) {
		t.Error("a replayed blob is read")
	}
	// A member who encrypts the body of an entry anew, for another place, has no
	// signature for it.
	moved := codec.Marshal(entryWire{Body: e.signed, Signature: e.signature[:]})
	blob = sealBlob(w.s.logKey(w.g, 1), &[saltLen]byte{9}, w.g, next.Seq+1, &next.Head, padEntry(moved))
	re, err := Read(w.g, next.Seq+1, next.Head, w.s, 1, blob)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := next.Apply(re, w.a.Key().Verify, alice); !errors.Is(err, ErrForged) || after.Hash() != next.Hash() {
		t.Error(err)
	}
	// Nor for another group with the same members.
	o := newSmall(t)
	blob = sealBlob(o.s.logKey(o.g, 1), &[saltLen]byte{9}, o.g, 2, &o.r.Head, padEntry(moved))
	re = o.read(t, blob)
	if _, err := o.r.Apply(re, w.a.Key().Verify, alice); !errors.Is(err, ErrForged) {
		t.Error(err)
	}
	if _, err := o.r.Apply(e, w.a.Key().Verify, alice); !errors.Is(err, ErrNotNext) {
		t.Error(err)
	}
	first, err := Propose(Roster{Group: w.g}, w.s, w.a, alice.author(), Change{Kind: Create, Name: "first", Members: []Member{member(alice.Address, Admin)}}, nil, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = Read(w.g, 1, Head{}, w.s, 1, first.Blob); err != nil {
		t.Fatal(err)
	}
	if next, err := (Roster{Group: o.g}).Apply(e, w.a.Key().Verify, alice); !errors.Is(err, ErrNotNext) || next.Seq != 0 {
		t.Error(err)
	}
}

// A member who was removed reads up to its removal, and writes nothing after it.
func TestR_GRP_25_RemovedMembersReadNoFurther(t *testing.T) {
	w := newSmall(t)
	s2 := NewSecret()
	p := w.propose(t, w.a, Change{Kind: Remove, Members: named(bob.Address)}, &s2)
	e := w.read(t, p.Blob)
	r, err := w.r.Apply(e, w.a.Key().Verify, alice)
	if err != nil || e.Next != s2.Commitment(w.g, 2) || !r.Holds(s2) || r.Holds(w.s) {
		t.Fatal(err)
	}
	a2 := newChain(t, w.g, 2, alice)
	q, err := Propose(r, s2, a2, alice.author(), Change{Kind: Rename, Name: "without bob"}, nil, testNow)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []uint64{1, 2} {
		if _, err := Read(w.g, 3, r.Head, w.s, epoch, q.Blob); err == nil {
			t.Error("bob reads on")
		}
	}
	if w.s.Token(w.g, 1) == s2.Token(w.g, 2) || w.s.Token(w.g, 2) == s2.Token(w.g, 2) {
		t.Error("bob writes on")
	}
	// Bob, with a server on his side, places what he likes under the old secret:
	// it is void.
	by := r
	by.Epoch, by.Commitment = 1, w.r.Commitment
	blob := forgeEntry(t, by, w.s, w.b, func(b *bodyWire) { c := Change{Kind: Leave}; b.Change = c.wire() })
	if _, err := Read(w.g, 3, r.Head, s2, 2, blob); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}
