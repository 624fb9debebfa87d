package content_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
)

var (
	now = time.UnixMilli(1_800_000_000_123).UTC()
	id  = content.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

// text makes a text content or fails.
func text(tb testing.TB, ttl time.Duration, t content.Text) content.Content {
	tb.Helper()
	c, err := content.NewText(id, now, ttl, t)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// object is the encoded form, written out here a second time.
type object struct {
	_      struct{} `cbor:",toarray"`
	Kind   any
	ID     any
	SentAt any
	TTL    any
	Body   any
}

func body(v map[int]any) []byte { return codec.Marshal(v) }

// padded is v padded as spec/content.md has it.
func padded(v any) []byte { return padTo(codec.Marshal(v), 0) }

// padTo pads to the next allowed length, plus more zeros.
func padTo(b []byte, more int) []byte {
	n := max(len(b)+1, 256)
	for !allowed(n) {
		n++
	}
	out := make([]byte, n+more)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

// allowed reports whether n is a Padmé length: a number whose lower bits, all
// but as many as it takes to write its exponent, are zero.
func allowed(n int) bool {
	e := 0
	for n>>(e+1) != 0 {
		e++
	}
	s := 0
	for e>>s != 0 {
		s++
	}
	return n%(1<<(e-s)) == 0
}

func same(a, b content.Content) bool {
	return a.Kind == b.Kind && a.ID == b.ID && a.SentAt.Equal(b.SentAt) && a.TTL == b.TTL && reflect.DeepEqual(a.Text, b.Text) && bytes.Equal(a.Body, b.Body)
}

func TestR_CNT_01_RoundTrip(t *testing.T) {
	reply := content.NewID()
	for name, c := range map[string]content.Content{
		"text":      text(t, 0, content.Text{Text: "hello"}),
		"empty":     text(t, 0, content.Text{}),
		"full":      text(t, time.Hour, content.Text{Text: "höllo\nworld", Subject: "s", ReplyTo: reply}),
		"longest":   text(t, content.MaxTTL, content.Text{Text: strings.Repeat("x", content.MaxText), Subject: strings.Repeat("y", content.MaxSubject), ReplyTo: reply}),
		"heartbeat": content.NewControl(content.KindHeartbeat, now),
		"farewell":  content.NewControl(content.KindFarewell, now),
		"1970":      content.NewControl(content.KindHeartbeat, time.Unix(-5, 0)),
		"far":       content.NewControl(content.KindHeartbeat, time.Unix(1<<40, 0)),
		"zeros":     text(t, 0, content.Text{Text: "\x00\x00"}),
	} {
		b := c.Encode()
		got, err := content.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !same(got, c) {
			t.Errorf("%s: got %+v, want %+v", name, got, c)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Errorf("%s: encodes to other bytes", name)
		}
		if len(b) > content.MaxPadded {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	want := object{Kind: 1, ID: id[:], SentAt: uint64(now.UnixMilli()), TTL: 3600, Body: body(map[int]any{1: "hi", 2: "s", 3: reply[:]})}
	if got := text(t, time.Hour, content.Text{Text: "hi", Subject: "s", ReplyTo: reply}).Encode(); !bytes.Equal(got, padded(want)) {
		t.Errorf("encodes to %x", got)
	}
}

func TestR_CNT_01_Refusals(t *testing.T) {
	hi := body(map[int]any{1: "hi"})
	good := object{Kind: 1, ID: id[:], SentAt: 1, TTL: 0, Body: hi}
	if _, err := content.Decode(padded(good)); err != nil {
		t.Fatal(err)
	}
	with := func(f func(*object)) object { o := good; f(&o); return o }
	for name, o := range map[string]any{
		"kind zero":           with(func(o *object) { o.Kind = 0 }),
		"kind negative":       with(func(o *object) { o.Kind = -1 }),
		"id of 15 bytes":      with(func(o *object) { o.ID = id[:15] }),
		"id of 17 bytes":      with(func(o *object) { o.ID = append(id[:], 1) }),
		"id zero":             with(func(o *object) { o.ID = make([]byte, 16) }),
		"id as text":          with(func(o *object) { o.ID = "0123456789abcdef" }),
		"time negative":       with(func(o *object) { o.SentAt = -1 }),
		"body null":           with(func(o *object) { o.Body = nil }),
		"body a map":          with(func(o *object) { o.Body = map[int]string{1: "hi"} }),
		"no text":             with(func(o *object) { o.Body = body(map[int]any{2: "hi"}) }),
		"empty body":          with(func(o *object) { o.Body = []byte{} }),
		"unknown key":         with(func(o *object) { o.Body = body(map[int]any{1: "hi", 4: 1}) }),
		"empty subject":       with(func(o *object) { o.Body = body(map[int]any{1: "hi", 2: ""}) }),
		"empty reply":         with(func(o *object) { o.Body = body(map[int]any{1: "hi", 3: []byte{}}) }),
		"reply of 15 bytes":   with(func(o *object) { o.Body = body(map[int]any{1: "hi", 3: id[:15]}) }),
		"reply zero":          with(func(o *object) { o.Body = body(map[int]any{1: "hi", 3: make([]byte, 16)}) }),
		"text as bytes":       with(func(o *object) { o.Body = body(map[int]any{1: []byte("hi")}) }),
		"invalid UTF-8":       with(func(o *object) { o.Body = []byte{0xa1, 0x01, 0x61, 0xff} }),
		"invalid subject":     with(func(o *object) { o.Body = []byte{0xa2, 0x01, 0x61, 0x61, 0x02, 0x61, 0xff} }),
		"surrogate half":      with(func(o *object) { o.Body = []byte{0xa1, 0x01, 0x63, 0xed, 0xa0, 0x80} }),
		"bytes after body":    with(func(o *object) { o.Body = append(bytes.Clone(hi), 0) }),
		"long length in body": with(func(o *object) { o.Body = []byte{0xa1, 0x01, 0x78, 0x02, 'h', 'i'} }),
		"four elements":       []any{1, id[:], 1, 0},
		"six elements":        []any{1, id[:], 1, 0, hi, 0},
		"a map":               map[int]any{1: 1},
	} {
		if _, err := content.Decode(padded(o)); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Prefixes of an object, each correctly padded.
	whole := codec.Marshal(good)
	for n := range whole {
		if _, err := content.Decode(padTo(whole[:n], 0)); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("prefix of %d bytes: %v", n, err)
		}
	}
	if _, err := content.Decode(padTo(append(whole, 0x01), 0)); !errors.Is(err, content.ErrMalformed) {
		t.Error("two objects accepted")
	}
}

func TestR_CNT_02_TextLimits(t *testing.T) {
	for name, c := range map[string]struct {
		text content.Text
		err  error
	}{
		"long text":       {content.Text{Text: strings.Repeat("x", content.MaxText+1)}, content.ErrTooLong},
		"long subject":    {content.Text{Subject: strings.Repeat("x", content.MaxSubject+1)}, content.ErrTooLong},
		"invalid text":    {content.Text{Text: "a\xffb"}, content.ErrUTF8},
		"invalid subject": {content.Text{Subject: "\xc3"}, content.ErrUTF8},
	} {
		if _, err := content.NewText(id, now, 0, c.text); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := content.NewText(content.ID{}, now, 0, content.Text{Text: "x"}); !errors.Is(err, content.ErrMalformed) {
		t.Error("a content without an id was made")
	}
	// What a peer sends is held to the same limits.
	for name, b := range map[string][]byte{
		"long text":    body(map[int]any{1: strings.Repeat("x", content.MaxText+1)}),
		"long subject": body(map[int]any{1: "", 2: strings.Repeat("x", content.MaxSubject+1)}),
	} {
		if _, err := content.Decode(padded(object{Kind: 1, ID: id[:], SentAt: 1, TTL: 0, Body: b})); !errors.Is(err, content.ErrTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	huge := padded(object{Kind: 9, ID: id[:], SentAt: 1, TTL: 0, Body: make([]byte, content.MaxContent)})
	if _, err := content.Decode(huge); !errors.Is(err, content.ErrTooLong) {
		t.Errorf("an object beyond MaxContent: %v", err)
	}
	if _, err := content.Decode(make([]byte, content.MaxPadded+1)); !errors.Is(err, content.ErrTooLong) {
		t.Errorf("a padded object beyond MaxPadded: %v", err)
	}
}

func TestR_CNT_03_UnknownKindsAreKept(t *testing.T) {
	for _, kind := range []uint64{8, 99, 1<<64 - 1} {
		for _, b := range [][]byte{{}, {0xff}, bytes.Repeat([]byte{0}, 5000)} {
			in := padded(object{Kind: kind, ID: id[:], SentAt: 77, TTL: 5, Body: b})
			c, err := content.Decode(in)
			if err != nil {
				t.Fatal(err)
			}
			if uint64(c.Kind) != kind || !bytes.Equal(c.Body, b) || c.ID != id || c.TTL != 5*time.Second || !reflect.DeepEqual(c.Text, content.Text{}) {
				t.Errorf("kind %d: %+v", kind, c)
			}
			if !bytes.Equal(c.Encode(), in) {
				t.Errorf("kind %d is not kept whole", kind)
			}
		}
	}
}

func TestR_CNT_04_Padding(t *testing.T) {
	lengths := map[int]bool{}
	for n := 0; n < 4000; n++ {
		b := text(t, 0, content.Text{Text: strings.Repeat("x", n)}).Encode()
		lengths[len(b)] = true
		if len(b) < 256 || !allowed(len(b)) {
			t.Fatalf("text of %d bytes: padded to %d", n, len(b))
		}
		if _, err := content.Decode(b); err != nil {
			t.Fatalf("text of %d bytes: %v", n, err)
		}
		if raw := n + 30; raw > 256 && len(b) > raw+raw/8+16 {
			t.Errorf("text of %d bytes: padded to %d", n, len(b))
		}
	}
	if len(lengths) > 75 {
		t.Errorf("4000 lengths show as %d", len(lengths))
	}
	good := text(t, 0, content.Text{Text: "hi"}).Encode()
	end := bytes.LastIndexByte(good, 0x80)
	for name, b := range map[string][]byte{
		"empty":            {},
		"a byte short":     good[:len(good)-1],
		"a byte long":      append(bytes.Clone(good), 0),
		"a length more":    append(bytes.Clone(good), make([]byte, 16)...),
		"not padded":       good[:end],
		"mark alone":       good[:end+1],
		"all zero":         make([]byte, 256),
		"another mark":     append(append(bytes.Clone(good[:end]), 0x81), good[end+1:]...),
		"bytes after mark": append(append(bytes.Clone(good[:255:255]), 1), good[256:]...),
	} {
		if _, err := content.Decode(b); !errors.Is(err, content.ErrPadding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR_CNT_06_ID(t *testing.T) {
	for range 20 {
		x := content.NewID()
		s := x.String()
		if len(s) != 26 || x.IsZero() {
			t.Fatal(s)
		}
		for _, form := range []string{s, strings.ToUpper(s)} {
			if got, err := content.ParseID(form); err != nil || got != x {
				t.Errorf("%q: %v %v", form, got, err)
			}
		}
	}
	s := id.String()
	for name, bad := range map[string]string{
		"empty": "", "short": s[:25], "long": s + "a", "newline": s[:25] + "\n", "newline more": s + "\n",
		"other letter": "1" + s[1:], "padding": s[:24] + "==", "spare bits": s[:25] + "b", "zero": strings.Repeat("a", 26),
		"kelvin": "\u212a" + s[3:],
	} {
		if got, err := content.ParseID(bad); err == nil {
			t.Errorf("%s: %q parses to %v", name, bad, got)
		}
	}
}

func TestR_CNT_07_TimeAndLifetime(t *testing.T) {
	for _, ttl := range []time.Duration{-1, 1, time.Second - 1, content.MaxTTL + 1, content.MaxTTL + time.Hour} {
		if _, err := content.NewText(id, now, ttl, content.Text{Text: "x"}); !errors.Is(err, content.ErrTTL) {
			t.Errorf("%v: %v", ttl, err)
		}
	}
	if c := text(t, 1500*time.Millisecond, content.Text{}); c.TTL != time.Second {
		t.Errorf("1.5 s is %v", c.TTL)
	}
	if c, _ := content.NewText(id, now.Add(999*time.Microsecond).Local(), 0, content.Text{}); c.SentAt != now {
		t.Errorf("sent at %v, want %v", c.SentAt, now)
	}
	for name, o := range map[string]object{
		"lifetime": {Kind: 1, ID: id[:], SentAt: 1, TTL: uint64(content.MaxTTL/time.Second) + 1, Body: body(map[int]any{1: ""})},
		"overflow": {Kind: 1, ID: id[:], SentAt: 1, TTL: uint64(1<<64 - 1), Body: body(map[int]any{1: ""})},
		"time":     {Kind: 2, ID: id[:], SentAt: uint64(1<<48 + 1), TTL: 0, Body: []byte{}},
		"max time": {Kind: 9, ID: id[:], SentAt: uint64(1<<64 - 1), TTL: 0, Body: []byte{}},
	} {
		if _, err := content.Decode(padded(o)); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := object{Kind: 2, ID: id[:], SentAt: uint64(1 << 48), TTL: uint64(content.MaxTTL / time.Second), Body: []byte{}}
	if c, err := content.Decode(padded(o)); err != nil || c.TTL != content.MaxTTL || c.SentAt.Year() != 10889 {
		t.Errorf("at the limits: %+v, %v", c, err)
	}
}

func TestR_CNT_08_ControlHasNoBody(t *testing.T) {
	for _, k := range []content.Kind{content.KindHeartbeat, content.KindFarewell} {
		for _, b := range [][]byte{{0}, {0xa0}, body(map[int]any{1: "hi"})} {
			if _, err := content.Decode(padded(object{Kind: uint64(k), ID: id[:], SentAt: 1, TTL: 0, Body: b})); !errors.Is(err, content.ErrMalformed) {
				t.Errorf("kind %d with body %x: %v", k, b, err)
			}
		}
	}
}

func TestTextOffset(t *testing.T) {
	at := map[int]int{}
	check := func(n int) {
		s := strings.Repeat("x", n)
		b := text(t, 0, content.Text{Text: s}).Encode()
		off := content.TextOffset(n)
		if off < 0 || string(b[off:off+n]) != s || b[off+n] != 0x80 {
			t.Fatalf("%d bytes: offset %d", n, off)
		}
		at[off]++
	}
	for n := range 700 {
		check(n)
	}
	for _, n := range []int{0x7878, 65535, content.MaxText} {
		check(n)
	}
	if len(at) < 4 {
		t.Errorf("only the offsets %v: the test compares nothing", at)
	}
	for _, n := range []int{-1, content.MaxText + 1} {
		if off := content.TextOffset(n); off != -1 {
			t.Errorf("%d bytes: %d", n, off)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(text(f, 0, content.Text{Text: "hello"}).Encode())
	f.Add(text(f, time.Hour, content.Text{Text: "hello", Subject: "s", ReplyTo: id}).Encode())
	f.Add(content.NewControl(content.KindHeartbeat, now).Encode())
	f.Add(content.NewReceipts(content.Read, []content.ID{{1}, {2}}, now)[0].Encode())
	for _, s := range syncs(f) {
		f.Add(newSync(f, s).Encode())
	}
	repair, err := content.NewRepair(content.Repair{Count: 2, Since: now}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(repair.Encode())
	f.Add(padded(syncObject(body(map[int]any{8: "later"}))))
	f.Add(padded(object{Kind: 7, ID: id[:], SentAt: 1, TTL: 0, Body: []byte{1, 2}}))
	f.Add(padded(object{Kind: 8, ID: id[:], SentAt: 1, TTL: 0, Body: []byte{1, 2}}))
	f.Add(text(f, 0, content.Text{Text: "@bob look", Mentions: []string{bob, "alice@example.org"}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := content.Decode(b)
		if err == nil && !bytes.Equal(c.Encode(), b) {
			t.Errorf("%x decodes but encodes to %x", b, c.Encode())
		}
		if s := c.Sync.Sent; err == nil && s != nil {
			if in, err := s.Open(); err == nil && !bytes.Equal(content.NewSent(s.To, in, s.Devices).Content, s.Content) {
				t.Errorf("%x opens but is made to other bytes", s.Content)
			}
		}
		// The same bytes as an object inside correct padding.
		if c, err := content.Decode(padTo(b, 0)); err == nil && !bytes.Equal(c.Encode(), padTo(b, 0)) {
			t.Errorf("%x decodes but encodes to %x", b, c.Encode())
		}
	})
}
