package client

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// TestR_CLT_52: messages are sealed in the order in which they leave. One that
// is written after the login waits for those from before it, also when a new
// process finds them.
func TestR_CLT_52(t *testing.T) {
	store := memstore.New()
	w := newBench(t, server.Stores{Directory: store, Mailbox: store, Wake: store})
	alice, home := w.join("alice")
	bob, _ := w.join("bob")
	defer bob.Close()
	ctx := context.Background()
	if _, err := alice.Send(ctx, "bob", "0", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	queue := func(text string) (sealed bool) {
		t.Helper()
		e := alice.engine
		p, err := e.person(ctx, bob.account.Address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := content.NewText(content.NewID(), e.now(), 0, content.Text{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.enqueue(ctx, p.address, p, c, c); err != nil {
			t.Fatal(err)
		}
		err = e.view(ctx, func(tx *vault.Tx) error {
			o, ok, err := getRecord[outboxRecord](tx, tableOutbox, c.ID[:])
			if !ok {
				t.Error("it is not in the outbox")
			}
			sealed = len(o.Sealed) > 0
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	restart := func(checked bool) {
		t.Helper()
		alice.Close()
		again, err := Open(ctx, home)
		if err != nil {
			t.Fatal(err)
		}
		alice = again.(*Client)
		alice.engine.mu.Lock()
		alice.engine.checked = checked
		alice.engine.mu.Unlock()
	}
	restart(false)
	n := 0
	for _, checked := range []bool{false, true} { // the login comes in between
		alice.engine.mu.Lock()
		alice.engine.checked = checked
		alice.engine.mu.Unlock()
		for range 2 {
			if n++; queue(fmt.Sprint(n)) {
				t.Errorf("message %d is sealed before those that were written earlier", n)
			}
		}
	}
	restart(true)
	if n++; queue(fmt.Sprint(n)) {
		t.Errorf("message %d is sealed before those of the process before", n)
	}
	if err := alice.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if n++; !queue(fmt.Sprint(n)) {
		t.Error("with nothing before it a message is not sealed at once")
	}
	if err := alice.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	alice.Close()
	if err := bob.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := bob.Receive(ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	var place SealedCopy
	for _, m := range got {
		if m.Kind != KindText {
			continue
		}
		texts = append(texts, m.Text)
		if at := m.Sealed[0]; at.Chain < place.Chain || at.Chain == place.Chain && at.Number < place.Number {
			t.Errorf("message %s stands at %d, %d, after %d, %d", m.Text, at.Chain, at.Number, place.Chain, place.Number)
		} else {
			place = at
		}
	}
	if !slices.Equal(texts, []string{"0", "1", "2", "3", "4", "5", "6"}) {
		t.Errorf("bob got %v", texts)
	}
}
