package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// stepDevices gives Alice a second device and takes it away again.
func (w *demoWorld) stepDevices(ctx context.Context, s *shown) error {
	code, err := w.linkPhone(ctx)
	if err != nil {
		return err
	}
	phone := w.phone.api.Account()
	all, err := w.phone.api.Devices(ctx)
	if err != nil {
		return err
	}
	s.line("both show the code %s; the laptop signs the new list", clean(code.shown))
	for _, d := range all {
		s.line("  %s", deviceText(d.ID, d.Name))
	}
	s.data["devices"], s.data["code"] = len(all), code.shown
	s.claim(code.shown != "" && code.shown == code.read && len(all) == 2 && phone.Address == w.alice.address,
		"the phone has joined by what alice carried from its screen")

	if err := w.bothDevices(ctx, s); err != nil {
		return err
	}
	return w.revokePhone(ctx, s, phone.Device)
}

// codes are what the two screens show while a device is linked.
type codes struct{ shown, read string }

// linkPhone links a second device of Alice's, directly over this machine.
func (w *demoWorld) linkPhone(ctx context.Context) (c codes, err error) {
	key := w.path("alice-phone.key")
	if err := makeKeyFile(key); err != nil {
		return c, err
	}
	w.phone = &demoPerson{name: "alice", address: w.alice.address, config: w.alice.config}
	w.phone.config.Home, w.phone.config.Unlock = w.path("alice-phone"), client.Unlock{KeyFile: key}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	offered, ended := make(chan client.LinkOffer, 1), make(chan error, 1)
	go func() {
		var err error
		w.phone.api, err = w.env.Engine.Link(ctx, w.phone.config, client.LinkRequest{
			DeviceName: "alice's phone", Listen: "127.0.0.1:0", Show: func(o client.LinkOffer) { offered <- o },
		})
		ended <- err
	}()
	select {
	case o := <-offered:
		seen, err := w.env.Engine.ParseLink(o.URI)
		if err == nil {
			_, err = w.alice.api.Approve(ctx, o.URI, client.ApproveOptions{})
		}
		if err != nil {
			cancel()
			return c, errors.Join(fmt.Errorf("alice's laptop: %w", err), <-ended)
		}
		c = codes{o.Code, seen.Code}
		err = <-ended
		if err != nil {
			err = fmt.Errorf("alice's phone: %w", err)
		}
		return c, err
	case err := <-ended:
		if err == nil {
			err = errDemo // it never said where it waits
		}
		return c, fmt.Errorf("alice's phone: %w", err)
	}
}

// bothDevices holds that what is sent and received is on both.
func (w *demoWorld) bothDevices(ctx context.Context, s *shown) error {
	const toBoth, fromPhone = "Which of your two screens shows this?", "Both. I write this on my phone."
	said, err := w.say(ctx, w.bob, w.alice, toBoth)
	if err != nil {
		return err
	}
	if said, err = w.bob.api.Message(ctx, said.ID); err != nil {
		return err
	}
	apart := len(said.Sealed) == 2 && said.Sealed[0].Device != said.Sealed[1].Device && said.Sealed[0].Session != said.Sealed[1].Session
	reached := 0
	for _, p := range []*demoPerson{w.alice, w.phone} {
		got, err := w.hear(ctx, p)
		if err != nil {
			return err
		}
		if slices.Equal(textsOf(got), []string{toBoth}) {
			reached++
		}
	}
	s.line("bob → alice    %s", toBoth)
	s.claim(apart && reached == 2, "it is sealed for each device apart, in sessions of their own, and both have it")

	sent, err := w.say(ctx, w.phone, w.bob, fromPhone)
	if err != nil {
		return err
	}
	got, err := w.hear(ctx, w.bob)
	if err != nil {
		return err
	}
	if err := w.alice.api.Sync(ctx); err != nil {
		return err
	}
	copied, err := w.alice.api.Message(ctx, sent.ID)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	s.line("alice → bob    %s", fromPhone)
	s.claim(slices.Equal(textsOf(got), []string{fromPhone}) && copied.Text == fromPhone && copied.Direction == client.Out && copied.FromDevice == sent.FromDevice,
		"bob has that, and alice's laptop shows it as sent by her")
	s.claim(slices.ContainsFunc(got, func(m client.Message) bool { return m.Notice == client.NoticeDeviceAdded }), "bob was told of the new device")
	return nil
}

// revokePhone cuts the phone off. Bob, who has not heard of it, addresses it
// once more: the server takes none of that, and Bob's device seals again by the
// list that it is shown.
func (w *demoWorld) revokePhone(ctx context.Context, s *shown, device string) error {
	if err := w.phone.close(); err != nil {
		return err
	}
	if _, err := w.alice.api.RevokeDevice(ctx, device); err != nil {
		return err
	}
	s.line("alice loses the phone, and removes it from her list")
	if err := w.phone.open(ctx, w.env); err != nil {
		return err
	}
	s.claim(errors.Is(w.phone.api.Sync(ctx), client.ErrRevoked), "the server turns the phone away")
	if err := w.phone.close(); err != nil {
		return err
	}
	held := len(w.tap.all())
	var last client.Message
	arrived := true
	for _, text := range []string{"And without the phone?", "Just your laptop, then."} {
		m, err := w.say(ctx, w.bob, w.alice, text)
		if err != nil {
			return err
		}
		got, err := w.hear(ctx, w.alice)
		if err != nil {
			return err
		}
		if last, err = w.bob.api.Message(ctx, m.ID); err != nil {
			return err
		}
		s.line("bob → alice    %s", text)
		arrived = arrived && slices.Equal(textsOf(got), []string{text})
	}
	heard, err := w.hear(ctx, w.bob)
	if err != nil {
		return err
	}
	stored, sealed := 0, []string{}
	for _, row := range w.tap.all()[held:] {
		if row.Device == device {
			stored++
		}
	}
	for _, c := range last.Sealed {
		sealed = append(sealed, c.Device)
	}
	s.data["sealed_for"] = sealed
	s.claim(arrived && stored == 0, "both are on the laptop, and the server took no copy for the phone")
	s.claim(slices.ContainsFunc(heard, func(m client.Message) bool { return m.Notice == client.NoticeDeviceRevoked }) &&
		slices.Equal(sealed, []string{w.alice.api.Account().Device}), "bob was told, and seals for the laptop alone")
	return nil
}

// stepOldCopy lets the copied home connect after Bob's own has gone on.
func (w *demoWorld) stepOldCopy(ctx context.Context, s *shown) error {
	if err := w.bob.open(ctx, w.env); err != nil {
		return err
	}
	if err := w.carry(ctx, s, w.bob, w.alice, "I am back. Was there anything?"); err != nil {
		return err
	}
	// Both have sent what they owe: what comes for Alice now is the copy's.
	for _, p := range []*demoPerson{w.alice, w.bob, w.alice} {
		if err := p.api.Sync(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	forAlice := func() (n int) {
		for _, row := range w.tap.all() {
			if strings.HasPrefix(w.alice.address, row.User+"@") {
				n++
			}
		}
		return n
	}
	held := forAlice()
	config := w.bob.config
	config.Home = w.stolen
	thief, err := w.env.Engine.Open(ctx, config)
	if err != nil {
		return err
	}
	m, refused := thief.Send(ctx, w.alice.address, "Leave the mill's key under the stone.", client.SendOptions{})
	taking := thief.Sync(ctx)
	if err := thief.Close(); err != nil {
		return err
	}
	sent := forAlice() - held
	s.line("the copy       tries to send to alice")
	s.data["sent_by_copy"] = sent
	s.claim(errors.Is(refused, client.ErrRolledBack), "the server sees at once that it is older than bob's own home, and so the copy learns it")
	s.claim(held > 0 && m.SealedAt.IsZero() && sent == 0, "nothing was sealed with a key that bob has used since, and nothing was sent")
	s.claim(errors.Is(taking, client.ErrRolledBack), "nor may it take anything out of bob's mailbox")
	if err := w.carry(ctx, s, w.alice, w.bob, "Nothing at all."); err != nil {
		return err
	}
	s.claim(s.failed == nil, "bob's own device goes on as before")
	s.line("- It is the first to connect that goes on. Had the thief been first,")
	s.line("  bob's device would have stopped, and told him.")
	return nil
}

// textsOf leaves out notices.
func textsOf(list []client.Message) (texts []string) {
	for _, m := range list {
		if m.Kind != client.KindNotice {
			texts = append(texts, m.Text)
		}
	}
	return texts
}
