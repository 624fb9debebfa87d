package linking

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// R-LNK-01: a URI says what the link says, survives lower case and white space,
// and fits the alphanumeric mode of a QR code.
func TestR_LNK_01_URI(t *testing.T) {
	w := waiting(t, 1)
	pin := bytes.Repeat([]byte{9}, 32)
	v6 := netip.MustParseAddrPort("[2001:db8::1]:65535")
	for _, m := range []Meet{
		here,
		{Candidates: []netip.AddrPort{here.Candidates[0], v6, v6, v6}},
		{Host: "example.org"}, {Host: "example.org:99", Pin: pin}, {Host: "[2001:db8::1]:7"},
		{Host: strings.Repeat("a.", 100) + "org"},
	} {
		l, err := w.Link(m)
		if err != nil {
			t.Fatal(err)
		}
		u := l.URI()
		if !regexp.MustCompile(`^PAWL://[A-Z0-9:/]+$`).MatchString(u) || len(u) > MaxURI {
			t.Errorf("%d characters: %s", len(u), u)
		}
		for _, s := range []string{u, strings.ToLower(u), "\n " + u + "\t"} {
			got, err := ParseURI(s)
			if err != nil || got.URI() != u || got.Meet.Host != m.Host || !slices.Equal(got.Meet.Candidates, m.Candidates) || !bytes.Equal(got.Meet.Pin, m.Pin) ||
				got.Secret != w.secret || got.Offer != w.parsed.hash || !got.Expires.Equal(start.Add(Life)) {
				t.Errorf("%q: %v", s, err)
			}
		}
		for i := range len(u) {
			if _, err := ParseURI(u[:i]); err == nil && m.Host == "" {
				t.Errorf("a URI of %d characters is accepted cut to %d", len(u), i)
			}
		}
		if s := fmt.Sprintf("%v %+v %s", l, l, w); strings.Contains(s, "1 1 1") || !strings.Contains(s, "redacted") {
			t.Errorf("prints as %s", s)
		}
	}
	u := linkOf(t, w).URI()
	for name, s := range map[string]string{
		"empty": "", "an invite": "pawl://example.org/invite/AAAAAAAAAAAAAAAAAAAAAA", "prefix": uriPrefix, "another scheme": "http" + u[4:],
		"a line break": u[:60] + "\n" + u[60:], "a character more": u + "A", "padding": u + "=", "too long": u + strings.Repeat("A", MaxURI),
		"not base32": u[:60] + "1" + u[61:],
	} {
		if _, err := ParseURI(s); !errors.Is(err, ErrURI) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]Meet{
		"nowhere": {}, "both": {Candidates: here.Candidates, Host: "example.org"}, "five": {Candidates: slices.Repeat(here.Candidates, 5)},
		"unspecified": {Candidates: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")}},
		"multicast":   {Candidates: []netip.AddrPort{netip.MustParseAddrPort("224.0.0.1:1")}},
		"mapped":      {Candidates: []netip.AddrPort{netip.MustParseAddrPort("[::ffff:127.0.0.1]:1")}},
		"zone":        {Candidates: []netip.AddrPort{netip.MustParseAddrPort("[fe80::1%eth0]:1")}},
		"no port":     {Candidates: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0)}},
		"host":        {Host: "Example.org"}, "no host": {Host: "a b"}, "short pin": {Host: "a", Pin: pin[:31]}, "pin alone": {Candidates: here.Candidates, Pin: pin},
	} {
		if _, err := w.Link(m); !errors.Is(err, ErrURI) {
			t.Errorf("%s: %v", name, err)
		}
		l := Link{Meet: m}
		if name != "both" && name != "pin alone" && name != "zone" { // which cannot be written
			if _, err := ParseURI(l.URI()); !errors.Is(err, ErrURI) {
				t.Errorf("%s parsed: %v", name, err)
			}
		}
	}
}

// R-LNK-02: neither side goes on after the time, and links of the far future
// are refused.
func TestR_LNK_02_Expiry(t *testing.T) {
	w := waiting(t, 1)
	l := linkOf(t, w)
	for _, c := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil}, {Life, nil}, {Life + Skew, nil}, {Life + Skew + time.Second, ErrExpired}, {-Skew, nil}, {-Skew - time.Second, ErrURI},
	} {
		if err := l.CheckTime(start.Add(c.after)); !errors.Is(err, c.want) {
			t.Errorf("after %v: %v", c.after, err)
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{Life - time.Second, nil}, {Life, ErrExpired}} {
		a := newAccount(t, "alice@example.org", 10)
		p := &record{}
		if _, err := Hail(p, l, w.parsed, a.hello()); err != nil {
			t.Fatal(err)
		}
		if _, err := waiting(t, 1).Greet(&record{in: p.sent}, at(start.Add(c.after))); !errors.Is(err, c.want) {
			t.Errorf("a hello after %v: %v", c.after, err)
		}
	}
	later := l
	later.Expires = later.Expires.Add(time.Second)
	if _, err := Reach(&record{in: [][]byte{w.offer}}, later); !errors.Is(err, ErrOffer) {
		t.Errorf("a URI that says another time: %v", err)
	}
}

// R-LNK-03: the code follows from the URI and changes with all that it says.
func TestR_LNK_03_Code(t *testing.T) {
	l := linkOf(t, waiting(t, 1))
	code := l.Code()
	if !regexp.MustCompile(`^\d{4} \d{4} \d{4}$`).MatchString(code) || code != l.Code() {
		t.Fatalf("code %q", code)
	}
	seen := map[string]string{code: "itself"}
	for name, change := range map[string]func(*Link){
		"time": func(l *Link) { l.Expires = l.Expires.Add(time.Second) }, "secret": func(l *Link) { l.Secret[0] ^= 1 },
		"offer": func(l *Link) { l.Offer[31] ^= 1 }, "place": func(l *Link) { l.Meet = Meet{Host: "example.org"} },
	} {
		other := l
		change(&other)
		c := other.Code()
		if seen[c] != "" {
			t.Errorf("%s has the code of %s", name, seen[c])
		}
		seen[c] = name
	}
}

// R-LNK-04: whoever connects gets the offer; another one than the URI's is
// refused whatever it holds.
func TestR_LNK_04_Offer(t *testing.T) {
	w, other := waiting(t, 1), waiting(t, 2)
	l := linkOf(t, w)
	o, err := Reach(&record{in: [][]byte{w.offer}}, l)
	if err != nil || !o.Sign.Equal(w.parsed.Sign) || o.DH != w.parsed.DH {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"another device's": other.offer, "cut": w.offer[:len(w.offer)-1], "more": append(slices.Clip(w.offer), 0), "nothing": {}} {
		if _, err := Reach(&record{in: [][]byte{b}}, l); !errors.Is(err, ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*wireOffer){
		"short signing key": func(w *wireOffer) { w.Sign = w.Sign[:31] }, "low-order key": func(w *wireOffer) { w.DH = make([]byte, 32) },
		"sealing key": func(w *wireOffer) { w.Seal = w.Seal[:len(w.Seal)-1] }, "time": func(w *wireOffer) { w.Expires = 1 << 40 },
		"no sealing key": func(w *wireOffer) { w.Seal = nil }, "ML-KEM key that is no key": func(w *wireOffer) { w.Seal = bytes.Repeat([]byte{255}, len(w.Seal)) },
	} {
		var wire wireOffer
		if err := codec.Unmarshal(w.offer, MaxOffer, &wire); err != nil {
			t.Fatal(err)
		}
		change(&wire)
		if _, err := parseOffer(codec.Marshal(wire)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R-LNK-05, R-LNK-07: a hello of who has not seen the URI, or of who has seen
// another one, a changed one and a repeated one are refused, and the device goes
// on waiting.
func TestR_LNK_05_OnlyWhoHoldsTheURI(t *testing.T) {
	w := waiting(t, 1)
	a := newAccount(t, "alice@example.org", 10)
	l := linkOf(t, w)
	hail := func(change func(*Link)) []byte {
		k := l
		change(&k)
		p := &record{}
		if _, err := Hail(p, k, w.parsed, a.hello()); err != nil {
			t.Fatal(err)
		}
		return p.sent[0]
	}
	try := func(b []byte) error {
		p := &record{in: [][]byte{b}}
		_, err := w.Greet(p, at(start))
		if len(p.sent) != 1 || !bytes.Equal(p.sent[0], w.offer) {
			t.Error("it was answered with more than the offer")
		}
		return err
	}
	good := hail(func(*Link) {})
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	for name, b := range map[string][]byte{
		"another secret": hail(func(l *Link) { l.Secret[15] ^= 1 }), "another offer": hail(func(l *Link) { l.Offer[0] ^= 1 }),
		"changed": changed, "cut": good[:len(good)-1], "short": good[:100], "empty": {}, "encapsulation alone": good[:encSize],
		"no point": append(make([]byte, encSize), good[encSize:]...),
	} {
		if err := try(b); !errors.Is(err, ErrHello) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := try(make([]byte, MaxHello+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if err := try(good); err != nil {
		t.Errorf("the right one: %v", err)
	}
	if err := try(good); !errors.Is(err, ErrReplayed) {
		t.Errorf("the right one again: %v", err)
	}
	for i := 1; i < MaxGreetings; i++ {
		if err := try(hail(func(*Link) {})); err != nil {
			t.Fatalf("hello %d: %v", i, err)
		}
	}
	if err := try(hail(func(*Link) {})); !errors.Is(err, ErrTooLong) {
		t.Errorf("one too many: %v", err)
	}
}

// R-LNK-06: what a hello says of the account must verify.
func TestR_LNK_06_HelloThatLies(t *testing.T) {
	a, b := newAccount(t, "alice@example.org", 10), newAccount(t, "bob@example.org", 20)
	a.rename(t, "second")
	cut := bytes.Clone(a.chain[1])
	cut[len(cut)-1] ^= 1
	for name, c := range map[string]struct {
		change func(*Hello)
		want   error
	}{
		"nothing":                 {func(h *Hello) { h.Chain = nil }, ErrAccount},
		"signature":               {func(h *Hello) { h.Chain = [][]byte{a.chain[0], cut} }, ErrAccount},
		"another's entry":         {func(h *Hello) { h.Chain = [][]byte{a.chain[0], b.chain[0]} }, ErrAccount},
		"later part only":         {func(h *Hello) { h.Chain = a.chain[1:] }, ErrAccount},
		"another's device":        {func(h *Hello) { h.Device = 99 }, ErrAccount},
		"another host":            {func(h *Hello) { h.Host = "evil.example" }, ErrAccount},
		"host not canonical":      {func(h *Hello) { h.Host = "Example.org" }, ErrMalformed},
		"pin that is none":        {func(h *Hello) { h.Pin = []byte{1} }, ErrMalformed},
		"endless":                 {func(h *Hello) { h.Chain = [][]byte{make([]byte, MaxChainBytes+1)} }, ErrTooLong},
		"more entries than there": {func(h *Hello) { h.Chain = slices.Repeat(a.chain[:1], 1025) }, ErrMalformed},
	} {
		h := a.hello()
		c.change(&h)
		if _, _, err := parseHello(h.encode()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := a.hello()
	h.Pin, h.History = bytes.Repeat([]byte{1}, 32), true
	got, list, err := parseHello(h.encode())
	if err != nil || list.Version != 2 || !got.History || !bytes.Equal(got.Pin, h.Pin) {
		t.Errorf("the true one: %+v, %v", got, err)
	}
	w := waiting(t, 1)
	h.Chain = [][]byte{make([]byte, MaxChainBytes+1)}
	if _, err := Hail(&record{}, linkOf(t, w), w.parsed, h); !errors.Is(err, ErrTooLong) {
		t.Errorf("an endless hello is sent: %v", err)
	}
}

// R-LNK-08: after the hello whoever is in between can only end it.
func TestR_LNK_08_Channel(t *testing.T) {
	w := waiting(t, 1)
	a := newAccount(t, "alice@example.org", 10)
	p := &record{}
	c, err := Hail(p, linkOf(t, w), w.parsed, a.hello())
	if err != nil {
		t.Fatal(err)
	}
	q := &record{in: p.sent}
	g, err := w.Greet(q, at(start))
	if err != nil {
		t.Fatal(err)
	}
	p.sent, q.sent = nil, nil
	for i := range 3 {
		if err := c.Send(&Outcome{Result(1 + i%2)}); err != nil {
			t.Fatal(err)
		}
		if err := g.Send(&Outcome{Result(1 + i%2)}); err != nil {
			t.Fatal(err)
		}
	}
	there, back := p.sent, q.sent
	if bytes.Equal(there[0], back[0]) || bytes.Equal(there[0], there[2]) {
		t.Fatal("keys or counters are used twice")
	}
	changed := bytes.Clone(there[0])
	changed[0] ^= 1
	for name, b := range map[string][]byte{"its own": back[0], "the next": there[1], "changed": changed, "cut": there[0][1:], "empty": {}} {
		q.in = [][]byte{b}
		if err := g.Receive(&Outcome{}); !errors.Is(err, ErrChannel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var o Outcome
	q.in = [][]byte{there[0], there[0]}
	if err := g.Receive(&o); err != nil || o.Result != Done {
		t.Errorf("the first: %v", err)
	}
	if err := g.Receive(&o); !errors.Is(err, ErrChannel) {
		t.Errorf("the first again: %v", err)
	}
	q.in = [][]byte{there[1]}
	if err := g.Receive(&Join{}); !errors.Is(err, ErrChannel) {
		t.Errorf("out of turn: %v", err)
	}
	p.in = nil
	if err := g.Send(&Refusal{Full}); err != nil {
		t.Fatal(err)
	}
	p.in = q.sent
	for range 3 {
		if err := c.Receive(&o); err != nil {
			t.Fatal(err)
		}
	}
	var refused *Refusal
	if err := c.Receive(&Entry{}); !errors.As(err, &refused) || refused.Reason != Full {
		t.Errorf("a refusal: %v", err)
	}
	for c.sent < MaxMessages {
		if err := c.Send(&o); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(&o); !errors.Is(err, ErrTooLong) {
		t.Errorf("without end: %v", err)
	}
	g.received = MaxMessages
	if err := g.Receive(&o); !errors.Is(err, ErrTooLong) {
		t.Errorf("without end: %v", err)
	}
	if err := g.Send(&Entry{Entry: make([]byte, MaxSealed)}); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
}

// R-LNK-09: what the new device says of itself is checked by who signs.
func TestR_LNK_09_DeviceThatLies(t *testing.T) {
	w := waiting(t, 1)
	a := newAccount(t, "alice@example.org", 10)
	_, g, o := met(t, w, a)
	sign := func(change func(*Join), l devicelist.List) error {
		j := w.Join(g.List, 77, "desk", []uint64{1, 5})
		change(&j)
		draft, err := Draft(l, o, j, start)
		if err == nil {
			_, err = Sign(draft, a.key)
		}
		return err
	}
	if err := sign(func(*Join) {}, a.list); err != nil {
		t.Fatal(err)
	}
	elsewhere := newAccount(t, "bob@example.org", 20)
	for name, change := range map[string]func(*Join){
		"the old device's id": func(j *Join) { j.Device = a.list.Devices[0].ID },
		"no id":               func(j *Join) { j.Device = 0 },
		"another id":          func(j *Join) { j.Device++ },
		"proof":               func(j *Join) { j.Proof[0] ^= 1 },
		"another's proof":     func(j *Join) { j.Proof = a.list.Devices[0].Proof },
		"proof for another account": func(j *Join) {
			*j = w.Join(elsewhere.list, j.Device, j.Name, nil)
		},
		"capabilities out of order":       func(j *Join) { j.Caps = []uint64{5, 1} },
		"revokes somebody":                func(j *Join) { j.Replaces, j.ReplaceProof = a.list.Devices[0].ID, make([]byte, 64) },
		"replaces who is not there":       func(j *Join) { w.Replace(j, 1234, signer(12)) },
		"replaces with a key of its own":  func(j *Join) { w.Replace(j, a.list.Devices[0].ID, w.Sign) },
		"replaces by proof of another id": func(j *Join) { w.Replace(j, a.list.Devices[0].ID, signer(12)); j.Replaces++ },
	} {
		if err := sign(change, a.list); !errors.Is(err, ErrDevice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := a.list.Next(start)
	for i := range byte(devicelist.MaxActive - 1) {
		f := waiting(t, 100+3*i)
		full.Devices = append(full.Devices, f.device(a.list, address.Device(200+uint64(i)), ""))
	}
	entry, err := devicelist.Sign(full, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.add(t, entry)
	full = a.list
	if err := sign(func(*Join) {}, full); !errors.Is(err, ErrFull) {
		t.Errorf("a ninth device: %v", err)
	}
	// R-LNK-15: but one of the eight may be replaced by itself.
	if err := sign(func(j *Join) { w.Replace(j, a.list.Devices[0].ID, signer(12)) }, full); err != nil {
		t.Errorf("in the place of the first: %v", err)
	}
}

// R-LNK-15: a device that proves to be the one it replaces has it revoked in
// the same entry.
func TestR_LNK_15_Replace(t *testing.T) {
	w := waiting(t, 1)
	a := newAccount(t, "alice@example.org", 10)
	_, g, o := met(t, w, a)
	j := w.Join(g.List, 77, "again", nil)
	w.Replace(&j, a.list.Devices[0].ID, signer(12))
	draft, err := Draft(a.list, o, j, start)
	if err != nil {
		t.Fatal(err)
	}
	if draft.Devices[0].Status != devicelist.Revoked || draft.Devices[1].Status != devicelist.Active {
		t.Errorf("%+v", draft.Devices)
	}
	_, body := j.encode()
	var again Join
	if err := again.decode(body); err != nil || again.Replaces != j.Replaces {
		t.Error(err)
	}
}

// R-LNK-10: the new device takes an entry only that adds it, and nobody else,
// to the account of the hello.
func TestR_LNK_10_EntryThatLies(t *testing.T) {
	w := waiting(t, 1)
	a := newAccount(t, "alice@example.org", 10)
	_, g, o := met(t, w, a)
	j := w.Join(g.List, 77, "desk", nil)
	sign := func(a *account, change func(*devicelist.List)) []byte {
		draft, err := Draft(a.list, o, j, start)
		if err != nil {
			t.Fatal(err)
		}
		change(&draft)
		e, err := devicelist.Sign(draft, a.key)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	good := sign(a, func(*devicelist.List) {})
	next, err := w.Accept(g.List, Entry{Entry: good}, j)
	if err != nil || next.Version != 2 || len(next.Devices) != 2 {
		t.Fatalf("%+v, %v", next, err)
	}
	other := newAccount(t, "alice@example.org", 30)
	stranger := waiting(t, 50)
	moved := newAccount(t, "alice@example.org", 10)
	moved.rename(t, "renamed")
	late := Entry{Lacking: moved.chain[1:], Entry: sign(moved, func(*devicelist.List) {})}
	if next, err := w.Accept(g.List, late, j); err != nil || next.Version != 3 {
		t.Errorf("after a change: %v", err)
	}
	for name, e := range map[string]Entry{
		"changed":                 {Entry: append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1)},
		"nothing":                 {Entry: nil},
		"the old list":            {Entry: a.chain[0]},
		"a change without it":     {Entry: moved.chain[1]},
		"another account":         {Entry: func() []byte { o := other; o.list.Version = 1; return o.chain[0] }()},
		"another device":          {Entry: sign(a, func(l *devicelist.List) { l.Devices[1] = stranger.device(a.list, 77, "") })},
		"another device besides":  {Entry: sign(a, func(l *devicelist.List) { l.Devices = append(l.Devices, stranger.device(a.list, 78, "")) })},
		"other capabilities":      {Entry: sign(a, func(l *devicelist.List) { l.Devices[1].Caps = []uint64{1} })},
		"another device later":    {Entry: late.Entry},
		"lacking that is nothing": {Lacking: [][]byte{{1}}, Entry: late.Entry},
		"lacking twice":           {Lacking: [][]byte{moved.chain[1], moved.chain[1]}, Entry: late.Entry},
	} {
		if _, err := w.Accept(g.List, e, j); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R-LNK-11: frames have their length in front and take no memory before bytes
// come.
func TestR_LNK_11_Frames(t *testing.T) {
	a, b := pipes(t)
	long := bytes.Repeat([]byte("0123456789"), 10_000)
	go func() {
		a.Send([]byte("short"))
		a.Send(long)
		a.Close()
	}()
	if m, err := b.Receive(5); err != nil || string(m) != "short" {
		t.Errorf("%q, %v", m, err)
	}
	if m, err := b.Receive(len(long)); err != nil || !bytes.Equal(m, long) {
		t.Errorf("%d bytes, %v", len(m), err)
	}
	if _, err := b.Receive(1); err == nil {
		t.Error("after the end")
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"too long": {binary.BigEndian.AppendUint32(nil, 11), ErrTooLong}, "endless": {[]byte{255, 255, 255, 255}, ErrTooLong},
		"empty": {make([]byte, 4), ErrMalformed},
	} {
		x, y := net.Pipe()
		go x.Write(c.raw)
		if _, err := Frames(y).Receive(10); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		x.Close()
	}
	x, y := net.Pipe()
	go func() { x.Write([]byte{0, 0, 0, 9, 1}); x.Close() }()
	if _, err := Frames(y).Receive(10); err == nil {
		t.Error("a frame that breaks off is taken")
	}
}

// R-LNK-13: the id of a meeting follows from the secret alone, and does not tell it.
func TestR_LNK_13_ID(t *testing.T) {
	l := linkOf(t, waiting(t, 1))
	m := l
	m.Meet, m.Expires = Meet{Host: "example.org"}, l.Expires.Add(1)
	if l.ID() != m.ID() {
		t.Error("depends on more than the secret")
	}
	m.Secret[3] ^= 1
	if l.ID() == m.ID() || bytes.Equal(l.Secret[:], func() []byte { id := l.ID(); return id[:] }()) {
		t.Error("does not depend on the secret, or is it")
	}
}

func TestMessageDecoders(t *testing.T) {
	proof := make([]byte, 64)
	for name, m := range map[string]struct {
		into Message
		body []byte
	}{
		"join without id":        {&Join{}, codec.Marshal(wireJoin{Name: "x", Proof: proof})},
		"join with short proof":  {&Join{}, codec.Marshal(wireJoin{Device: 1, Proof: proof[:63]})},
		"join with bad name":     {&Join{}, codec.Marshal(wireJoin{Device: 1, Name: "a\u202e", Proof: proof})},
		"join with many caps":    {&Join{}, codec.Marshal(wireJoin{Device: 1, Proof: proof, Caps: make([]uint64, 17)})},
		"join replacing halfway": {&Join{}, codec.Marshal(wireJoin{Device: 1, Proof: proof, Replaces: 3})},
		"join proving nothing":   {&Join{}, codec.Marshal(wireJoin{Device: 1, Proof: proof, ReplaceProof: proof})},
		"empty entry":            {&Entry{}, codec.Marshal(wireEntry{})},
		"outcome 0":              {&Outcome{}, codec.Marshal(wireOutcome{0})},
		"outcome 3":              {&Outcome{}, codec.Marshal(wireOutcome{3})},
		"refusal 0":              {&Refusal{}, codec.Marshal(wireRefusal{0})},
		"no refusal":             {&Refusal{}, []byte{1}},
	} {
		if err := m.into.decode(m.body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkCode(b *testing.B) {
	l := linkOf(b, waiting(b, 1))
	for b.Loop() {
		l.Code()
	}
}

func BenchmarkGreet(b *testing.B) {
	a := newAccount(b, "alice@example.org", 10)
	for b.Loop() {
		w := waiting(b, 1)
		p := &record{}
		if _, err := Hail(p, linkOf(b, w), w.parsed, a.hello()); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Greet(&record{in: p.sent}, at(start)); err != nil {
			b.Fatal(err)
		}
	}
}
