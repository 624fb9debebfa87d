package address_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/address"
)

func TestR_IDN_01_CanonicalForm(t *testing.T) {
	for in, want := range map[string]string{
		"alice@example.org":            "alice@example.org",
		"ALICE@Example.ORG":            "alice@example.org",
		"Ａlice@example.org":            "alice@example.org", // full-width A
		"cafe\u0301@example.org":       "café@example.org",
		"alice@example.org:7295":       "alice@example.org",
		"alice@example.org:443":        "alice@example.org:443",
		"alice@127.0.0.1:8080":         "alice@127.0.0.1:8080",
		"alice@[2001:DB8::1]":          "alice@[2001:db8::1]",
		"alice@[2001:db8:0:0::1]:7295": "alice@[2001:db8::1]",
		"alice@[2001:db8::1]:1":        "alice@[2001:db8::1]:1",
		"Ωmega@x":                      "ωmega@x",
	} {
		a, err := address.Parse(in)
		if err != nil || a.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, a.String(), err, want)
			continue
		}
		b, err := address.ParseCanonical(a.String())
		if err != nil || b != a {
			t.Errorf("%q: its canonical form does not parse: %v", in, err)
		}
		if _, err := address.ParseCanonical(in); (err == nil) != (in == want) {
			t.Errorf("%q: ParseCanonical says %v", in, err)
		}
	}
}

func TestR_IDN_01_Refusals(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                "",
		"no at":                "alice",
		"no user":              "@example.org",
		"no host":              "alice@",
		"space":                "al ice@example.org",
		"control":              "al\x07ice@example.org",
		"bidi override":        "al\u202eice@example.org",
		"zero width":           "al\u200bice@example.org",
		"mixed directions":     "aא1b@example.org",
		"slash":                "a/b@example.org",
		"colon":                "a:b@example.org",
		"hash":                 "a#b@example.org",
		"two ats":              "a@b@example.org",
		"not UTF-8":            "a\xff@example.org",
		"user of 65 bytes":     strings.Repeat("a", 65) + "@example.org",
		"host label of 64":     "a@" + strings.Repeat("b", 64) + ".org",
		"host of 254":          "a@" + strings.Repeat("b.", 126) + "cc",
		"leading hyphen":       "a@-b.org",
		"trailing hyphen":      "a@b-.org",
		"empty label":          "a@b..org",
		"trailing dot":         "a@b.org.",
		"underscore":           "a@b_c.org",
		"Unicode host":         "a@bücher.example",
		"port 0":               "a@b:0",
		"port 65536":           "a@b:65536",
		"empty port":           "a@b:",
		"port with sign":       "a@b:+1",
		"unclosed bracket":     "a@[::1",
		"zone":                 "a@[fe80::1%25eth0]",
		"brackets around DNS":  "a@[example.org]",
		"brackets around IPv4": "a@[127.0.0.1]",
		"bracketed DNS, port":  "a@[example.org]:5",
		"two brackets":         "a@[::1]]",
		"newline":              "a@b\n",
	} {
		if a, err := address.Parse(in); !errors.Is(err, address.ErrAddress) {
			t.Errorf("%s: %q, %v", name, a.String(), err)
		} else if len(in) > 3 && strings.Contains(err.Error(), in) {
			t.Errorf("%s: the error repeats the input", name)
		}
	}
	if _, err := address.ParseCanonical(strings.Repeat("a", address.MaxAddress+1)); !errors.Is(err, address.ErrAddress) {
		t.Errorf("over-long: %v", err)
	}
}

func TestR_IDN_02_DeviceID(t *testing.T) {
	seen := map[address.Device]bool{}
	for range 100 {
		d := address.NewDevice()
		if d == 0 || seen[d] {
			t.Fatalf("drew %v", d)
		}
		seen[d] = true
		if len(d.String()) != 16 {
			t.Fatalf("prints as %q", d)
		}
		if p, err := address.ParseDevice(d.String()); err != nil || p != d {
			t.Fatalf("%v parses to %v, %v", d, p, err)
		}
	}
	for _, bad := range []string{"", "0", "0000000000000000", "1", "00000000000000001", "000000000000000g", "-000000000000001"} {
		if _, err := address.ParseDevice(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestDial(t *testing.T) {
	for in, want := range map[string]string{
		"example.org":     "example.org:7295",
		"example.org:443": "example.org:443",
		"[2001:db8::1]":   "[2001:db8::1]:7295",
		"[2001:db8::1]:1": "[2001:db8::1]:1",
		"127.0.0.1":       "127.0.0.1:7295",
	} {
		if got := address.Dial(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"alice@example.org", "ALICE@[2001:db8::1]:99", "é@x:7295", "a@[::ffff:1.2.3.4]", "a@b:c:d", "a@[b]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := address.Parse(s)
		if err != nil {
			return
		}
		if b, err := address.ParseCanonical(a.String()); err != nil || b != a {
			t.Errorf("%q: canonical form %q does not parse to itself: %v", s, a.String(), err)
		}
		if len(a.String()) > address.MaxAddress {
			t.Errorf("%q: %d bytes", s, len(a.String()))
		}
	})
}
