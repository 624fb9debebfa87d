package lab

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// action is what a word of a scenario does.
type action struct {
	do    func(*world, *Step) error
	thief bool // it yields loot, named by as
}

// acts are the actions of a scenario (R-LAB-01).
func acts() map[string]action {
	return map[string]action{
		"send":        {do: (*world).doSend},
		"deliver":     {do: (*world).doDeliver},
		"talk":        {do: (*world).doTalk},
		"drop":        {do: network((*world).drop)},
		"delay":       {do: network((*world).delay)},
		"duplicate":   {do: network((*world).duplicate)},
		"reorder":     {do: network((*world).reorder)},
		"tamper":      {do: network((*world).tamper)},
		"release":     {do: network((*world).release)},
		"restart":     {do: network(func(_ *world, d *device, _ int) error { return d.restart() })},
		"backup":      {do: (*world).doBackup},
		"restore":     {do: (*world).doRestore},
		"link":        {do: (*world).doLink},
		"revoke":      {do: network(func(w *world, d *device, _ int) error { return asked(w.revoke(d)) })},
		"wait":        {do: func(w *world, st *Step) error { return w.wait(st.span()) }},
		"compromise":  {do: (*world).doCompromise, thief: true},
		"impersonate": {do: (*world).doImpersonate},
		"substitute":  {do: (*world).doSubstitute, thief: true},
		"group":       {do: (*world).doGroup},
		"join":        {do: member((*world).doJoin)},
		"remove":      {do: member((*world).doRemove)},
		"leave":       {do: member(alters(groups.Leave))},
		"rekey":       {do: member(alters(groups.Rekey))},
		"say":         {do: member((*world).doSay)},
		"fork":        {do: (*world).doFork},
		"middle":      {do: (*world).doMiddle},
		"compare":     {do: (*world).doCompare},
		"withhold":    {do: func(w *world, st *Step) error { return w.withhold(st, true) }},
		"relent":      {do: func(w *world, st *Step) error { return w.withhold(st, false) }},
	}
}

// network is an action on the letters that wait for one device, or on the
// device itself.
func network(do func(*world, *device, int) error) func(*world, *Step) error {
	return func(w *world, st *Step) error {
		d, err := w.device(st.Who)
		if err != nil {
			return err
		}
		return do(w, d, st.Count)
	}
}

// asked turns a refusal of what a scenario asks for into a fault of the scenario.
func asked(err error) error {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrScenario, err)
	}
	return err
}

// few is how many letters an action is about: all if n is 0.
func few(n, have int) int {
	if n == 0 || n > have {
		return have
	}
	return n
}

func (w *world) drop(d *device, n int) error {
	d.mailbox = slices.Clone(d.mailbox[few(n, len(d.mailbox)):])
	return nil
}

func (w *world) delay(d *device, n int) error {
	n = few(n, len(d.mailbox))
	d.held = append(d.held, d.mailbox[:n]...)
	d.mailbox = slices.Clone(d.mailbox[n:])
	return nil
}

func (w *world) release(d *device, n int) error {
	n = few(n, len(d.held))
	d.mailbox = append(d.mailbox, d.held[:n]...)
	d.held = slices.Clone(d.held[n:])
	return nil
}

func (w *world) duplicate(d *device, n int) error {
	d.mailbox = append(d.mailbox, d.mailbox[:few(n, len(d.mailbox))]...)
	return nil
}

func (w *world) reorder(d *device, n int) error {
	n = few(n, len(d.mailbox))
	w.random.Shuffle(n, func(i, j int) { d.mailbox[i], d.mailbox[j] = d.mailbox[j], d.mailbox[i] })
	return nil
}

// tamper changes one bit of each letter.
func (w *world) tamper(d *device, n int) error {
	for i := range few(n, len(d.mailbox)) {
		l := *d.mailbox[i]
		l.body, l.tampered = slices.Clone(l.body), true
		l.body[w.random.IntN(len(l.body))] ^= 1 << w.random.IntN(8)
		d.mailbox[i] = &l
	}
	return nil
}

func (w *world) doSend(st *Step) error {
	d, err := w.device(st.Who)
	if err != nil {
		return err
	}
	for range max(1, st.Count) {
		if err := w.send(d, st.To, st.Crash, false); err != nil {
			return err
		}
	}
	return nil
}

// doDeliver delivers to one device, or to everybody until nothing waits.
func (w *world) doDeliver(st *Step) error {
	if st.Who != "" {
		d, err := w.device(st.Who)
		if err != nil {
			return err
		}
		return w.deliver(d, st.Count, st.Crash)
	}
	for busy := true; busy; {
		busy = false
		for _, d := range w.devices {
			if len(d.mailbox) > 0 {
				busy = true
				if err := w.deliver(d, 0, ""); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// doTalk lets two people talk (R-LAB-37 measures such talks) as the seed has it: runs of messages, of which
// some are lost, late or doubled, and thefts in between.
func (w *world) doTalk(st *Step) error {
	if len(st.Between) != 2 {
		return fmt.Errorf("%w: talk is between two devices", ErrScenario)
	}
	var both [2]*device
	for i, s := range st.Between {
		d, err := w.device(s)
		if err != nil {
			return err
		}
		both[i] = d
	}
	speaker, run := 0, 0
	percent := func(p int) bool { return p > 0 && w.random.IntN(100) < p }
	stolen := 0
	burst, prompt := cmp.Or(st.Burst, 6), st.Burst == 1
	for n := range st.Count {
		for ; stolen < st.Thefts && stolen*st.Count <= n*st.Thefts; stolen++ {
			w.compromise(both[0], theftName(stolen)).quantum = st.Quantum
		}
		if run == 0 {
			run = 1 + w.random.IntN(burst)
			if !st.Oneway {
				speaker = 1 - speaker
			}
		}
		run--
		from, to := both[speaker], both[1-speaker]
		last := len(to.mailbox)
		if err := w.send(from, to.person.name, "", false); err != nil {
			return err
		}
		switch {
		case len(to.mailbox) == last: // it was not sent, or not to this device
		case percent(st.Loss):
			to.mailbox = to.mailbox[:last]
		case percent(st.Late):
			to.held, to.mailbox = append(to.held, to.mailbox[last]), to.mailbox[:last]
		case percent(st.Twice):
			to.mailbox = append(to.mailbox, to.mailbox[last])
		}
		if len(to.held) > 0 && w.random.IntN(8) == 0 {
			if err := w.release(to, 0); err != nil {
				return err
			}
		}
		if prompt || w.random.IntN(3) > 0 {
			if err := w.deliver(to, 0, ""); err != nil {
				return err
			}
			if st.Receipts {
				last := len(from.mailbox)
				if err := w.acknowledge(to, from); err != nil {
					return err
				}
				if len(from.mailbox) > last && percent(st.Loss) {
					from.mailbox = from.mailbox[:last]
				}
			}
		}
		if prompt || w.random.IntN(3) > 0 {
			if err := w.deliver(from, 0, ""); err != nil {
				return err
			}
		}
	}
	return w.doDeliver(&Step{})
}

func (w *world) doBackup(st *Step) error {
	d, err := w.device(st.Who)
	if err == nil {
		w.backups[st.As] = backup{d, d.disk.copy()}
	}
	return err
}

func (w *world) doRestore(st *Step) error {
	b, ok := w.backups[st.As]
	if !ok {
		return fmt.Errorf("%w: no backup %q", ErrScenario, st.As)
	}
	b.of.disk, b.of.setBack = b.copy(), true
	return b.of.restart()
}

func (w *world) doLink(st *Step) error {
	p, ok := w.people[st.Who]
	if !ok {
		return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.Who)
	}
	_, err := w.link(p)
	return asked(err)
}

func (w *world) doCompromise(st *Step) error {
	d, err := w.device(st.Who)
	if err == nil {
		w.compromise(d, st.As).quantum = st.Quantum
	}
	return err
}

func (w *world) doImpersonate(st *Step) error {
	for _, l := range w.loots {
		if l.name != st.Theft {
			continue
		}
		write := func() error { return w.impersonate(l, w.find(l.self), st.To) }
		if st.Group != "" {
			g, ok := w.groups[st.Group]
			if !ok {
				return fmt.Errorf("%w: no group %q", ErrScenario, st.Group)
			}
			write = func() error { return w.intrude(l, w.find(l.self), g) }
		}
		for range max(1, st.Count) {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: no theft %q", ErrScenario, st.Theft)
}

// doSubstitute lets the relay put keys of its own in the place of a person's:
// a whole account, or the prekeys of the first device.
func (w *world) doSubstitute(st *Step) error {
	p, ok := w.people[st.Who]
	if !ok {
		return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.Who)
	}
	stand, err := w.join(st.Who, true)
	if err != nil {
		return err
	}
	l := w.compromise(stand.devices[0], st.As)
	switch {
	case st.What == "account" && st.To != "":
		if w.people[st.To] == nil {
			return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.To)
		}
		w.show(w.people[st.To], p, stand)
		stand.devices[0].loot = l
	case st.What == "account":
		stand.devices[0].loot = l
	case st.What == "prekeys":
		w.relay.directory[p.addr.String()] = p
		w.relay.forged[p.devices[0].peer()] = stand.devices[0]
	default:
		return fmt.Errorf("%w: a relay substitutes an account or prekeys", ErrScenario)
	}
	return nil
}

// withhold makes the relay keep back what it has, or give it again.
func (w *world) withhold(st *Step, on bool) error {
	d, err := w.device(st.Who)
	if err != nil {
		return err
	}
	switch st.What {
	case "one-time prekeys":
		w.relay.noOneTime[d.peer()] = on
	case "device list":
		all := view{of: d.own.Address}
		delete(w.relay.frozen, all)
		if on {
			w.relay.frozen[all] = len(d.person.entries)
		}
	case "group log":
		g, ok := w.groups[st.Group]
		if !ok {
			return fmt.Errorf("%w: no group %q", ErrScenario, st.Group)
		}
		b := w.relay.log(g)
		n := len(b.shown(d.own.Address))
		delete(b.frozen, d.own.Address)
		if on {
			b.frozen[d.own.Address] = n
		}
	case "mail":
		if on {
			return w.delay(d, 0)
		}
		return w.release(d, 0)
	default:
		return fmt.Errorf("%w: a relay withholds mail, one-time prekeys, a device list or a group log", ErrScenario)
	}
	return nil
}
