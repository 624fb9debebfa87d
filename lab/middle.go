package lab

import (
	"fmt"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// Relays that show people different things (R-LAB-33).

// show lets the relay show to by, for the address of of, another account.
func (w *world) show(by, of, stand *person) {
	w.relay.directory[of.addr.String()] = of
	w.relay.views[view{by.addr.String(), of.addr.String()}] = stand
}

func inMiddle(as, who string) string { return as + " as " + who }

// doMiddle puts the relay between two people: it shows to each an account of
// its own for the other, opens what comes, and passes it on.
func (w *world) doMiddle(st *Step) error {
	if len(st.Between) != 2 || st.As == "" || st.Between[0] == st.Between[1] {
		return fmt.Errorf("%w: a relay is between two people, under a name", ErrScenario)
	}
	var stands [2]*device
	for i, name := range st.Between {
		p, other := w.people[name], w.people[st.Between[1-i]]
		if p == nil || other == nil {
			return fmt.Errorf("%w: nobody is called %q", ErrScenario, name)
		}
		stand, err := w.join(name, true)
		if err != nil {
			return err
		}
		w.show(other, p, stand)
		stands[i] = stand.devices[0]
		stands[i].loot = w.compromise(stands[i], inMiddle(st.As, name))
	}
	stands[0].passes, stands[1].passes = stands[1], stands[0]
	return nil
}

// reads is whom the mail is for that a device of a relay in the middle opens.
func (w *world) reads(d *device) *person { return w.people[d.person.name] }

// doCompare lets two people compare their safety number, each as their device
// shows it. If the two differ, neither writes to the other or reads on.
func (w *world) doCompare(st *Step) error {
	a, err := w.device(st.Who)
	if err != nil {
		return err
	}
	b, err := w.device(st.To)
	if err != nil {
		return err
	}
	x, errA := w.safetyNumber(a, b.own.Address)
	y, errB := w.safetyNumber(b, a.own.Address)
	if errA != nil || errB != nil {
		return nil // nothing to compare, or done already
	}
	if x == y || a.doubts[b.own.Address] {
		return nil
	}
	w.counts.found++
	for _, d := range w.devices {
		if d.person == a.person {
			d.doubt(b.own.Address)
		}
		if d.person == b.person {
			d.doubt(a.own.Address)
		}
	}
	return nil
}

func (d *device) doubt(address string) {
	if d.doubts == nil {
		d.doubts = map[string]bool{}
	}
	d.doubts[address] = true
}

func (w *world) safetyNumber(d *device, of string) (string, error) {
	var list devicelist.List
	var err error
	if held, ok := d.disk.lists[of]; ok {
		list, err = w.verify(held)
	} else {
		list, _, err = w.look(d, of)
	}
	if err != nil {
		return "", err
	}
	return devicelist.SafetyNumber(d.own.Account, list.Account), nil
}

// doFork lets the relay show somebody another log of a group from now on, or
// an older device list than others.
func (w *world) doFork(st *Step) error {
	to, ok := w.people[st.To]
	if !ok {
		return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.To)
	}
	switch st.What {
	case "group log":
		g, ok := w.groups[st.Group]
		if !ok {
			return fmt.Errorf("%w: no group %q", ErrScenario, st.Group)
		}
		w.relay.log(g).fork(to.addr.String())
	case "device list":
		p, ok := w.people[st.Who]
		if !ok {
			return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.Who)
		}
		w.relay.frozen[view{to.addr.String(), p.addr.String()}] = len(p.entries)
	default:
		return fmt.Errorf("%w: a relay forks a group log or a device list", ErrScenario)
	}
	return nil
}

// member is an action of a device in a group.
func member(do func(*world, *Step, *device, groups.ID) error) func(*world, *Step) error {
	return func(w *world, st *Step) error {
		d, err := w.device(st.Who)
		if err != nil {
			return err
		}
		g, ok := w.groups[st.Group]
		if !ok {
			return fmt.Errorf("%w: no group %q", ErrScenario, st.Group)
		}
		return do(w, st, d, g)
	}
}

func (w *world) doGroup(st *Step) error {
	d, err := w.device(st.Who)
	if err != nil {
		return err
	}
	if _, ok := w.groups[st.Group]; ok || !groups.ValidName(st.Group) {
		return fmt.Errorf("%w: %q is the name of a group, or cannot be", ErrScenario, st.Group)
	}
	return w.found(d, st.Group, st.With)
}

func (w *world) doJoin(st *Step, d *device, g groups.ID) error {
	return w.letIn(d, g, []string{st.To})
}

func (w *world) doRemove(st *Step, d *device, g groups.ID) error {
	p, ok := w.people[st.To]
	if !ok {
		return fmt.Errorf("%w: nobody is called %q", ErrScenario, st.To)
	}
	txn := newWrite()
	return w.change(d, g, groups.Change{Kind: groups.Remove, Members: []groups.Member{{Address: p.addr.String()}}}, &txn)
}

func alters(k groups.Kind) func(*world, *Step, *device, groups.ID) error {
	return func(w *world, _ *Step, d *device, g groups.ID) error {
		txn := newWrite()
		return w.change(d, g, groups.Change{Kind: k}, &txn)
	}
}

func (w *world) doSay(st *Step, d *device, g groups.ID) error {
	for range max(1, st.Count) {
		if err := w.say(d, g, st.Crash, false); err != nil {
			return err
		}
	}
	return nil
}
