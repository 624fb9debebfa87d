package relay

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestR_REL_03_InviteLink(t *testing.T) {
	pin := bytes.Repeat([]byte{0xa5}, PinSize)
	for _, i := range []Invite{
		{Host: "example.org", Token: NewToken(), Pin: pin},
		{Host: "127.0.0.1:34567", Token: NewToken(), Pin: pin},
		{Host: "[::1]", Token: NewToken()},
		{Host: "[2001:db8::1]:443", Token: NewToken(), Pin: pin},
	} {
		got, err := ParseInvite(" " + i.String() + "\n")
		if err != nil || got.Host != i.Host || got.Token != i.Token || !bytes.Equal(got.Pin, i.Pin) {
			t.Errorf("ParseInvite(%q) = %+v, %v", i, got, err)
		}
	}
	if a, b := NewToken(), NewToken(); a == b || len(a) != 22 {
		t.Errorf("tokens %q and %q", a, b)
	}
	if got, err := ParseInvite("PAWL://EXAMPLE.org/invite/" + strings.Repeat("A", 22)); err != nil || got.Host != "example.org" {
		t.Errorf("another case: %+v, %v", got, err)
	}
}

// A pin that is damaged is an error. It is never left out.
func TestR_REL_03_InviteRefused(t *testing.T) {
	token, pin := NewToken(), base64.RawURLEncoding.EncodeToString(make([]byte, PinSize))
	for _, s := range []string{
		"",
		"pawl://",
		"pawl:///invite/" + token,
		"https://example.org/invite/" + token,
		"pawl://example.org/" + token,
		"pawl://example.org/invite/",
		"pawl://example.org/invite/" + token[:21],
		"pawl://example.org/invite/" + token + "A",
		"pawl://example.org/invite/" + token[:21] + "\n" + token[21:],
		"pawl://example.org/invite/" + token + "?pin=",
		"pawl://example.org/invite/" + token + "?pin=" + pin[:42],
		"pawl://example.org/invite/" + token + "?pin=" + pin + "A",
		"pawl://example.org/invite/" + token + "?pin=" + pin[:42] + "B", // stray bits
		"pawl://example.org/invite/" + token + "?pin=" + pin[:42] + "*",
		"pawl://example.org/invite/" + token + "?Pin=" + pin,
		"pawl://example.org/invite/" + token + "?pin=" + pin + "&x=1",
		"pawl://example.org/invite/" + token + "&pin=" + pin,
		"pawl://user@example.org/invite/" + token,
		"pawl://exa mple.org/invite/" + token,
		"pawl://example.org:0/invite/" + token,
		"pawl://" + strings.Repeat("a", 600) + "/invite/" + token,
	} {
		if got, err := ParseInvite(s); !errors.Is(err, ErrInvite) {
			t.Errorf("ParseInvite(%q) = %+v, %v", s, got, err)
		}
	}
}

func FuzzParseInvite(f *testing.F) {
	f.Add(Invite{Host: "example.org", Token: NewToken(), Pin: make([]byte, PinSize)}.String())
	f.Add(Invite{Host: "[::1]:99", Token: NewToken()}.String())
	f.Add("pawl://a/invite/?pin=")
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParseInvite(s)
		if err != nil {
			return
		}
		again, err := ParseInvite(i.String())
		if err != nil || again.String() != i.String() {
			t.Fatalf("%q: %v", i.String(), err)
		}
	})
}
