package client

import (
	"testing"

	"github.com/pawl-chat/pawl/groups"
)

// TestR_SEC_05_Groups: what the sender keys give is counted. R-SEC-10
func TestR_SEC_05_Groups(t *testing.T) {
	c, id := talkers(t, "alice", "bob", "carol")
	of := func(name string) ConversationExposure {
		t.Helper()
		r, err := c.of[name].Security(t.Context(), id)
		if err != nil || len(r.Groups) != 1 || len(r.People) != 0 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		return r.Groups[0]
	}
	for _, name := range []string{"alice", "bob"} {
		if _, err := c.of[name].Send(t.Context(), id, "hello from "+name, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		c.look("alice", "bob", "carol")
	}
	x := of("alice")
	if x.History.Messages != 2 || x.ReadsYours != 1 || x.ReadsTheirs == 0 || x.Sessions != x.ReadsTheirs || x.Heals != HealsWithRekey || x.Since.IsZero() || x.Skipped != 0 {
		t.Fatalf("after a talk: %+v", x)
	}
	g, err := c.of["alice"].Group(t.Context(), id)
	if err != nil || !x.RekeyDue.Equal(g.EpochAt.Add(groups.EpochLife)) {
		t.Fatalf("the next epoch is due %v, the present one began %v; %v", x.RekeyDue, g.EpochAt, err)
	}
	// With the whole copy come the chains, and with everything the sessions.
	copied, err := c.of["alice"].SecurityCopy(t.Context(), "")
	if err != nil || len(copied.Chains) != x.Sessions+1 || len(copied.Sessions) < 2 {
		t.Fatalf("%d chains, %d sessions, %v", len(copied.Chains), len(copied.Sessions), err)
	}
	for _, p := range copied.Report.People {
		if p.Sessions > 0 && p.Heals == HealsNever || p.Heals == HealsWithRekey {
			t.Errorf("%s heals with %q", p.Conversation, p.Heals)
		}
	}
}
