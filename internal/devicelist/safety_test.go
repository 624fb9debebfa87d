package devicelist

import (
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

func TestR_IDN_14_SafetyNumber(t *testing.T) {
	a, b, c := newPerson(t, "a@x.org", 1).key(), newPerson(t, "b@x.org", 2).key(), newPerson(t, "c@x.org", 3).key()
	n := SafetyNumber(a, b)
	if n != SafetyNumber(b, a) {
		t.Error("the two sides differ")
	}
	if len(n) != 60 || strings.Trim(n, "0123456789") != "" {
		t.Errorf("%q", n)
	}
	if n == SafetyNumber(a, c) || n == SafetyNumber(c, b) {
		t.Error("another key gives the same number")
	}
	// Written again from the specification's words.
	half := func(k ed25519.PublicKey) (s string) {
		h := sha512.New()
		h.Write([]byte("pawl/1 safety number"))
		h.Write(k)
		d := h.Sum(nil)
		for range 5199 {
			h.Reset()
			h.Write(d)
			h.Write(k)
			d = h.Sum(nil)
		}
		for i := 0; i < 30; i += 5 {
			var v uint64
			for _, x := range d[i : i+5] {
				v = v<<8 | uint64(x)
			}
			s += fmt.Sprintf("%05d", v%100000)
		}
		return s
	}
	x, y := half(a), half(b)
	if n != min(x, y)+max(x, y) {
		t.Errorf("%s is not what the specification says", n)
	}
	// A new device does not change it, for it depends on nothing else.
	p := newPerson(t, "a@x.org", 1)
	_, l := p.first(t)
	next := l.Next(start.Add(time.Hour))
	next.Devices = append(next.Devices, p.device(2, "phone"))
	_, l2 := p.sign(t, next)
	if SafetyNumber(l.Account, b) != SafetyNumber(l2.Account, b) {
		t.Error("a new device changed the number")
	}
}

func TestR_IDN_15_QRText(t *testing.T) {
	a, b := newPerson(t, "a@x.org", 1).key(), newPerson(t, "b@x.org", 2).key()
	s := QRText(a, b)
	if s != QRText(b, a) || len(s) != 112 || !strings.HasPrefix(s, "PAWL:1:") {
		t.Errorf("%q", s)
	}
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:") != "" {
		t.Errorf("%q leaves the alphanumeric alphabet", s)
	}
	if _, err := qr.Encode(s, qr.M); err != nil {
		t.Error(err)
	}
}

func TestR_IDN_16_Fingerprint(t *testing.T) {
	a, b := newPerson(t, "a@x.org", 1).key(), newPerson(t, "b@x.org", 2).key()
	if f := Fingerprint(a); len(f) != 32 || f == Fingerprint(b) || f != strings.ToLower(f) {
		t.Errorf("%q", f)
	}
}

func BenchmarkSafetyNumber(b *testing.B) {
	x, y := newPerson(b, "a@x.org", 1).key(), newPerson(b, "b@x.org", 2).key()
	for b.Loop() {
		SafetyNumber(x, y)
	}
}
