package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/client"
)

func exportTexts(t *testing.T, c client.API, with string) (texts []string) {
	t.Helper()
	about, all, err := c.Export(ctx(t), with)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, m.Text)
	}
	if about != len(texts) {
		t.Errorf("about %d messages, %d came", about, len(texts))
	}
	return texts
}

// Everything comes once and in order, whatever the pages, from the owner and
// from a process beside it.
func TestR_EXP_01_ExportIsWhole(t *testing.T) {
	w := newWorld(t)
	alice := config(t, "alice")
	a := w.join(alice, "alice")
	b := w.join(config(t, "bob"), "bob")
	long := strings.Repeat("<", 60_000) // six times as long between processes
	var want []string
	for i := range 25 {
		text := fmt.Sprintf("%d %s", i, long)
		send(t, a, b.Account().Address, text)
		want = append(want, text)
	}
	send(t, a, "me", "a note")
	beside, err := client.Open(ctx(t), alice)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	for _, c := range []client.API{a, beside} {
		if got := exportTexts(t, c, b.Account().Address); strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%d messages", len(got))
		}
		if got := exportTexts(t, c, ""); len(got) < len(want)+1 || got[len(want)] != "a note" {
			t.Errorf("all conversations: %d messages", len(got))
		}
		if _, _, err := c.Export(ctx(t), "nobody"); !errors.Is(err, client.ErrUnknownRecipient) {
			t.Errorf("nobody: %v", err)
		}
	}
}
