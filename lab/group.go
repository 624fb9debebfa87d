package lab

import (
	"fmt"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	inside "github.com/pawl-chat/pawl/internal/content"
)

// What a device does in a group, by spec/group-devices.md and with the packages
// that people run: follow the log, hand out chains and secrets over pairwise
// sessions, change the group, speak in it (R-LAB-30). Rules that only keep
// bounds or repair what was lost are the client's, and not made again here.

// follow brings a device up to date with the log as the relay shows it, as far
// as the keys it holds allow (R-GRP-40). It stores nothing but in txn.
func (w *world) follow(d *device, g groups.ID, txn *write) error {
	s := txn.shelf(d, g)
	for {
		r, err := s.takes()
		if err != nil {
			return nil // out, or not in yet
		}
		log := w.relay.log(g).shown(d.own.Address)
		if head, ok := w.relay.log(g).head(d.own.Address, r.Seq); ok && head != r.Head {
			w.alarm(s) // another entry at a place that is known
			return nil
		}
		if r.Seq >= uint64(len(log)) {
			return nil // an older end teaches nothing
		}
		secret, ok := s.secret(&r)
		if !ok {
			return nil
		}
		next, ok, err := w.advance(d, s, r, secret, log[r.Seq].data)
		if err != nil || !ok {
			return err
		}
		w.enter(d, s, r, next)
	}
}

// advance reads one entry. It is not ok when its author's chain has not come.
func (w *world) advance(d *device, s *shelf, r groups.Roster, secret groups.Secret, data []byte) (groups.Roster, bool, error) {
	e, err := groups.Read(r.Group, r.Seq+1, r.Head, secret, r.Epoch, data)
	if err != nil {
		w.refuse(d, err)
		return r.Skip(data), true, nil
	}
	var verify [32]byte
	sender := senderOf(d)
	if own, has, err := s.sending(&r); err != nil {
		return r, false, err
	} else if has && own.ID() == e.Chain {
		verify = own.Key().Verify
	} else {
		held, ok := s.chains[e.Chain]
		if !ok {
			return r, false, nil
		}
		c, err := held.receiving()
		if err != nil {
			return r, false, err
		}
		verify, sender = c.Verify(), c.Sender()
	}
	next, err := r.Apply(e, verify, sender)
	if err != nil {
		w.refuse(d, err)
	}
	return next, true, nil
}

// enter is what a device does when an entry has taken effect.
func (w *world) enter(d *device, s *shelf, before, r groups.Roster) {
	d.stirred = true
	s.follow(r)
	if _, member := r.Member(d.own.Address); !member { // R-GRP-42
		s.leave()
		return
	}
	s.drop(func(p peer) bool {
		_, was := before.Member(p.address)
		_, is := r.Member(p.address)
		return is || !was
	})
	if r.Epoch == before.Epoch {
		return
	}
	for epoch := range s.secrets {
		if epoch < r.Epoch {
			delete(s.secrets, epoch)
		}
	}
	if secret, ok := s.secret(&r); ok {
		s.secrets[r.Epoch] = []groups.Secret{secret}
	}
}

// alarm writes down that the log contradicts what is held (R-GRP-41).
func (w *world) alarm(s *shelf) {
	if !s.alarm {
		w.counts.found++
	}
	s.alarm = true
}

// audience lists the devices of a group's members but d, as their device lists
// name them. Members whose list is refused are left out, and refused says why.
func (w *world) audience(d *device, r *groups.Roster, txn *write) (out []peer, refused []error) {
	for _, m := range r.Members {
		list, entries, err := w.look(d, m.Address)
		if err == nil && [32]byte(list.Account) != m.Account {
			err = errAccount
		}
		if err != nil {
			refused = append(refused, err)
			continue
		}
		txn.lists[m.Address] = entries
		for _, dev := range list.Active() {
			if p := (peer{m.Address, uint64(dev.ID)}); p != d.peer() {
				out = append(out, p)
			}
		}
	}
	return out, refused
}

// signal seals a signal for one device.
func (w *world) signal(d *device, to peer, k groups.Key, g groups.ID, txn *write) ([]*letter, error) {
	list, entries, err := w.look(d, to.address)
	if err != nil {
		return nil, err
	}
	txn.lists[to.address] = entries
	c, err := inside.NewGroup(groups.Signal{Group: g, Key: &k}.Encode(), w.now)
	if err != nil {
		return nil, err
	}
	letters, err := w.seal(d, to, &list, c.Encode(), 0, txn)
	if err == nil {
		letters[len(letters)-1].hands = &k
	}
	return letters, err
}

// chain is the device's own chain in the roster's epoch, made if there is none,
// and the letters that hand it to everybody of all who does not hold it
// (R-GRP-43, R-GRP-44). A device that is new to an account is handed all that a
// member needs.
func (w *world) chain(d *device, s *shelf, r *groups.Roster, all []peer, txn *write) (groups.Sending, []*letter, error) {
	own, has, err := s.sending(r)
	if err == nil && !has {
		var before groups.Before
		if old, err := groups.ParseSending(s.own); err == nil {
			before = groups.Before{Chain: old.ID(), Count: old.Index()}
		}
		if own, err = groups.NewSending(r.Group, r.Epoch, senderOf(d), w.now, before); err == nil {
			err = s.use(own)
		}
	}
	if err != nil {
		return own, nil, err
	}
	var out []*letter
	secret, _ := s.secret(r)
	key := own.Key()
	for _, p := range all {
		if s.handed[p] {
			continue
		}
		k := groups.Key{Seq: r.Seq, Head: r.Head, Epoch: r.Epoch, Chain: &key}
		if s.known != nil && !s.known[p] {
			k.Secret, k.Roster = secret, r.Encode()
		}
		letters, err := w.signal(d, p, k, r.Group, txn)
		if err != nil {
			return own, nil, err
		}
		out = append(out, letters...)
		s.handed[p] = true
	}
	s.know(all)
	return own, out, nil
}

// know remembers who needs no welcome.
func (s *shelf) know(all []peer) {
	if s.known == nil {
		s.known = map[peer]bool{}
	}
	for _, p := range all {
		s.known[p] = true
	}
}

// due says whether the keys of everybody are to be replaced before a message
// (R-GRP-45, R-GRP-25).
func (w *world) due(s *shelf, r *groups.Roster, all []peer) bool {
	own, has, err := s.sending(r)
	if r.RekeyDue || w.now.Sub(r.EpochAt) > groups.EpochLife {
		return true
	}
	if err != nil || !has {
		return false
	}
	if own.Index() >= groups.EpochMessages {
		return true
	}
	for p := range s.handed {
		if !slices.Contains(all, p) {
			return true
		}
	}
	return false
}

// say writes one message to a group, all durable before any copy leaves.
func (w *world) say(d *device, g groups.ID, crash string, thief bool) error {
	w.now = w.now.Add(messageTakes)
	number := w.sent + 1
	if thief {
		number = -1
		w.counts.injected++
	}
	body, err := w.words(number, d, w.groupName(g))
	if err != nil {
		return err
	}
	if err := w.prepare(d, g, thief); err != nil {
		return w.unsent(d, err)
	}
	txn := newWrite()
	letters, err := w.speak(d, g, body, number, &txn)
	if err != nil {
		return w.unsent(d, err)
	}
	if crash == crashBefore {
		w.journal.crash(d, crash)
		return d.restart()
	}
	d.disk.commit(&txn)
	if !thief {
		w.sent = number
		w.journal.message(number, d, w.groupName(g), w.now)
		w.written[number] = &text{d.name, w.groupName(g), w.now, body}
		w.met(d, letters)
	}
	if crash == crashAfter {
		w.journal.crash(d, crash)
		if err := d.restart(); err != nil {
			return err
		}
	}
	return w.leaves(letters, thief)
}

// met remembers whom a device has written to: it answers them with heartbeats.
func (w *world) met(d *device, letters []*letter) {
	for _, l := range letters {
		d.wrote[l.to.address] = true
	}
}

// unsent counts a message that its device refuses to send.
func (w *world) unsent(d *device, err error) error {
	w.refuse(d, err)
	w.counts.unsent++
	return d.restart() // what was sealed of it is forgotten
}

// leaves puts letters on the wire.
func (w *world) leaves(letters []*letter, thief bool) error {
	for _, l := range letters {
		l.injected = thief
		if err := w.post(l); err != nil {
			return err
		}
	}
	return nil
}

// prepare brings a device to where it may speak: up to date, and with a new
// epoch if one is due.
func (w *world) prepare(d *device, g groups.ID, thief bool) error {
	txn := newWrite()
	if err := w.follow(d, g, &txn); err != nil {
		return err
	}
	s := txn.shelf(d, g)
	var letters []*letter
	r, err := s.takes()
	if err == nil && s.alarm {
		d.disk.commit(&txn)
		return errAlarm
	}
	if err != nil {
		return err
	}
	if all, _ := w.audience(d, &r, &txn); w.due(s, &r, all) {
		if letters, err = w.alter(d, g, groups.Change{Kind: groups.Rekey}, &txn); err != nil {
			return err
		}
	}
	d.disk.commit(&txn)
	return w.leaves(letters, thief)
}

// speak seals body once, and makes a copy for each device that is to read it.
func (w *world) speak(d *device, g groups.ID, body []byte, number int, txn *write) ([]*letter, error) {
	s := txn.shelf(d, g)
	r, err := s.takes()
	if err != nil {
		return nil, err
	}
	if _, ok := s.secret(&r); !ok || uint64(len(w.relay.log(g).shown(d.own.Address))) > r.Seq {
		return nil, errBehind // the relay takes nothing that was sealed under an older head (R-GRP-50)
	}
	all, refused := w.audience(d, &r, txn)
	for _, err := range refused {
		w.refuse(d, err)
	}
	own, letters, err := w.chain(d, s, &r, all, txn)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return letters, nil // nobody reads it
	}
	x, err := own.Seal(r.Seq, r.Head, body)
	if err != nil {
		return nil, err
	}
	s.own = x.Next.AppendRecord(nil)
	said := &spoken{group: g, key: own.Key(), next: x.Next.Key(), sender: own.Sender()}
	for _, p := range all {
		l := &letter{
			message: max(number, 0), from: d.peer(), to: p, at: w.now, text: body, body: x.Message, number: x.Index, chain: own.Epoch(), said: said,
		}
		l.after = func() error { return w.trace.spoken(l) }
		letters = append(letters, l)
	}
	return letters, nil
}

// alter makes a change of a group: all that it takes to go on is durable, then
// who stays or comes is handed the keys that it begins with, then the entry is
// placed, then it is applied (R-GRP-47). The letters leave before the entry is
// looked at by anybody, for nothing else happens within a step.
func (w *world) alter(d *device, g groups.ID, c groups.Change, txn *write) ([]*letter, error) {
	s := txn.shelf(d, g)
	r, err := s.takes()
	if err != nil {
		return nil, err
	}
	if s.alarm {
		return nil, errAlarm
	}
	secret, ok := s.secret(&r)
	if !ok {
		return nil, errBehind
	}
	own, letters, err := w.chain(d, s, &r, nil, txn)
	if err != nil {
		return nil, err
	}
	key := own.Key()
	k := groups.Key{Epoch: r.Epoch, Secret: secret, Chain: &key}
	var next *groups.Secret
	var fresh groups.Sending
	if c.Kind.Advances() {
		begun := groups.NewSecret()
		next = &begun
		fresh, err = groups.NewSending(g, r.Epoch+1, senderOf(d), w.now, groups.Before{Chain: own.ID(), Count: own.Index()})
		if err != nil {
			return nil, err
		}
		key := fresh.Key()
		k = groups.Key{Epoch: r.Epoch + 1, Secret: begun, Chain: &key}
	}
	p, err := groups.Propose(r, secret, own, groups.Author{Address: d.own.Address, Device: d.own.Device}, c, next, w.now)
	if err != nil {
		return nil, err
	}
	k.Seq, k.Head = p.Roster.Seq, p.Head
	if c.Kind == groups.Add {
		k.Roster = p.Roster.Encode()
	}
	more, handed, err := w.handOut(d, s, &r, p.Roster, c, k, txn)
	if err != nil {
		return nil, err
	}
	letters = append(letters, more...)
	if next != nil {
		s.secrets[k.Epoch] = append(s.secrets[k.Epoch], *next)
	}
	if !w.relay.log(g).place(d.own.Address, g, r.Head, p.Blob) {
		return nil, errMoved
	}
	w.record(&entry{group: g, seq: k.Seq, prev: r.Head, epoch: r.Epoch, data: p.Blob}, secret)
	if err := w.follow(d, g, txn); err != nil { // the entry is signed by the chain of before
		return nil, err
	}
	if next != nil {
		if err := s.use(fresh); err != nil {
			return nil, err
		}
		for _, p := range handed {
			s.handed[p] = true
		}
		s.know(handed)
	}
	return letters, nil
}

// handOut hands the keys of a change to who stays or comes: those of a new epoch
// to everybody, those of this one to who is let in. Who is to read the entry holds the
// chain that signs it.
func (w *world) handOut(d *device, s *shelf, r *groups.Roster, after groups.Roster, c groups.Change, k groups.Key, txn *write) ([]*letter, []peer, error) {
	var out []*letter
	stay, _ := w.audience(d, &after, txn)
	for _, p := range stay {
		_, was := r.Member(p.address)
		if was {
			_, letters, err := w.chain(d, s, r, []peer{p}, txn)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, letters...)
		}
		if was && !c.Kind.Advances() {
			continue
		}
		letters, err := w.signal(d, p, k, r.Group, txn)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, letters...)
		if !c.Kind.Advances() {
			s.handed[p] = true
			s.know([]peer{p})
		}
	}
	return out, stay, nil
}

// record makes an entry one that both judges look at.
func (w *world) record(e *entry, s groups.Secret) {
	e.index = len(w.entries)
	w.entries = append(w.entries, e)
	w.trace.rule(name{role: logEntry, n: uint64(e.index)}, name{role: epochSecret, of: key(s)})
}

// found makes a group with one member, and lets others in (R-GRP-48).
func (w *world) found(d *device, called string, with []string) error {
	g := groups.NewID()
	s := groups.NewSecret()
	own, err := groups.NewSending(g, 1, senderOf(d), w.now, groups.Before{})
	if err != nil {
		return err
	}
	c := groups.Change{Kind: groups.Create, Name: called, Members: []groups.Member{{Address: d.own.Address, Account: [32]byte(d.own.Account), Role: groups.Admin}}}
	p, err := groups.Propose(groups.Roster{Group: g}, s, own, groups.Author{Address: d.own.Address, Device: d.own.Device}, c, nil, w.now)
	if err != nil {
		return asked(err)
	}
	w.groups[called] = g
	w.made = append(w.made, g)
	w.relay.logs[g] = newLogbook()
	w.relay.logs[g].place(d.own.Address, g, groups.Head{}, p.Blob)
	w.record(&entry{group: g, seq: 1, epoch: 1, data: p.Blob}, s)
	txn := newWrite()
	shelf := txn.shelf(d, g)
	shelf.secrets[1] = []groups.Secret{s}
	if err := shelf.use(own); err != nil {
		return err
	}
	r := p.Roster
	r.EpochAt = r.EpochAt.Truncate(time.Second)
	shelf.follow(r)
	shelf.known = map[peer]bool{} // whoever is met first is welcomed
	all, _ := w.audience(d, &r, &txn)
	_, letters, err := w.chain(d, shelf, &r, all, &txn)
	if err != nil {
		return w.unsent(d, err)
	}
	d.disk.commit(&txn)
	if err := w.leaves(letters, false); err != nil || len(with) == 0 {
		return err
	}
	return w.letIn(d, g, with)
}

// letIn lets people into a group, as d sees them.
func (w *world) letIn(d *device, g groups.ID, people []string) error {
	c := groups.Change{Kind: groups.Add}
	txn := newWrite()
	for _, name := range people {
		p, ok := w.people[name]
		if !ok {
			return fmt.Errorf("%w: nobody is called %q", ErrScenario, name)
		}
		list, entries, err := w.look(d, p.addr.String())
		if err != nil {
			return w.unsent(d, err)
		}
		txn.lists[p.addr.String()] = entries
		c.Members = append(c.Members, groups.Member{Address: p.addr.String(), Account: [32]byte(list.Account), Role: groups.RoleMember})
	}
	return w.change(d, g, c, &txn)
}

// change makes one change, as a step of its own.
func (w *world) change(d *device, g groups.ID, c groups.Change, txn *write) error {
	w.now = w.now.Add(messageTakes)
	err := w.follow(d, g, txn)
	var letters []*letter
	if err == nil {
		letters, err = w.alter(d, g, c, txn)
	}
	if err != nil {
		return w.unsent(d, err)
	}
	d.disk.commit(txn)
	return w.leaves(letters, false)
}

// followAll looks at the logs of all groups that a device is in.
func (w *world) followAll(d *device) error {
	for _, s := range w.groupsOf(&d.disk) {
		if s.roster == nil || s.out {
			continue
		}
		txn := newWrite()
		if err := w.follow(d, s.group, &txn); err != nil {
			return err
		}
		d.disk.commit(&txn)
	}
	return nil
}
