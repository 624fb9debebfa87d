package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/internal/relay"
)

// R-REL-14, R-REL-15, R-REL-19, R-REL-21: what is accepted is delivered, in
// order, to a device that was away and to one that is there.
func TestR_REL_19_AwayThenThere(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	send(t, a, to(bob, "one"))
	send(t, a, to(bob, "two"))

	b := bob.connect()
	if got := bodies(receive(t, b, -1)); !slices.Equal(got, []string{"one", "two"}) {
		t.Fatalf("what waited = %q", got)
	}
	send(t, a, to(bob, "three"))
	if got := bodies(receive(t, b, 1)); !slices.Equal(got, []string{"three"}) {
		t.Fatalf("what came = %q", got)
	}
	b.Close()

	// Everything was acknowledged: nothing comes again.
	b = bob.connect()
	if got := receive(t, b, -1); len(got) != 0 {
		t.Fatalf("%d acknowledged messages came again", len(got))
	}
}

// What was not acknowledged comes again.
func TestR_REL_21_UnacknowledgedComesAgain(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	send(t, alice.connect(), to(bob, "again"))
	for range 3 {
		b := bob.connect()
		batch := <-b.Deliveries()
		if len(batch.Messages) != 1 || string(batch.Messages[0].Body) != "again" {
			t.Fatalf("batch = %+v", batch)
		}
		b.Close()
	}
}

// R-REL-17, R-REL-19: a mailbox full to its quota is drained through the window,
// in order, and takes messages again.
func TestR_REL_17_QuotaAndDrain(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	const quota = 1000
	var want []string
	errs := make(chan error, quota)
	for i := range quota {
		body := fmt.Sprint(i)
		want = append(want, body)
		if i%50 != 49 { // one after the other, to hold them to their order
			send(t, a, to(bob, body))
			errs <- nil
			continue
		}
		r, err := a.Send(t.Context(), to(bob, body))
		if r.Stale != nil {
			t.Fatal("stale")
		}
		errs <- err
	}
	for range quota {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.Send(t.Context(), to(bob, "too much"))
	wantCode(t, err, relay.MailboxFull)

	b := bob.connect()
	got := receive(t, b, -1)
	if !slices.Equal(bodies(got), want) {
		t.Fatalf("%d messages came, not those in the order they were sent", len(got))
	}
	send(t, a, to(bob, "room again"))
	receive(t, b, 1)
}

// R-REL-19: without acknowledgements delivery stops at the window and goes on
// with the first one.
func TestR_REL_19_Window(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	for i := range relay.WindowMessages + 10 {
		send(t, a, to(bob, fmt.Sprint(i)))
	}
	b := bob.connect()
	var got []relay.Delivery
	for len(got) < relay.WindowMessages {
		batch, ok := <-b.Deliveries()
		if !ok || batch.Empty {
			t.Fatalf("after %d messages: open %v, empty %v", len(got), ok, batch.Empty)
		}
		got = append(got, batch.Messages...)
	}
	// A round trip later nothing else has come.
	if _, err := b.PrekeyStatus(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case batch := <-b.Deliveries():
		t.Fatalf("%d messages came beyond the window", len(batch.Messages))
	default:
	}
	if err := b.Ack(t.Context(), []uint64{got[0].Seq, got[1].Seq}); err != nil {
		t.Fatal(err)
	}
	batch := <-b.Deliveries()
	if len(batch.Messages) == 0 || len(batch.Messages) > 2 {
		t.Fatalf("%d messages came after two acknowledgements", len(batch.Messages))
	}
}

// R-REL-29: the end of the mailbox lies behind everything accepted before.
func TestR_REL_29_MailboxEnd(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	receive(t, b, -1)
	if end, err := b.MailboxEnd(t.Context()); err != nil || end != 0 {
		t.Errorf("the end of an empty mailbox is %d, %v", end, err)
	}
	for i := range 5 {
		send(t, a, to(bob, fmt.Sprint(i)))
	}
	end, err := b.MailboxEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := receive(t, b, 5)
	if got[4].Seq != end {
		t.Errorf("the end is %d, the last message has %d", end, got[4].Seq)
	}
	// Acknowledged, it is still where this connection has caught up.
	if again, err := b.MailboxEnd(t.Context()); err != nil || again != end {
		t.Errorf("the end moved from %d to %d, %v", end, again, err)
	}
}
