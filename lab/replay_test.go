package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// recorded plays a scenario and returns its report and its trace.
func recorded(t testing.TB, s *Scenario) (*Report, []byte) {
	t.Helper()
	var b bytes.Buffer
	r, err := s.Record(t.Context(), 0, &b)
	if err != nil {
		t.Fatal(err)
	}
	return r, b.Bytes()
}

// R-LAB-25: judged again from its trace, every shipped scenario gives the same
// report, to the letter.
func TestR_LAB_25_SameReport(t *testing.T) {
	quantum := large()
	quantum.Name, quantum.Steps[0].Count, quantum.Steps[0].Thefts, quantum.Steps[0].Quantum = "quantum", 200, 5, true
	all := append(Shipped(), large(), quantum)
	for _, s := range all {
		r, b := recorded(t, s)
		again, err := Replay(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		t.Logf("%s: %d letters, %d bytes", s.Name, len(r.Wire), len(b))
		for i := range r.Verdicts {
			if !reflect.DeepEqual(r.Verdicts[i], again.Verdicts[i]) {
				t.Errorf("%s: %+v\nbecame %+v", s.Name, r.Verdicts[i], again.Verdicts[i])
			}
		}
		x, y := *r, *again
		x.Scenario, y.Scenario, x.Verdicts, y.Verdicts = nil, nil, nil, nil
		if !reflect.DeepEqual(x, y) {
			t.Errorf("%s: %+v\nbecame %+v", s.Name, x, y)
		}
	}
}

// split takes a trace apart into the encodings of its items.
func split(t testing.TB, b []byte) (items [][]byte) {
	t.Helper()
	b = b[len(traceMagic):]
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		items = append(items, slices.Clone(b[4:4+n]))
		b = b[4+n:]
	}
	return items
}

// join puts items together again, under a hash that is right.
func join(items [][]byte) []byte {
	b := []byte(traceMagic)
	put := func(i []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(i))), i...) }
	for _, i := range items[:len(items)-1] {
		put(i)
	}
	sum := sha256.Sum256(b)
	put(codec.Marshal(endItem{Kind: kindEnd, Count: uint64(len(items) - 1), Sum: sum[:]}))
	return b
}

func kindOf(item []byte) int { return int(item[1]) }

func shipped(t testing.TB, name string) *Scenario {
	t.Helper()
	for _, s := range Shipped() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %s", name)
	return nil
}

// R-LAB-24: a trace has what happened in its order, and no other run than the one that was reported.
func TestR_LAB_24_InOrder(t *testing.T) {
	r, b := recorded(t, shipped(t, "clone"))
	items := split(t, b)
	counts := map[int]int{}
	letters, messages := 0, 0
	for i, item := range items {
		counts[kindOf(item)]++
		switch kindOf(item) {
		case kindLetter:
			var l letterItem
			if err := codec.Unmarshal(item, MaxItem, &l); err != nil {
				t.Fatal(err)
			}
			if int(l.Message) > messages || l.Farewell != r.Wire[letters].Farewell || l.Thief != r.Wire[letters].Thief || int(l.Message) != r.Wire[letters].Message || len(l.Body) == 0 {
				t.Errorf("item %d is letter %+v", i, l)
			}
			letters++
		case kindMessage:
			messages++
		case kindTheft:
			if letters != r.Verdicts[0].Wire || messages != r.Verdicts[0].Sent {
				t.Errorf("the theft comes after %d letters", letters)
			}
		}
	}
	want := map[int]int{
		kindHeader: 1, kindEnd: 1, kindOutcome: 1, kindStep: len(r.Scenario.Steps), kindLetter: r.Letters, kindMessage: r.Messages, kindRead: r.Delivered,
		kindTheft: 1, kindVerdict: 1, kindDevice: 2, kindFinal: 2, kindShown: 2, kindLater: r.Injected,
	}
	for kind, n := range want {
		if counts[kind] != n {
			t.Errorf("%d items of kind %d, not %d", counts[kind], kind, n)
		}
	}
	for _, kind := range []int{kindBlob, kindRefused, kindValue, kindRule} {
		if counts[kind] == 0 {
			t.Errorf("no item of kind %d", kind)
		}
	}
	if !bytes.Equal(join(items), b) {
		t.Error("the trace is written otherwise than its description says")
	}
	_, crashed := recorded(t, shipped(t, "crash"))
	if !slices.ContainsFunc(split(t, crashed), func(b []byte) bool { return kindOf(b) == kindCrash }) {
		t.Error("no crash is written")
	}
}

// failing is a disk that is full after some bytes.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

// R-LAB-24: a trace that cannot be written is no run.
func TestR_LAB_24_CannotBeWritten(t *testing.T) {
	s := shipped(t, "state-theft")
	for _, n := range []int{0, 100, 20_000, 40_000} {
		if _, err := s.Record(t.Context(), 0, &failing{n}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	s = shipped(t, "state-theft")
	s.Expect[0].Forges = []string{}
	if _, err := s.Record(t.Context(), 0, io.Discard); err != nil {
		t.Errorf("an expectation of nobody: %v", err)
	}
	j := newJournal(io.Discard)
	j.written = MaxTrace - 2
	j.put(readItem{Kind: kindRead})
	if !errors.Is(j.err, ErrScenario) {
		t.Errorf("a trace without end: %v", j.err)
	}
}

// R-LAB-25: whoever changes a byte, cuts or adds something is found.
func TestR_LAB_25_Changed(t *testing.T) {
	_, b := recorded(t, shipped(t, "one-time"))
	replay := func(b []byte) error {
		_, err := Replay(t.Context(), bytes.NewReader(b))
		return err
	}
	for at := 0; at < len(b); at += max(1, len(b)/400) {
		c := slices.Clone(b)
		c[at] ^= 1 << (at % 8)
		if err := replay(c); !errors.Is(err, ErrTrace) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if err := replay(b[:at]); !errors.Is(err, ErrTrace) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	for name, c := range map[string][]byte{
		"nothing": {}, "magic only": []byte(traceMagic), "something after it": append(slices.Clone(b), 0), "twice": append(slices.Clone(b), b...),
		"a length of nothing": append([]byte(traceMagic), 0, 0, 0, 0), "a length of everything": append([]byte(traceMagic), 255, 255, 255, 255),
	} {
		if err := replay(c); !errors.Is(err, ErrTrace) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Replay(ctx, bytes.NewReader(b)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// R-LAB-25: who changes what matters and makes the hash right again is found by
// the judges.
func TestR_LAB_25_ChangedWithItsHash(t *testing.T) {
	_, b := recorded(t, shipped(t, "state-theft"))
	items := split(t, b)
	// on changes the first item of a kind for which change says so.
	on := func(kind int, change func([]byte) [][]byte) []byte {
		out := slices.Clone(items)
		for i, item := range out {
			if kindOf(item) == kind {
				if now := change(item); now != nil {
					return join(slices.Replace(out, i, i+1, now...))
				}
			}
		}
		t.Fatalf("no item of kind %d to change", kind)
		return nil
	}
	gone := func([]byte) [][]byte { return [][]byte{} }
	verdict := func(change func(*verdictItem)) func([]byte) [][]byte {
		return func(b []byte) [][]byte {
			var v verdictItem
			if err := codec.Unmarshal(b, MaxItem, &v); err != nil {
				t.Fatal(err)
			}
			change(&v)
			return [][]byte{codec.Marshal(v)}
		}
	}
	letter := func(n int, change func(*letterItem)) func([]byte) [][]byte {
		return func(b []byte) [][]byte {
			var l letterItem
			if err := codec.Unmarshal(b, MaxItem, &l); err != nil {
				t.Fatal(err)
			}
			if n--; n >= 0 {
				return nil
			}
			change(&l)
			return [][]byte{codec.Marshal(l)}
		}
	}
	theft := func(change func(*theftItem)) func([]byte) [][]byte {
		return func(b []byte) [][]byte {
			var l theftItem
			if err := codec.Unmarshal(b, MaxItem, &l); err != nil {
				t.Fatal(err)
			}
			change(&l)
			return [][]byte{codec.Marshal(l)}
		}
	}
	for _, c := range []struct {
		what string
		b    []byte
		want error
	}{
		{"as it was", join(items), nil},
		{"a verdict of nothing opened", on(kindVerdict, verdict(func(v *verdictItem) { v.Opened = "" })), ErrJudgement},
		{"a verdict that healing was faster", on(kindVerdict, verdict(func(v *verdictItem) { v.Healed-- })), ErrJudgement},
		{"a verdict on another theft", on(kindVerdict, verdict(func(v *verdictItem) { v.At += "!" })), ErrJudgement},
		{"no verdict", on(kindVerdict, gone), ErrTrace},
		{"an open letter's bytes", on(kindLetter, letter(4, func(l *letterItem) { l.Body[len(l.Body)-1] ^= 1 })), ErrJudgement},
		{"an open letter's text", on(kindLetter, letter(4, func(l *letterItem) { l.Text[0] ^= 1 })), ErrTrace},
		{"an open letter's number of message", on(kindLetter, letter(4, func(l *letterItem) { l.Message-- })), ErrJudgement},
		{"a letter less", on(kindLetter, gone), ErrTrace},
		{"no theft", on(kindTheft, gone), ErrTrace},
		{"a theft without sessions", on(kindTheft, theft(func(l *theftItem) { l.Disk.Sessions = nil })), ErrJudgement},
		{"a theft with another identity key", on(kindTheft, theft(func(l *theftItem) { l.Disk.Identity[5] ^= 1 })), ErrTrace},
		{"a theft with what is no prekey", on(kindTheft, theft(func(l *theftItem) { l.Disk.Prekeys[0] = l.Disk.Replay })), ErrTrace},
		{"a theft of nobody", on(kindTheft, theft(func(l *theftItem) { l.Of = 9 })), ErrTrace},
		{"a device less", on(kindDevice, gone), ErrTrace},
		{"no last state", on(kindFinal, gone), ErrTrace},
		{"an opening less", on(kindRead, gone), ErrTrace},
		{"a message less", on(kindMessage, gone), ErrTrace},
		{"a step less", on(kindStep, gone), ErrTrace},
		{"a value less", on(kindValue, gone), ErrTrace},
		{"no outcome", on(kindOutcome, gone), ErrTrace},
		{"two headers", on(kindHeader, func(b []byte) [][]byte { return [][]byte{b, b} }), ErrTrace},
		{"a rule from nothing", on(kindRule, func([]byte) [][]byte { return [][]byte{codec.Marshal(ruleItem{Kind: kindRule})} }), ErrTrace},
		{"a later version", on(kindHeader, func(b []byte) [][]byte { c := slices.Clone(b); c[2]++; return [][]byte{c} }), ErrTrace},
		{"another seed in a longer form", on(kindStep, func(b []byte) [][]byte { return [][]byte{{0x83, 0x03, 0x18, 0x01, 0x00}} }), ErrTrace},
		{"an item of no kind", on(kindStep, func(b []byte) [][]byte { return [][]byte{{0x81, 0x18, 0x18}} }), ErrTrace},
	} {
		r, err := Replay(t.Context(), bytes.NewReader(c.b))
		if !errors.Is(err, c.want) || (r != nil) != (err == nil || errors.Is(err, ErrJudgement)) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	// Every rule that the verdict hangs on: without it the judges differ.
	found := 0
	for i, item := range items {
		if kindOf(item) == kindRule {
			if r, err := Replay(t.Context(), bytes.NewReader(join(slices.Delete(slices.Clone(items), i, i+1)))); errors.Is(err, ErrJudgement) && !r.Verdicts[0].Agree && !r.Met {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no missing rule was found")
	}
}

// slim makes a trace short: without prekeys, of which each device has two
// hundred.
func slim(t testing.TB, items [][]byte) []byte {
	blobs := map[uint64]bool{}
	take := func(d *diskEntry) {
		for _, n := range d.Prekeys {
			blobs[n] = true
		}
		d.Prekeys = nil
	}
	var out [][]byte
	for _, item := range items {
		if kindOf(item) == kindPrekey {
			continue
		}
		var theft theftItem
		var final finalItem
		switch {
		case codec.Unmarshal(item, MaxItem, &theft) == nil && theft.Kind == kindTheft:
			take(&theft.Disk)
			item = codec.Marshal(theft)
		case codec.Unmarshal(item, MaxItem, &final) == nil && final.Kind == kindFinal:
			take(&final.Disk)
			item = codec.Marshal(final)
		}
		out = append(out, item)
	}
	number := uint64(0)
	for i, item := range out {
		if kindOf(item) == kindBlob {
			if blobs[number] {
				out[i] = codec.Marshal(blobItem{Kind: kindBlob})
			}
			number++
		}
	}
	return join(out)
}

// R-LAB-26: garbage is refused, without a panic; what is accepted is judged.
// The input changes an item of a trace, or puts one in, under a hash that is
// right; or it is the trace.
func FuzzReplay(f *testing.F) {
	var bases [][][]byte
	for n, name := range []string{"clone", "two-views", "quantum-theft"} {
		_, b := recorded(f, shipped(f, name))
		items := split(f, slim(f, split(f, b)))
		if _, err := Replay(f.Context(), bytes.NewReader(join(items))); err != nil && !errors.Is(err, ErrJudgement) { // some rest on prekeys
			f.Fatal(err)
		}
		bases = append(bases, items)
		seen := map[int]int{}
		for i, item := range items {
			if seen[kindOf(item)]++; seen[kindOf(item)] <= 3 {
				f.Add(byte(n), uint16(i), uint16(2), false, []byte{0x05})
			}
		}
	}
	f.Add(byte(0), uint16(0), uint16(0), false, []byte{})
	f.Add(byte(0), uint16(30), uint16(0), true, bases[0][1])
	f.Add(byte(0), uint16(65535), uint16(0), true, []byte(traceMagic+"\x00\x00\x00\x02\x80\x00"))
	f.Fuzz(func(t *testing.T, base byte, at, offset uint16, more bool, with []byte) {
		items := bases[int(base)%len(bases)]
		c := with
		if int(at) < len(items) {
			all := slices.Clone(items)
			if more && len(with) > 1 {
				all = slices.Insert(all, int(at), with)
			} else if item := slices.Clone(all[at]); int(offset) < len(item) {
				copy(item[offset:], with)
				all[at] = item
			}
			c = join(all)
		}
		r, err := Replay(t.Context(), bytes.NewReader(c))
		switch {
		case err != nil && !errors.Is(err, ErrTrace) && !errors.Is(err, ErrJudgement):
			t.Errorf("refused with %v", err)
		case (r == nil) == (err == nil || errors.Is(err, ErrJudgement)):
			t.Errorf("a report %t with %v", r != nil, err)
		}
	})
}
