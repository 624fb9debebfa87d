package groups

import (
	"bytes"
	"errors"
	"testing"
)

// states is one received chain of each shape.
func states(tb testing.TB) map[string]Receiving {
	tb.Helper()
	g := NewID()
	old := newChain(tb, g, 1, bob)
	c, err := NewSending(g, 2, bob, testNow, Before{old.ID(), 9})
	if err != nil {
		tb.Fatal(err)
	}
	fresh := accept(tb, c)
	all := burst(tb, &c, 1100)
	holding := fresh
	open(tb, &holding, all[3], testNow)
	full := fresh
	open(tb, &full, all[1099], testNow)
	closed, _ := holding.Close(nil)
	seed := c.Seed()
	disclosed, err := holding.Close(&seed)
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]Receiving{"fresh": fresh, "holding": holding, "full": full, "closed": closed, "disclosed": disclosed}
}

func TestR_GRP_15_Records(t *testing.T) {
	for name, r := range states(t) {
		b := r.AppendRecord([]byte("before"))
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal("does not append")
		}
		b = b[len("before"):]
		got, err := ParseReceiving(b)
		if err != nil || !bytes.Equal(got.AppendRecord(nil), b) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.ID() != r.ID() || got.Sender() != bob || got.Verify() != r.Verify() || got.Index() != r.Index() || got.Closed() != r.Closed() ||
			got.Before() != r.Before() || !got.Created().Equal(testNow) || got.Epoch() != 2 || got.Group() != r.Group() || got.Missing() != r.Missing() {
			t.Errorf("%s: comes back different", name)
		}
		joined, err := JoinReceiving(r.AppendHead(nil), r.AppendSkipped(nil))
		if err != nil || !bytes.Equal(joined.AppendRecord(nil), b) {
			t.Errorf("%s: in two parts: %v", name, err)
		}
		step := 1
		if len(b) > 5000 {
			step = 97
		}
		for n := 0; n < len(b); n += step {
			if _, err := ParseReceiving(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: prefix of %d bytes: %v", name, n, err)
			}
			bad := bytes.Clone(b)
			bad[n] ^= 0x80
			if got, err := ParseReceiving(bad); err == nil && !bytes.Equal(got.AppendRecord(nil), bad) {
				t.Errorf("%s: byte %d changed is read as something else", name, n)
			}
		}
		if _, err := ParseReceiving(append(bytes.Clone(b), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
		b[0] = 2
		if _, err := ParseReceiving(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: version 2: %v", name, err)
		}
	}
	all := states(t)
	for name, parts := range map[string][2]Receiving{"of other times": {all["fresh"], all["holding"]}, "a closed one's keys": {all["closed"], all["holding"]}} {
		if _, err := JoinReceiving(parts[0].AppendHead(nil), parts[1].AppendSkipped(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("parts %s join: %v", name, err)
		}
	}
	if n := len(all["full"].AppendRecord(nil)); n > 45<<10 {
		t.Errorf("a full record has %d bytes", n)
	}
	// In order, the skipped part stays as it is.
	c := newChain(t, NewID(), 1, alice)
	r := accept(t, c)
	m := burst(t, &c, 5)
	open(t, &r, m[2], testNow)
	part := r.AppendSkipped(nil)
	if o := open(t, &r, m[3], testNow); o.SkippedChanged || !bytes.Equal(part, r.AppendSkipped(nil)) {
		t.Error("a message in order changes the skipped part")
	}
	if o := open(t, &r, m[0], testNow); !o.SkippedChanged {
		t.Error("a late message does not change the skipped part")
	}
}

func TestR_GRP_15_SendingRecords(t *testing.T) {
	g := NewID()
	c, err := NewSending(g, 3, alice, testNow, Before{ChainID{1}, 5})
	if err != nil {
		t.Fatal(err)
	}
	burst(t, &c, 3)
	b := c.AppendRecord(nil)
	got, err := ParseSending(b)
	if err != nil || !bytes.Equal(got.AppendRecord(nil), b) || got.ID() != c.ID() || got.Index() != 3 || got.Seed() != c.Seed() || got.Key() != c.Key() {
		t.Fatal(err)
	}
	x, _ := c.Seal(1, Head{1}, []byte("same"))
	y, _ := got.Seal(1, Head{1}, []byte("same"))
	if !bytes.Equal(x.Message, y.Message) {
		t.Error("seals differently")
	}
	for n := range b {
		if _, err := ParseSending(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("prefix of %d bytes: %v", n, err)
		}
		bad := bytes.Clone(b)
		bad[n] ^= 0x80
		if got, err := ParseSending(bad); err == nil && !bytes.Equal(got.AppendRecord(nil), bad) {
			t.Errorf("byte %d changed is read as something else", n)
		}
	}
	// A seed that is not the public key's would sign under a key that nobody has.
	bad := bytes.Clone(b)
	bad[len(bad)-4-64] ^= 1
	if _, err := ParseSending(bad); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := ParseSending(append(b, 0)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// The zero values are no chains, and say so.
func TestZeroValues(t *testing.T) {
	var c Sending
	var r Receiving
	if _, err := c.Seal(1, Head{}, nil); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if c.ID() != r.ID() || c.Epoch() != r.Epoch() || c.Group() != r.Group() || c.Sender() != r.Sender() || c.Before() != r.Before() ||
		!c.Created().Equal(r.Created()) || r.Verify() != [32]byte{} || c.Seed() != [32]byte{} || c.Key() != (ChainKey{}) {
		t.Error("something is known of no chain")
	}
	if _, err := Accept(c.Key(), c.Sender()); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := r.Renew(c.Key()); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}
