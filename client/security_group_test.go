package client

import (
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
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
	// With a copy of everything come the own chain and the sessions.
	copied, err := c.of["alice"].SecurityCopy(t.Context(), "")
	if err != nil || len(copied.Chains) != 1 || len(copied.Sessions) < 2 {
		t.Fatalf("%d chains, %d sessions, %v", len(copied.Chains), len(copied.Sessions), err)
	}
	for _, p := range copied.Report.People {
		if p.Sessions > 0 && p.Heals == HealsNever || p.Heals == HealsWithRekey {
			t.Errorf("%s heals with %q", p.Conversation, p.Heals)
		}
	}
}

// R-SEC-07: what does not fit between two processes is left out whole, and there one by one.
func TestSecurityCopyInParts(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	if _, err := c.of["alice"].Send(t.Context(), "bob", "hello", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	e := c.of["alice"].engine
	now := time.Now()
	state := talked(t, 1000, now)
	err := e.update(t.Context(), func(tx *vault.Tx) error {
		p, err := e.readPerson(tx, c.address("bob"))
		if err != nil {
			return err
		}
		for i := range 55 {
			s := session.Session{Rank: int64(i + 1), Answered: true, Initiator: true, Strength: 1, Started: now, Heard: now, LastUsed: now, State: state}
			s.ID[0] = byte(i + 1)
			ch := session.Change{Write: []*session.Session{&s}, Skipped: []session.ID{s.ID}}
			if err := storeChange(tx, peerKey{c.address("bob"), p.list.Devices[0].ID}, ch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(t.Context(), c.at["alice"])
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	whole, err := other.SecurityCopy(t.Context(), "")
	if err != nil || !whole.Partly || len(whole.Sessions) != 0 || len(whole.Prekeys) != 202 || whole.Report.People[0].Sessions != 56 {
		t.Fatalf("%d sessions, partly %v, %v", len(whole.Sessions), whole.Partly, err)
	}
	one, err := other.SecurityCopy(t.Context(), "bob")
	if err != nil || one.Partly || len(one.Sessions) != 56 || len(one.Prekeys) != 0 || one.Report.People[0].Skipped != 55000 {
		t.Fatalf("%d sessions, partly %v, %v", len(one.Sessions), one.Partly, err)
	}
}
