package devicelist

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
)

// history is a valid chain of four: first device, second added, first renamed
// and with capabilities, first revoked.
func history(t testing.TB, p *person) (entries [][]byte, lists []List) {
	t.Helper()
	e, l := p.first(t)
	add := func(n List) {
		t.Helper()
		e, v := p.sign(t, n)
		entries, lists = append(entries, e), append(lists, v)
		l = v
	}
	entries, lists = append(entries, e), append(lists, l)
	n := l.Next(start.Add(time.Hour))
	n.Devices = append(n.Devices, p.device(2, "phone"))
	add(n)
	n = l.Next(start.Add(2 * time.Hour))
	n.Devices[0].Name, n.Devices[0].Caps = "old laptop", []uint64{1, 2}
	add(n)
	n = l.Next(start.Add(3 * time.Hour))
	n.Devices[0].Status = Revoked
	add(n)
	return entries, lists
}

func TestR_IDN_10_Chain(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	entries, lists := history(t, p)
	for n := 1; n <= len(entries); n++ {
		l, err := VerifyChain(entries[:n])
		if err != nil || l.Hash() != lists[n-1].Hash() || l.Version != uint64(n) {
			t.Fatalf("%d entries: version %d, %v", n, l.Version, err)
		}
	}
	last := lists[3]
	if a := last.Active(); len(a) != 1 || a[0].ID != 2 {
		t.Errorf("active: %v", a)
	}
	for name, bad := range map[string][][]byte{
		"first missing":  entries[1:],
		"second missing": {entries[0], entries[2], entries[3]},
		"swapped":        {entries[0], entries[2], entries[1]},
		"entry twice":    {entries[0], entries[0]},
		"too long":       slices.Repeat([][]byte{entries[0]}, MaxChain+1),
		"empty":          nil,
	} {
		if _, err := VerifyChain(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestR_IDN_10_Refusals(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	entries, lists := history(t, p)
	held := lists[1] // version 2, two active devices
	other := newPerson(t, "alice@example.org", 51)
	moved := newPerson(t, "alice@example.com", 50)

	draft := func(change func(*List)) List {
		n := held.Next(start.Add(2 * time.Hour))
		change(&n)
		return n
	}
	rebuilt := func(q *person, n List) List {
		n.Account, n.Address = q.key(), q.addr
		for i, d := range n.Devices {
			n.Devices[i] = q.device(byte(d.ID), d.Name)
		}
		return n
	}
	for name, c := range map[string]struct {
		signer *person
		list   List
		want   error
	}{
		"another account key": {other, rebuilt(other, held.Next(start.Add(2*time.Hour))), ErrAccount},
		"another address":     {moved, rebuilt(moved, held.Next(start.Add(2*time.Hour))), ErrAddress},
		"fork at the next version": {p, draft(func(l *List) {
			l.Prev[5] ^= 1
		}), ErrFork},
		"fork at the same version": {p, func() List {
			n := lists[0].Next(start.Add(90 * time.Minute))
			return n
		}(), ErrFork},
		"version skipped": {p, draft(func(l *List) { l.Version++ }), ErrNotExtending},
		"dated earlier":   {p, draft(func(l *List) { l.Time = held.Time - 1 }), ErrTime},
		"device vanished": {p, draft(func(l *List) { l.Devices = l.Devices[:1] }), ErrNotExtending},
		"device replaced": {p, draft(func(l *List) { l.Devices[1] = p.device(3, "new") }), ErrNotExtending},
		"devices reordered": {p, draft(func(l *List) {
			l.Devices[0], l.Devices[1] = l.Devices[1], l.Devices[0]
		}), ErrNotExtending},
		"changed keys": {p, draft(func(l *List) {
			l.Devices[1] = p.device(9, "phone")
			l.Devices[1].ID = 2
			d := NewDevice(p.key(), p.addr, 2, signer(9), p.device(9, "").DH, "phone", start)
			l.Devices[1] = d
		}), ErrNotExtending},
		"changed DH key": {p, draft(func(l *List) {
			l.Devices[1] = NewDevice(p.key(), p.addr, 2, signer(2), p.device(9, "").DH, "phone", start)
		}), ErrNotExtending},
		"changed date": {p, draft(func(l *List) { l.Devices[1].AddedAt++ }), ErrNotExtending},
		"added revoked": {p, draft(func(l *List) {
			d := p.device(3, "ghost")
			d.Status = Revoked
			l.Devices = append(l.Devices, d)
		}), ErrNotExtending},
	} {
		e, err := Sign(c.list, c.signer.account)
		if err != nil {
			t.Errorf("%s: the test's own entry does not verify: %v", name, err)
			continue
		}
		if _, err := Extend(held, e); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Extend(held, entries[0]); !errors.Is(err, ErrRollback) {
		t.Errorf("rollback: %v", err)
	}
	if _, err := Extend(held, entries[1]); !errors.Is(err, ErrNotExtending) {
		t.Errorf("the entry held: %v", err)
	}
}

func TestR_IDN_04_RevokedStaysRevoked(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, lists := history(t, p)
	n := lists[3].Next(start.Add(4 * time.Hour))
	n.Devices[0].Status = Active
	e, _ := p.sign(t, n)
	if _, err := Extend(lists[3], e); !errors.Is(err, ErrNotExtending) {
		t.Errorf("re-activated: %v", err)
	}
	// Nor under a fresh row with the same id or the same keys.
	n = lists[3].Next(start.Add(4 * time.Hour))
	n.Devices = append(n.Devices, p.device(1, "again"))
	if _, err := Sign(n, p.account); !errors.Is(err, ErrMalformed) {
		t.Errorf("added again: %v", err)
	}
	n.Devices[2] = NewDevice(p.key(), p.addr, address.Device(7), signer(1), p.device(7, "").DH, "again", start)
	if _, err := Sign(n, p.account); !errors.Is(err, ErrKey) {
		t.Errorf("added again under another id: %v", err)
	}
}

// A new proof is checked also when the list is an extension, and an altered
// proof of an old device does not pass as already checked.
func TestR_IDN_08_ProofsInExtensions(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, lists := history(t, p)
	n := lists[1].Next(start.Add(2 * time.Hour))
	n.Devices = append(n.Devices, p.device(3, "third"))
	n.Devices[2].Proof = n.Devices[1].Proof
	if _, err := Extend(lists[1], p.force(toWire(&n))); !errors.Is(err, ErrProof) {
		t.Errorf("new device: %v", err)
	}
	// An old device with other keys under its old proof.
	for name, change := range map[string]func(*Device){
		"DH key":      func(d *Device) { d.DH = p.device(9, "").DH },
		"signing key": func(d *Device) { d.Sign = p.device(9, "").Sign },
	} {
		n = lists[1].Next(start.Add(2 * time.Hour))
		change(&n.Devices[1])
		if _, err := Extend(lists[1], p.force(toWire(&n))); !errors.Is(err, ErrProof) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	// Another account, or the same at another address, takes over the rows.
	for name, q := range map[string]*person{
		"account": newPerson(t, "alice@example.org", 51),
		"address": newPerson(t, "alice@example.com", 50),
	} {
		n = lists[1].Next(start.Add(2 * time.Hour))
		n.Account, n.Address = q.key(), q.addr
		if _, err := Extend(lists[1], q.force(toWire(&n))); !errors.Is(err, ErrProof) {
			t.Errorf("rows under another %s: %v", name, err)
		}
	}
	n = lists[1].Next(start.Add(2 * time.Hour))
	n.Devices[1].Proof = slices.Clone(n.Devices[1].Proof)
	n.Devices[1].Proof[10] ^= 1
	if _, err := Extend(lists[1], p.force(toWire(&n))); !errors.Is(err, ErrProof) {
		t.Errorf("old device: %v", err)
	}
}

func TestR_IDN_13_Advance(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	entries, lists := history(t, p)
	for from := range lists {
		for to := from; to < len(lists); to++ {
			l, err := Advance(lists[from], entries[:to+1])
			if err != nil || l.Hash() != lists[to].Hash() {
				t.Errorf("from %d to %d: version %d, %v", from+1, to+1, l.Version, err)
			}
		}
		for to := range from {
			if _, err := Advance(lists[from], entries[:to+1]); !errors.Is(err, ErrRollback) {
				t.Errorf("from %d back to %d: %v", from+1, to+1, err)
			}
		}
	}
	if _, err := Advance(lists[0], nil); !errors.Is(err, ErrRollback) {
		t.Errorf("no history: %v", err)
	}
	// The same account with another past.
	n := lists[0].Next(start.Add(time.Minute))
	n.Devices = append(n.Devices, p.device(5, "inserted"))
	forked, _ := p.sign(t, n)
	if _, err := Advance(lists[1], [][]byte{entries[0], forked}); !errors.Is(err, ErrFork) {
		t.Errorf("fork: %v", err)
	}
	// A later version on top of a fork below what is held.
	if _, err := Advance(lists[1], [][]byte{entries[0], forked, entries[2]}); err == nil {
		t.Error("fork with a later version accepted")
	}
	// Another account in its place, and another address.
	q := newPerson(t, "alice@example.org", 51)
	theirs, _ := history(t, q)
	if _, err := Advance(lists[1], theirs); !errors.Is(err, ErrAccount) {
		t.Errorf("another account: %v", err)
	}
	m := newPerson(t, "alice@example.com", 50)
	moved, _ := history(t, m)
	if _, err := Advance(lists[1], moved); !errors.Is(err, ErrAddress) {
		t.Errorf("another address: %v", err)
	}
	// Garbage after what is held.
	if _, err := Advance(lists[0], [][]byte{entries[0], {1, 2, 3}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
}

// A clock that is behind does not keep an account from a new version.
func TestNextWithAClockBehind(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	e, _ := p.sign(t, l.Next(start.Add(-time.Hour)))
	if _, err := Extend(l, e); err != nil {
		t.Error(err)
	}
	// The draft does not share its devices with the list.
	n := l.Next(start)
	n.Devices[0].Status = Revoked
	if l.Devices[0].Status != Active {
		t.Error("a draft changed the list it came from")
	}
}

func BenchmarkExtend(b *testing.B) {
	p := newPerson(b, "alice@example.org", 50)
	entries, lists := history(b, p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Extend(lists[2], entries[3]); err != nil {
			b.Fatal(err)
		}
	}
}
