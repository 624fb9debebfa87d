package devicelist

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

func TestR_IDN_03_Entry(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	e, l := p.first(t)
	d, ok := l.Device(1)
	if !ok || d.Name != "laptop" || d.Status != Active || l.Version != 1 || l.Hash() != Hash(e) {
		t.Fatalf("%+v", l)
	}
	if !reflect.DeepEqual(toWire(&l), toWire(&List{
		Version: 1, Time: start.Unix(), Account: p.key(), Address: p.addr, Devices: []Device{p.device(1, "laptop")},
	})) {
		t.Error("the list changed on its way")
	}
	for n := range e {
		if _, err := Verify(e[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("prefix of %d bytes: %v", n, err)
		}
	}
	if _, err := Verify(append(bytes.Clone(e), 0)); !errors.Is(err, ErrMalformed) {
		t.Error("trailing byte accepted")
	}
	if _, err := Verify(make([]byte, MaxEntry+1)); !errors.Is(err, ErrLimit) {
		t.Error("over-long entry:", err)
	}
}

// Not one bit of an entry can be changed.
func TestR_IDN_09_EveryBitIsSigned(t *testing.T) {
	e, _ := newPerson(t, "alice@example.org", 50).first(t)
	for i := range e {
		bad := bytes.Clone(e)
		bad[i] ^= 1 << (i % 8)
		if _, err := Verify(bad); err == nil {
			t.Errorf("byte %d altered: accepted", i)
		}
	}
}

func TestR_IDN_09_SignatureOfAnother(t *testing.T) {
	p, q := newPerson(t, "alice@example.org", 50), newPerson(t, "alice@example.org", 51)
	_, l := p.first(t)
	if _, err := Sign(l, q.account); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by another account: %v", err)
	}
	// A device's proof or a signature without the label is no list signature.
	body := codec.Marshal(toWire(&l))
	for name, sig := range map[string][]byte{
		"no label":     ed25519.Sign(p.account, body),
		"device proof": l.Devices[0].Proof,
		"device key":   ed25519.Sign(signer(1), listMessage(body)),
		"short":        ed25519.Sign(p.account, listMessage(body))[:63],
		"empty":        {},
	} {
		if _, err := Verify(codec.Marshal(wireEntry{Body: body, Signature: sig})); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR_IDN_08_Proofs(t *testing.T) {
	p, mallory := newPerson(t, "alice@example.org", 50), newPerson(t, "mallory@example.org", 51)
	_, l := p.first(t)
	for name, change := range map[string]func(*Device){
		"taken from another account": func(d *Device) { *d = mallory.device(1, "laptop") },
		"other id":                   func(d *Device) { d.ID++ },
		"other DH key":               func(d *Device) { d.DH = p.device(2, "").DH },
		"other signing key":          func(d *Device) { d.Sign = p.device(2, "").Sign },
		"signed by the account key":  func(d *Device) { d.Proof = ed25519.Sign(p.account, proofMessage(p.key(), p.addr, d)) },
		"none":                       func(d *Device) { d.Proof = nil },
		"short":                      func(d *Device) { d.Proof = d.Proof[:63] },
		"other address": func(d *Device) {
			d.Proof = ed25519.Sign(signer(1), proofMessage(p.key(), mallory.addr, d))
		},
	} {
		n := l
		n.Devices = []Device{l.Devices[0]}
		change(&n.Devices[0])
		if _, err := Verify(p.force(toWire(&n))); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Sign(n, p.account); !errors.Is(err, ErrProof) {
			t.Errorf("%s: Sign says %v", name, err)
		}
	}
}

func TestR_IDN_05_SigningKeys(t *testing.T) {
	// Every Ed25519 point of low order, canonical and not.
	for _, s := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		// Not canonical, though not of low order: y = p+3.
		"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		// Not on the curve.
		"0200000000000000000000000000000000000000000000000000000000000000",
	} {
		b, _ := hex.DecodeString(s)
		if err := checkSigningKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", s, err)
		}
		p := newPerson(t, "alice@example.org", 50)
		_, l := p.first(t)
		w := toWire(&l)
		w.Devices[0].Sign = b
		if _, err := Verify(p.force(w)); !errors.Is(err, ErrKey) {
			t.Errorf("%s as a device's key: %v", s, err)
		}
		w = toWire(&l)
		w.Account = b
		if _, err := Verify(p.force(w)); !errors.Is(err, ErrKey) {
			t.Errorf("%s as the account key: %v", s, err)
		}
	}
}

func TestR_IDN_06_KeysServeOnce(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	twin := func(change func(*Device)) List {
		n := l.Next(start)
		d := p.device(2, "second")
		change(&d)
		n.Devices = append(n.Devices, d)
		return n
	}
	for name, c := range map[string]struct {
		n    List
		want error
	}{
		"same id":          {twin(func(d *Device) { d.ID = 1 }), ErrMalformed},
		"same signing key": {twin(func(d *Device) { d.Sign = l.Devices[0].Sign }), ErrKey},
		"same DH key":      {twin(func(d *Device) { d.DH = l.Devices[0].DH }), ErrKey},
		"account key signs for the device": {twin(func(d *Device) {
			d.Sign = p.key()
		}), ErrKey},
	} {
		if _, err := Sign(c.n, p.account); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// R-IDN-07 in its place here: a device's DH key.
func TestR_IDN_07_DeviceKey(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	for name, b := range map[string][]byte{
		"zero":          make([]byte, 32),
		"one":           append([]byte{1}, make([]byte, 31)...),
		"not canonical": bytes.Repeat([]byte{0xff}, 32),
		"short":         make([]byte, 31),
		"none":          {},
	} {
		w := toWire(&l)
		w.Devices[0].DH = b
		if _, err := Verify(p.force(w)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR_IDN_11_Names(t *testing.T) {
	for _, good := range []string{"", "laptop", "Bob's phone", "Büro 2", "電話", "🖥", strings.Repeat("x", 64)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	for name, c := range map[string]struct {
		name string
		want error
	}{
		"65 bytes":         {strings.Repeat("x", 65), ErrLimit},
		"not UTF-8":        {"a\xff", ErrMalformed},
		"newline":          {"a\nb", ErrMalformed},
		"escape":           {"a\x1b[31m", ErrMalformed},
		"NUL":              {"a\x00", ErrMalformed},
		"C1 control":       {"a\u0085", ErrMalformed},
		"bidi override":    {"a\u202eb", ErrMalformed},
		"bidi isolate":     {"a\u2066b", ErrMalformed},
		"zero-width space": {"a\u200bb", ErrMalformed},
		"line separator":   {"a\u2028b", ErrMalformed},
		"private use":      {"a\ue000", ErrMalformed},
		"byte-order mark":  {"\ufeffa", ErrMalformed},
		"tag characters":   {"a\U000e0041", ErrMalformed},
		"noncharacter":     {"a\ufdd0", ErrMalformed},
	} {
		n := l
		n.Devices = []Device{l.Devices[0]}
		n.Devices[0].Name = c.name
		err := CheckName(c.name)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: the error repeats the name", name)
		}
		if name == "not UTF-8" {
			continue // cannot be encoded as text at all
		}
		if _, err := Verify(p.force(toWire(&n))); !errors.Is(err, c.want) {
			t.Errorf("%s in a list: %v", name, err)
		}
	}
}

func TestR_IDN_12_Limits(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	full := l.Next(start)
	for n := byte(2); n <= MaxActive; n++ {
		full.Devices = append(full.Devices, p.device(n, ""))
	}
	_, v := p.sign(t, full)
	if len(v.Active()) != MaxActive {
		t.Fatalf("%d active", len(v.Active()))
	}
	nine := full
	nine.Devices = append(nine.Devices, p.device(9, ""))
	if _, err := Sign(nine, p.account); !errors.Is(err, ErrLimit) {
		t.Errorf("nine active: %v", err)
	}
	var many []Device
	for n := byte(1); n <= MaxDevices+1; n++ {
		d := p.device(n, strings.Repeat("n", MaxName))
		if n > MaxActive {
			d.Status = Revoked
		}
		for c := range uint64(MaxCaps) {
			d.Caps = append(d.Caps, 1<<63+c)
		}
		many = append(many, d)
	}
	full.Devices = many[:MaxDevices]
	e, _ := p.sign(t, full)
	t.Logf("the largest list takes %d bytes", len(e))
	if len(e) > MaxEntry {
		t.Errorf("the largest list takes %d bytes", len(e))
	}
	full.Devices = many
	if _, err := Sign(full, p.account); !errors.Is(err, ErrLimit) {
		t.Errorf("%d devices: %v", len(many), err)
	}
}

func TestR_IDN_12_Fields(t *testing.T) {
	p := newPerson(t, "alice@example.org", 50)
	_, l := p.first(t)
	for name, c := range map[string]struct {
		change func(*wireList)
		want   error
	}{
		"version 0":             {func(w *wireList) { w.Version = 0 }, ErrMalformed},
		"version 1025":          {func(w *wireList) { w.Version = MaxChain + 1; w.Prev[0] = 1 }, ErrLimit},
		"first with a previous": {func(w *wireList) { w.Prev[0] = 1 }, ErrMalformed},
		"second without":        {func(w *wireList) { w.Version = 2 }, ErrMalformed},
		"previous of 31 bytes":  {func(w *wireList) { w.Prev = w.Prev[:31] }, ErrMalformed},
		"time beyond 9999":      {func(w *wireList) { w.Time = MaxTime + 1 }, ErrMalformed},
		"address not canonical": {func(w *wireList) { w.Address = "ALICE@example.org" }, ErrMalformed},
		"address empty":         {func(w *wireList) { w.Address = "" }, ErrMalformed},
		"no device":             {func(w *wireList) { w.Devices = nil }, ErrMalformed},
		"device id 0":           {func(w *wireList) { w.Devices[0].ID = 0 }, ErrMalformed},
		"status 0":              {func(w *wireList) { w.Devices[0].Status = 0 }, ErrMalformed},
		"status 3":              {func(w *wireList) { w.Devices[0].Status = 3 }, ErrMalformed},
		"added beyond 9999":     {func(w *wireList) { w.Devices[0].AddedAt = MaxTime + 1 }, ErrMalformed},
		"signing key of 31":     {func(w *wireList) { w.Devices[0].Sign = w.Devices[0].Sign[:31] }, ErrMalformed},
		"caps twice":            {func(w *wireList) { w.Devices[0].Caps = []uint64{1, 1} }, ErrMalformed},
		"caps out of order":     {func(w *wireList) { w.Devices[0].Caps = []uint64{2, 1} }, ErrMalformed},
		"17 caps":               {func(w *wireList) { w.Devices[0].Caps = make([]uint64, 17) }, ErrLimit},
	} {
		w := toWire(&l)
		w.Prev = bytes.Clone(w.Prev)
		c.change(&w)
		if _, err := Verify(p.force(w)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newPerson(f, "alice@example.org", 50)
	e, l := p.first(f)
	f.Add(e)
	n := l.Next(start)
	n.Devices = append(n.Devices, p.device(2, "phone"))
	n.Devices[0].Status = Revoked
	n.Devices[0].Caps = []uint64{1, 5}
	e2, _ := p.sign(f, n)
	f.Add(e2)
	f.Add(p.force(wireList{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The fuzzer cannot sign: let it write bodies, and sign them for it.
		var w wireEntry
		if codec.Unmarshal(b, MaxEntry, &w) == nil {
			b = codec.Marshal(wireEntry{Body: w.Body, Signature: ed25519.Sign(p.account, listMessage(w.Body))})
		}
		l, err := Verify(b)
		if err != nil {
			return
		}
		if again := p.force(toWire(&l)); !bytes.Equal(again, b) {
			t.Errorf("%x is accepted but encodes to %x", b, again)
		}
	})
}
