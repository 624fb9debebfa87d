package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

// R-CLT-50: both sides name the same session and place for the same message.
func TestR_CLT_50_BothSidesSayTheSame(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	device := b.Account().Device
	var last client.SealedCopy
	for i, text := range []string{"one", "two", "three"} {
		if i == 2 { // an answer moves the ratchet on
			send(t, b, a.Account().Address, "back")
			take(t, a)
		}
		id := send(t, a, b.Account().Address, text).ID
		take(t, b)
		sent, err := a.Message(ctx(t), id)
		if err != nil || len(sent.Sealed) != 1 {
			t.Fatalf("sent: %+v, %v", sent.Sealed, err)
		}
		got, err := b.Message(ctx(t), id)
		if err != nil || len(got.Sealed) != 1 {
			t.Fatalf("received: %+v, %v", got.Sealed, err)
		}
		s, o := sent.Sealed[0], got.Sealed[0]
		if s.Session != o.Session || len(s.Session) != 16 || s.Chain != o.Chain || s.Number != o.Number || s.Device != device || o.Device != a.Account().Device || s.Own || s.At.IsZero() {
			t.Errorf("%s: sealed %+v, opened %+v", text, s, o)
		}
		switch {
		case i == 1 && (s.Session != last.Session || s.Chain != last.Chain || s.Number != last.Number+1):
			t.Errorf("the next of a chain: %+v after %+v", s, last)
		case i == 2 && (s.Session != last.Session || s.Chain <= last.Chain || s.Number != 0):
			t.Errorf("the first of the next chain: %+v after %+v", s, last)
		}
		last = s
		for _, m := range []client.Message{sent, got} {
			if !slices.ContainsFunc(client.Explain(m).Steps, func(st client.Step) bool {
				return strings.Contains(st.What, "in session "+s.Session) && !st.At.IsZero()
			}) {
				t.Errorf("%s: explained %+v", text, client.Explain(m).Steps)
			}
		}
	}
}

// R-CLT-50: what waits for a session is placed when it is sealed, and copies
// for one's own devices are told apart.
func TestR_CLT_50_OwnDevices(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(config(t, "alice"), "alice"), w.join(config(t, "bob"), "bob")
	second, err := client.RestoreWords(ctx(t), config(t, "second"), onPaper(t, a))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	id := send(t, second, b.Account().Address, "one").ID
	m, err := second.Message(ctx(t), id)
	if err != nil || len(m.Sealed) != 2 {
		t.Fatalf("%+v, %v", m.Sealed, err)
	}
	for _, c := range m.Sealed {
		if own := c.Device == a.Account().Device; own != c.Own || (!own && c.Device != b.Account().Device) {
			t.Errorf("%+v", c)
		}
	}
	if m.Sealed[0].Session == m.Sealed[1].Session {
		t.Error("two devices in one session")
	}
}
