package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/client"
)

// demoGroup is what the group of the demonstration is called. Nobody but its
// members learns it.
const demoGroup = "picnic at the mill"

// stepGroups makes a group of three, takes one of them out, and tries what is
// recorded with everything that the one who is out has, and with a copy of
// another member's home.
func (w *demoWorld) stepGroups(ctx context.Context, s *shown) error {
	api, err := w.env.Engine.Register(ctx, w.carol.config, client.RegisterRequest{Name: w.carol.name, Invite: w.invite, DeviceName: "carol's laptop"})
	if err != nil {
		return fmt.Errorf("carol: %w", err)
	}
	w.carol.api, w.carol.address = api, api.Account().Address
	g, err := w.alice.api.CreateGroup(ctx, demoGroup, []string{w.bob.address, w.carol.address})
	if err != nil {
		return err
	}
	everybody := []*demoPerson{w.alice, w.bob, w.carol}
	if err := w.oneRoster(ctx, s, g.ID, everybody); err != nil {
		return err
	}
	began := len(w.tap.all())
	texts := []string{"Who brings the cheese?", "I do, and the knives.", "Then I bring the plums."}
	for i, text := range texts {
		if err := w.announce(ctx, s, g.ID, everybody[i], everybody, text); err != nil {
			return err
		}
	}
	s.claim(w.sealedOnce(began, texts) && s.failed == nil, "each was sealed and uploaded once, and the server handed the same bytes to everybody")

	stolen, err := w.stealMember(ctx, s, g.ID)
	if err != nil {
		return err
	}
	return w.takeOut(ctx, s, g, stolen)
}

// oneRoster holds that all see the same.
func (w *demoWorld) oneRoster(ctx context.Context, s *shown, id string, everybody []*demoPerson) error {
	heads, members := map[string]bool{}, 0
	for _, p := range everybody {
		if err := p.api.Sync(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		g, err := p.api.Group(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		heads[fmt.Sprint(g.Head, g.Epoch, g.Name)] = true
		members = len(g.Members)
		s.line("%-5s sees #%s, %d members, head %s", p.name, clean(g.Name), members, headText(g.Head))
	}
	s.data["members"] = members
	s.claim(len(heads) == 1 && members == len(everybody), "all hold the same roster")
	s.line("- Every message says which roster its sender goes by: a server that shows")
	s.line("  people different ones is found out by the next message.")
	found, err := foundBelow(w.path("server"), []string{demoGroup})
	if err != nil {
		return err
	}
	for _, row := range w.tap.all() {
		if bytes.Contains(row.Body, []byte(demoGroup)) {
			found = demoGroup
		}
	}
	s.claim(found == "", "the server keeps the roster and cannot read it: nothing in its files or mailboxes tells even the group's name")
	return nil
}

// announce says a text in a group, and shows it as it arrives at the others.
func (w *demoWorld) announce(ctx context.Context, s *shown, group string, from *demoPerson, everybody []*demoPerson, text string) error {
	w.texts = append(w.texts, text)
	if _, err := from.api.Send(ctx, group, text, client.SendOptions{}); err != nil {
		return fmt.Errorf("%s: %w", from.name, err)
	}
	for _, p := range everybody {
		if p == from {
			continue
		}
		got, err := w.hear(ctx, p)
		if err != nil {
			return err
		}
		if !slices.Contains(textsOf(got), text) {
			s.claim(false, "%s received what %s said in the group", p.name, from.name)
		}
	}
	s.line("%-5s → all    %s", from.name, text)
	return nil
}

// sealedOnce reports whether each of the texts went as one ciphertext to two
// mailboxes, by what the server was asked to keep from row began on.
func (w *demoWorld) sealedOnce(began int, texts []string) bool {
	copies := map[string]int{}
	for _, row := range w.tap.all()[began:] {
		copies[string(row.Body)]++
	}
	shared := 0
	for _, n := range copies {
		if n == 2 {
			shared++
		}
	}
	return shared == len(texts)
}

// stealMember copies Bob's home while a message to the group is under way to
// him, shows that the copy opens it, and lets Bob go on.
func (w *demoWorld) stealMember(ctx context.Context, s *shown, group string) (stolen string, err error) {
	const underWay = "Noon, under the big willow."
	if err := w.bob.close(); err != nil {
		return "", err
	}
	held := len(w.tap.all())
	w.texts = append(w.texts, underWay)
	if _, err := w.alice.api.Send(ctx, group, underWay, client.SendOptions{}); err != nil {
		return "", err
	}
	stolen = w.path("bob-in-the-group")
	if err := copyHome(w.bob.config.Home, stolen); err != nil {
		return "", err
	}
	texts, err := w.burgle(ctx, stolen, w.recorded(held)...)
	if err != nil {
		return "", err
	}
	s.line("")
	s.line("a thief copies bob's home while alice's next message is under way")
	s.claim(slices.Contains(texts, underWay), "the thief reads it: the keys of this epoch are in the copy")
	if err := w.bob.open(ctx, w.env); err != nil {
		return "", err
	}
	for _, p := range []*demoPerson{w.bob, w.carol} {
		if _, err := w.hear(ctx, p); err != nil {
			return "", err
		}
	}
	// What new keys are handed out in heals as a conversation does: by an answer.
	for _, line := range []struct {
		from, to *demoPerson
		text     string
	}{
		{w.alice, w.bob, "Is carol still on your list?"},
		{w.bob, w.alice, "No, she has moved away."},
		{w.alice, w.bob, "Then I take her out."},
		{w.bob, w.alice, "Do."},
	} {
		if err := w.carry(ctx, s, line.from, line.to, line.text); err != nil {
			return "", err
		}
	}
	return stolen, nil
}

// recorded are the envelopes that the server was asked to keep from row began on.
func (w *demoWorld) recorded(began int) (list [][]byte) {
	for _, row := range w.tap.all()[began:] {
		list = append(list, row.Body)
	}
	return list
}

// takeOut removes Carol, lets the others go on, and tries what was recorded from
// then on with Carol's home and with the stolen copy of Bob's.
func (w *demoWorld) takeOut(ctx context.Context, s *shown, before client.Group, stolen string) error {
	if err := w.carol.close(); err != nil { // what she says later is told apart from what she misses
		return err
	}
	held := len(w.tap.all())
	after, err := w.alice.api.ChangeGroup(ctx, before.ID, client.GroupChange{Remove: []string{w.carol.address}})
	if err != nil {
		return err
	}
	s.line("")
	s.line("alice removes carol: epoch %d, new keys for everybody else", after.Epoch)
	s.claim(after.Epoch > before.Epoch && len(after.Members) == 2, "in one step: she is out, and a new epoch has begun")
	if err := w.bob.api.Sync(ctx); err != nil {
		return err
	}
	stay := []*demoPerson{w.alice, w.bob}
	said := []string{"Just the two of us, then.", "More cheese for everybody."}
	for i, text := range said {
		if err := w.announce(ctx, s, before.ID, stay[i], stay, text); err != nil {
			return err
		}
	}
	rows := w.recorded(held)
	if err := w.carol.open(ctx, w.env); err != nil {
		return err
	}
	got, err := w.hear(ctx, w.carol)
	if err != nil {
		return err
	}
	_, refused := w.carol.api.Send(ctx, before.ID, "And I?", client.SendOptions{})
	s.claim(errors.Is(refused, client.ErrNotMember) && len(textsOf(got)) == 0, "carol can say nothing there any more, and is sent nothing")
	kept, err := w.carol.api.History(ctx, before.ID, recvBatch, "")
	if err != nil {
		return err
	}
	if err := w.carol.close(); err != nil {
		return err
	}
	byCarol, err := w.burgleWith(ctx, w.carol.config, w.carol.config.Home, rows...)
	if err != nil {
		return err
	}
	byThief, err := w.burgle(ctx, stolen, rows...)
	if err != nil {
		return err
	}
	opened := 0
	for _, text := range byCarol {
		if slices.Contains(said, text) {
			opened++
		}
	}
	s.data["recorded"], s.data["opened_by_removed"], s.data["opened_by_thief"] = len(rows), opened, len(byThief)
	s.line("")
	s.line("%-36s %-15s %s", "who reads what is said", "before", "after")
	s.line("%-36s %-15s %s", "alice and bob", "yes", "yes")
	s.line("%-36s %-15s %s", "carol, with all that she has", "yes", readsWord(opened))
	s.line("%-36s %-15s %s", "a thief, with bob's keys of before", "from the theft", readsWord(len(byThief)))
	s.claim(len(rows) > 0 && opened == 0, "with everything in carol's home, nothing that was said after her removal opens")
	s.claim(len(byThief) == 0, "nor with the stolen copy: not what was said, and not the new keys on their way")
	s.claim(len(textsOf(kept)) > 0, "what carol has read stays with her, %d messages: nobody can take that back", len(textsOf(kept)))
	return nil
}

func readsWord(opened int) string {
	if opened == 0 {
		return "no"
	}
	return "YES"
}
