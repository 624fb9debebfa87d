package lab

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// What each item of a trace becomes (R-LAB-26): nothing is taken that the
// packages do not read, and no number that names nothing.

func (p *replayed) header(i *headerItem) error {
	if i.Version != traceVersion {
		return p.wrong("it is of a version that this pawl does not read")
	}
	s, err := Parse([]byte(i.Scenario))
	if err != nil {
		return fmt.Errorf("%w: its scenario: %w", ErrTrace, err)
	}
	again, err := s.encode()
	if err != nil || string(again) != i.Scenario {
		return p.wrong("its scenario is not written as scenarios in traces are")
	}
	p.scenario, p.seed = s, i.Seed
	return nil
}

// at is a moment of the run; none is before the last.
func (p *replayed) at(seconds uint64) (time.Time, error) {
	// What people write takes time too (R-LAB-12).
	if seconds < p.now || seconds > uint64((2*MaxHours*time.Hour)/time.Second) {
		return time.Time{}, p.wrong("its time is out of range")
	}
	p.now = seconds
	p.world.now = began.Add(time.Duration(seconds) * time.Second)
	return p.world.now, nil
}

func (p *replayed) who(n uint64) (*device, error) {
	if n >= uint64(len(p.world.devices)) {
		return nil, p.wrong("there is no such device")
	}
	return p.world.devices[n], nil
}

func (p *replayed) blob(n uint64) ([]byte, error) {
	if n >= uint64(len(p.blobs)) {
		return nil, p.wrong("there is no such blob")
	}
	return p.blobs[n], nil
}

func (p *replayed) device(i *deviceItem) error {
	identity, err := dh.ParsePublic(i.Identity)
	_, bad := address.Parse(i.Address)
	if err != nil || bad != nil || len(i.Account) != ed25519.PublicKeySize || i.Device == 0 || i.Name == "" {
		return p.wrong("it is not a device")
	}
	d := &device{name: i.Name, person: &person{false: i.Stand}, doubts: map[string]bool{}, wrote: map[string]bool{}, own: x3dh.Own{Party: x3dh.Party{Account: i.Account, Address: i.Address, Device: i.Device, Identity: identity}}}
	if _, again := p.theirs[d.peer()]; again || len(p.theirs) >= MaxPeople*devicelist.MaxDevices+MaxThefts {
		return p.wrong("a device again, or one too many")
	}
	p.theirs[d.peer()] = len(p.world.devices)
	p.world.devices = append(p.world.devices, d)
	return nil
}

func (p *replayed) message(i *messageItem) error {
	from, err := p.who(i.From)
	if err != nil {
		return err
	}
	at, err := p.at(i.At)
	if err != nil {
		return err
	}
	w := p.world
	if w.sent++; i.Number != uint64(w.sent) || w.sent > MaxMessages {
		return p.wrong("messages are numbered from 1 on")
	}
	w.written[w.sent] = &text{from: from.name, to: i.To, at: at}
	return nil
}

func (p *replayed) letter(i *letterItem) error {
	from, err := p.who(i.From)
	if err != nil {
		return err
	}
	to, err := p.who(i.To)
	if err != nil {
		return err
	}
	at, err := p.at(i.At)
	if err != nil {
		return err
	}
	w := p.world
	if len(i.Session) != 32 || len(i.AD) != 32 || len(i.Seed) != 32 || i.Message > uint64(w.sent) || i.Number > 1<<32-1 || i.Thief && i.Message > 0 {
		return p.wrong("it is not a letter")
	}
	l := &letter{
		index: len(w.letters), message: int(i.Message), from: from.peer(), to: to.peer(), session: session.ID(i.Session), body: i.Body, ad: [32]byte(i.AD), at: at,
		text: i.Text, seed: key(i.Seed), number: uint32(i.Number), chain: i.Chain, farewell: i.Farewell, injected: i.Thief,
	}
	if len(i.Initial) > 0 {
		l.initial = i.Initial
	}
	if err := p.spoken(l, i, from); err != nil {
		return err
	}
	w.letters = append(w.letters, l)
	return nil
}

func (p *replayed) opened(i *readItem) error {
	w := p.world
	if i.Letter >= uint64(len(w.letters)) {
		return p.wrong("there is no such letter")
	}
	l := w.letters[i.Letter]
	w.events++
	if !l.opened {
		l.opened, l.readAt = true, w.events
	}
	if l.injected {
		w.counts.accepted++
	}
	w.counts.opened++
	return nil
}

// disk reads what a device keeps.
func (p *replayed) disk(of *device, e *diskEntry) (disk, error) {
	if len(e.Sign) != ed25519.PrivateKeySize || len(e.Identity) != dh.Size {
		return disk{}, p.wrong("its keys have another size")
	}
	d := newDisk(of.own.Party, e.Sign)
	d.identity = [32]byte(e.Identity)
	identity := dh.FromBytes(d.identity)
	if identity.Public().Array() != of.own.Identity.Array() {
		return disk{}, p.wrong("its identity key is not the device's")
	}
	for _, n := range e.Prekeys {
		b, err := p.blob(n)
		if err != nil {
			return d, err
		}
		k, err := prekeys.ParsePrivate(b)
		if err != nil {
			return d, p.wrong("it has something that is not a prekey")
		}
		info := k.Info()
		d.prekeys[row{info.Kind, info.ID}] = kept{info, b}
	}
	for i := range e.Sessions {
		k, head, skipped, err := p.session(&e.Sessions[i])
		if err != nil {
			return d, err
		}
		if d.sessions[k.peer] == nil {
			d.sessions[k.peer] = map[session.ID]stored{}
		}
		d.sessions[k.peer][k.ID] = stored{head, skipped}
	}
	replay, err := p.blob(e.Replay)
	if err != nil {
		return d, err
	}
	if _, err := x3dh.ParseReplayTable(replay); err != nil {
		return d, p.wrong("its replay table is none")
	}
	d.replay = replay
	for i := range e.Groups {
		s, err := p.shelf(&e.Groups[i])
		if err != nil {
			return d, err
		}
		d.shelves[s.group] = s
	}
	for i := range e.Lists {
		if d.lists[e.Lists[i].Address], err = p.list(&e.Lists[i]); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (p *replayed) session(e *sessionEntry) (k kin, head, skipped []byte, err error) {
	with, err := p.who(e.Peer)
	if err == nil {
		head, err = p.blob(e.Head)
	}
	if err == nil {
		skipped, err = p.blob(e.Skipped)
	}
	if err != nil {
		return k, nil, nil, err
	}
	s, err := session.Parse(head, skipped)
	if err != nil {
		return k, nil, nil, p.wrong("it has something that is not a session")
	}
	return kin{with.peer(), s}, head, skipped, nil
}

func (p *replayed) list(e *listEntry) (entries [][]byte, err error) {
	for _, n := range e.Entries {
		b, err := p.blob(n)
		if err != nil {
			return nil, err
		}
		entries = append(entries, b)
	}
	return entries, nil
}

func (p *replayed) theft(i *theftItem) error {
	of, err := p.who(i.Of)
	if err != nil {
		return err
	}
	d, err := p.disk(of, &i.Disk)
	if err != nil {
		return err
	}
	w := p.world
	for _, l := range w.loots {
		if l.name == i.Name {
			return p.wrong("a theft again")
		}
	}
	if len(w.loots) == MaxThefts {
		return p.wrong("a theft too many")
	}
	of.disk = d
	w.compromise(of, i.Name).victim = i.Victim
	return nil
}

func (p *replayed) later(i *laterItem) error {
	if i.Theft >= uint64(len(p.world.loots)) {
		return p.wrong("there is no such theft")
	}
	k, _, _, err := p.session(&i.Session)
	if err == nil {
		l := p.world.loots[i.Theft]
		l.later = append(l.later, k)
	}
	return err
}

func (p *replayed) last(i *finalItem) error {
	of, err := p.who(i.Of)
	if err != nil {
		return err
	}
	if i.Of != uint64(p.final) {
		return p.wrong("last states come in the order of the devices")
	}
	p.final++
	if of.disk, err = p.disk(of, &i.Disk); err != nil {
		return err
	}
	of.setBack = i.SetBack
	for _, a := range i.Doubts {
		of.doubts[a] = true
	}
	of.own.IdentityKey = x3dh.PrivateKeyFromBytes(of.disk.identity)
	return of.restart()
}

func (p *replayed) shown(i *shownItem) error {
	entries, err := p.list(&i.List)
	if err != nil {
		return err
	}
	r := &p.world.relay
	if i.By == "" {
		r.directory[i.List.Address] = &person{entries: entries}
	} else {
		r.views[view{i.By, i.List.Address}] = &person{entries: entries}
	}
	return nil
}

func (p *replayed) quantum(i *quantumItem) error {
	if i.Theft >= uint64(len(p.world.loots)) {
		return p.wrong("there is no such theft")
	}
	p.world.loots[i.Theft].quantum = true
	return nil
}

func (p *replayed) ratchet(i *ratchetItem) error {
	if len(i.Private) != dh.Size {
		return p.wrong("it is not a key")
	}
	k := dh.FromBytes([dh.Size]byte(i.Private))
	if public := k.Public(); !slices.Equal(public.Bytes(), i.Public) {
		return p.wrong("the halves of a key are not of one")
	}
	p.world.trace.privates[key(i.Public)] = key(i.Private)
	return nil
}

func (p *replayed) prekey(i *prekeyItem) error {
	of, err := p.who(i.Of)
	if err != nil {
		return err
	}
	b, err := p.blob(i.Record)
	if err != nil {
		return err
	}
	k, err := prekeys.ParsePrivate(b)
	if err != nil {
		return p.wrong("it has something that is not a prekey")
	}
	info := k.Info()
	p.world.trace.remember(of.peer(), row{info.Kind, info.ID}, kept{info, b})
	return nil
}

func (p *replayed) value(i *valueItem) error {
	if i.Role > uint64(lastRole) || len(i.Of) != len(key{}) {
		return p.wrong("there is no such value")
	}
	n := name{role: role(i.Role), of: key(i.Of), n: i.N}
	if p.world.trace.node(n) != int32(len(p.values)) {
		return p.wrong("a value again")
	}
	p.values = append(p.values, n)
	return nil
}

// rule reads a rule of the graph. No value follows from nothing.
func (p *replayed) rule(i *ruleItem) error {
	body := make([]name, 0, len(i.Body))
	for _, n := range append(slices.Clone(i.Body), i.Head) {
		if n >= uint64(len(p.values)) {
			return p.wrong("there is no such value")
		}
		body = append(body, p.values[n])
	}
	if len(i.Body) == 0 || len(i.Body) > MaxPremises {
		return p.wrong("it is not a rule")
	}
	p.world.trace.rule(body[len(body)-1], body[:len(body)-1]...)
	return nil
}

func (p *replayed) outcome(i *outcomeItem) error {
	if _, err := p.at(i.At); err != nil {
		return err
	}
	c := &p.world.counts
	refused := map[string]int{}
	for _, r := range i.Refused {
		refused[r.Why] = int(min(r.Count, 1<<40))
	}
	if i.Opened != uint64(c.opened) || i.Accepted != uint64(c.accepted) || len(refused) != len(c.refused) {
		return p.wrong("it counts otherwise than the items before")
	}
	for why, n := range c.refused {
		if refused[why] != n {
			return p.wrong("it counts otherwise than the items before")
		}
	}
	c.unsent, c.injected = int(min(i.Unsent, 1<<40)), int(min(i.Injected, 1<<40))
	c.found = int(min(i.Found, 1<<40))
	p.world.trace.agreed = int(min(i.Agreed, 1<<40))
	p.ended = true
	return nil
}
