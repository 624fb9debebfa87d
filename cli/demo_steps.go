package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

func (w *demoWorld) stepServer(ctx context.Context, s *shown) error {
	server, err := w.env.Engine.Serve(ServeConfig{Data: w.path("server"), Listen: "127.0.0.1:0", Registration: "invite", Tap: w.tap.record})
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(life) }()
	w.stopServer = func() error { stop(); return <-ended }
	if w.invite, err = server.Invite(ctx); err != nil {
		return err
	}
	w.listen = server.Addr()
	s.line("listening  %s", w.listen)
	s.line("invite     %s", fit(w.invite, demoWidth-17))
	s.data["listen"] = w.listen
	s.claim(strings.Contains(w.invite, w.listen) && strings.Contains(w.invite, "pin="), "the invite names the real port and pins the server's key")
	return nil
}

func (w *demoWorld) stepRegister(ctx context.Context, s *shown) error {
	addresses := []string{}
	for _, p := range []*demoPerson{w.alice, w.bob} {
		api, err := w.env.Engine.Register(ctx, p.config, client.RegisterRequest{Name: p.name, Invite: w.invite, DeviceName: p.name + "'s laptop"})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		p.api = api
		account := api.Account()
		p.address = account.Address
		addresses = append(addresses, p.address)
		s.line("%-24s  device %s", clean(account.Address), clean(account.Device))
	}
	s.data["addresses"] = addresses
	s.claim(w.alice.address != w.bob.address, "two accounts, each with its own identity")
	return nil
}

func (w *demoWorld) stepTalk(ctx context.Context, s *shown) error {
	for _, line := range []struct {
		from, to *demoPerson
		text     string
	}{
		{w.alice, w.bob, "Shall we meet at the old mill?"},
		{w.bob, w.alice, "Gladly. Tomorrow at noon?"},
		{w.alice, w.bob, "Noon it is. I bring the maps."},
		{w.bob, w.alice, "And I bring the bread."},
	} {
		if err := w.carry(ctx, s, line.from, line.to, line.text); err != nil {
			return err
		}
	}
	s.data["messages"] = len(w.texts)
	s.claim(s.failed == nil, "each text arrived as it was written")
	return nil
}

func (w *demoWorld) stepOffline(ctx context.Context, s *shown) error {
	if err := w.bob.close(); err != nil {
		return err
	}
	s.line("bob's program ends")
	held := len(w.tap.all())
	w.missed = "Bring the small boat as well."
	missed := []string{w.missed, "And a coat, it may rain."}
	accepted := true
	for _, text := range missed {
		m, err := w.say(ctx, w.alice, w.bob, text)
		if err != nil {
			return err
		}
		s.line("alice → (bob)  %s", text)
		accepted = accepted && m.Status == client.StatusAccepted
	}
	s.claim(accepted, "the server has both, durably (status accepted, not delivered)")
	// A copy of Bob's home as it is now serves the last step as the witness of
	// what Bob's own keys would have opened.
	w.before = w.path("bob-before")
	if err := copyHome(w.bob.config.Home, w.before); err != nil {
		return err
	}
	// Receipts of Alice's may lie between: the message is the one that says so.
	for _, row := range w.tap.all()[held:] {
		texts, err := w.burgle(ctx, w.before, row.Body)
		if err != nil {
			return err
		}
		if slices.Equal(texts, []string{w.missed}) {
			w.missedRow = row
		}
	}
	if err := w.bob.open(ctx, w.env); err != nil {
		return err
	}
	s.line("bob's program runs again")
	got, err := w.hear(ctx, w.bob)
	if err != nil {
		return err
	}
	var texts []string
	for _, m := range got {
		texts = append(texts, m.Text)
		s.line("alice → bob    %s", clean(m.Text))
	}
	s.claim(strings.Join(texts, "\n") == strings.Join(missed, "\n"), "bob has all of it, once and in order")
	s.data["caught_up"] = len(got)
	// A few words more let both ratchets turn, which closes the chains that
	// carried what was said so far.
	for _, line := range []struct {
		from, to *demoPerson
		text     string
	}{
		{w.bob, w.alice, "Boat and coat. See you there."},
		{w.alice, w.bob, "See you at the mill."},
		{w.bob, w.alice, "Good night!"},
	} {
		if err := w.carry(ctx, s, line.from, line.to, line.text); err != nil {
			return err
		}
	}
	return nil
}

// shortest is the length from which a text found in a file is no accident.
const shortest = 8

func (w *demoWorld) stepServerSaw(_ context.Context, s *shown) error {
	rows := w.tap.all()
	list := []map[string]any{}
	leaked := 0
	cells := [][]string{{"to", "id", "bytes", "a piece of it"}}
	sizes := map[int]bool{}
	for _, row := range rows {
		for _, text := range w.texts {
			if len(text) >= shortest && bytes.Contains(row.Body, []byte(text)) {
				leaked++
			}
		}
		sizes[len(row.Body)] = true
		piece := hex.EncodeToString(row.Body[max(0, len(row.Body)-16):])
		list = append(list, map[string]any{"to": row.User, "device": row.Device, "id": row.ID, "bytes": len(row.Body), "tail": piece})
		cells = append(cells, []string{clean(row.User), fit(row.ID, 12), fmt.Sprint(len(row.Body)), "… " + piece})
	}
	const few = 9
	more := len(cells) - few
	if more > 0 {
		cells = cells[:few]
	}
	for _, line := range splitLines(strings.TrimSuffix(table(demoWidth-6, cells), "\n")) {
		s.line("%s", line)
	}
	if more > 0 {
		s.line("… and %d more", more)
	}
	s.line("The first is larger: it carries the handshake. Texts are padded.")
	s.data["rows"] = list
	s.claim(len(rows) >= len(w.texts) && leaked == 0, "none of the %d texts occurs in any of the %d messages", len(w.texts), len(rows))
	found, err := foundBelow(w.path("server"), w.texts)
	if err != nil {
		return err
	}
	s.claim(found == "", "nor in any file of the server, where each row is sealed once more")
	for _, p := range []*demoPerson{w.alice, w.bob} {
		if found, err = foundBelow(p.config.Home, w.texts); err != nil {
			return err
		}
		s.claim(found == "", "nor in any file of %s's home, which is sealed under a passphrase", p.name)
	}
	return nil
}

func (w *demoWorld) stepVerify(ctx context.Context, s *shown) error {
	ofAlice, err := w.alice.api.SafetyNumber(ctx, w.bob.address)
	if err != nil {
		return err
	}
	ofBob, err := w.bob.api.SafetyNumber(ctx, w.alice.address)
	if err != nil {
		return err
	}
	left, right := fives(clean(ofAlice.Digits)), fives(clean(ofBob.Digits))
	s.line("on alice's screen          on bob's screen")
	for i := 0; i+4 <= len(left) && i+4 <= len(right); i += 4 {
		s.line("%-25s  %s", strings.Join(left[i:i+4], " "), strings.Join(right[i:i+4], " "))
	}
	s.data["digits"] = ofAlice.Digits
	s.claim(ofAlice.Digits == ofBob.Digits && len(ofAlice.Digits) == 60, "both see the same 60 digits")
	if err := errors.Join(w.alice.api.Confirm(ctx, w.bob.address), w.bob.api.Confirm(ctx, w.alice.address)); err != nil {
		return err
	}
	ofAlice, err = w.alice.api.SafetyNumber(ctx, w.bob.address)
	if err != nil {
		return err
	}
	s.claim(ofAlice.Trust == client.TrustVerified, "they say so, as with `pawl verify --confirm`: from now on a changed identity stops the next message")
	return nil
}

// stepTheft gives a thief Bob's home and passphrase and all recorded traffic.
func (w *demoWorld) stepTheft(ctx context.Context, s *shown) error {
	// What was recorded by now Bob has received when he goes: a receipt still
	// on its way to him would open, as it should.
	rows := w.tap.all()
	if err := w.bob.api.Sync(ctx); err != nil {
		return err
	}
	if err := w.bob.close(); err != nil {
		return err
	}
	w.stolen = w.path("bob-stolen")
	if err := copyHome(w.bob.config.Home, w.stolen); err != nil {
		return err
	}
	var recorded [][]byte
	for _, row := range rows {
		recorded = append(recorded, row.Body)
	}
	texts, err := w.burgle(ctx, w.stolen, recorded...)
	if err != nil {
		return err
	}
	s.data["recorded"], s.data["opened"] = len(rows), len(texts)
	s.claim(len(texts) == 0 && len(rows) > 0, "of %d recorded messages the keys in the home open %d", len(rows), len(texts))
	// The test could fail: a copy of the home from before Bob came back does
	// hold the key.
	texts, err = w.burgle(ctx, w.before, w.missedRow.Body)
	if err != nil {
		return err
	}
	s.claim(slices.Equal(texts, []string{w.missed}), "a copy made while a message was under way does open that one")
	// What the ratchet does not protect is said as plainly, and is as true.
	read, err := w.readHistory(ctx, w.stolen)
	if err != nil {
		return err
	}
	s.line("")
	s.line("To be honest about it:")
	s.claim(read > 0, "the history that Bob keeps is readable, all %d messages: it is sealed under his passphrase, and the thief has that too", read)
	s.line("- Until the ratchet turns again, the thief can also read what comes next.")
	s.data["history_readable"] = read
	return nil
}

// readHistory counts what whoever has a home and its passphrase can read of
// the conversation with Alice. It does not connect.
func (w *demoWorld) readHistory(ctx context.Context, home string) (int, error) {
	config := w.bob.config
	config.Home = home
	api, err := w.env.Engine.Open(ctx, config)
	if err != nil {
		return 0, err
	}
	list, err := api.History(ctx, w.alice.address, recvBatch, "")
	return len(list), errors.Join(err, api.Close())
}

// burgle returns the texts of those envelopes that a key in a copied home opens.
// The home is a copy of Bob's.
func (w *demoWorld) burgle(ctx context.Context, home string, envelopes ...[]byte) (texts []string, err error) {
	return w.burgleWith(ctx, w.bob.config, home, envelopes...)
}

// burgleWith is burgle for a home of somebody's.
func (w *demoWorld) burgleWith(ctx context.Context, config client.Config, home string, envelopes ...[]byte) (texts []string, err error) {
	config.Home = home
	thief, err := w.env.Engine.Examine(config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, thief.Close()) }()
	for _, envelope := range envelopes {
		text, opens, err := thief.TryOpen(ctx, envelope)
		if err != nil {
			return nil, err
		}
		if opens {
			texts = append(texts, text)
		}
	}
	return texts, nil
}

// stepForge makes another text pass for the one that Bob missed, and holds it
// against three judges: the disclosed key, Bob's device as it was before that
// message came, and Bob's device as it is now.
func (w *demoWorld) stepForge(ctx context.Context, s *shown) error {
	const newText = "Bring the large safe as well."
	recorded := [][]byte{w.missedRow.Body}
	for _, row := range w.tap.all() {
		recorded = append(recorded, row.Body)
	}
	public := w.bob.config
	public.Home = w.stolen
	f, err := w.env.Engine.Forge(ctx, ForgeRequest{Envelopes: recorded, Home: public, OldText: w.missed, NewText: newText})
	if err != nil {
		return err
	}
	s.line("alice wrote   %s", w.missed)
	s.line("the forgery   %s", newText)
	s.line("made with     %s", fit(hex.EncodeToString(f.Seed), demoWidth-30)+" (disclosed)")
	s.data["original_bytes"], s.data["forged_bytes"] = len(f.Original), len(f.Forged)
	s.claim(bytes.Equal(f.Original, w.missedRow.Body) && !bytes.Equal(f.Forged, f.Original), "made of the recorded message, without any secret of theirs")
	broken := bytes.Clone(f.Forged)
	broken[len(broken)-1] ^= 1
	s.claim(f.Verifies(f.Original) && f.Verifies(f.Forged) && !f.Verifies(broken), "both verify under the disclosed key; a clumsy change does not")
	then, err := w.burgle(ctx, w.before, f.Forged)
	if err != nil {
		return err
	}
	s.claim(slices.Equal(then, []string{newText}), "bob's device, as it was before that message, reads the forgery")
	now, err := w.burgle(ctx, w.stolen, f.Forged)
	if err != nil {
		return err
	}
	s.claim(len(now) == 0, "bob's device, as it is now, refuses it: the key was spent first")
	return nil
}
