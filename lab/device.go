package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	inside "github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

// Refusals of a device that are not a protocol package's.
var (
	errGone    = errors.New("lab: the prekey is gone")
	errRevoked = errors.New("lab: the sender's device is not on the list")
	errDoubt   = errors.New("lab: the safety number differs")
	errNobody  = errors.New("lab: the relay knows no such account")
)

// device is one device: what it keeps, and what waits for it. All that it is
// between two steps stands on its disk; pairs are that, read.
type device struct {
	person  *person
	name    string
	number  int
	own     x3dh.Own
	disk    disk
	pairs   map[peer]session.Pair
	mailbox []*letter
	held    []*letter // withheld by the relay
	revoked bool
	setBack bool            // it runs on an old copy of itself
	wrote   map[string]bool // addresses it has sent something to
	parked  []*letter       // group messages whose keys have not come
	due     []receipt       // to be sent
	read    []inside.ID     // messages between two people that nobody has acknowledged
	loot    *loot           // somebody else's from the first: every state it seals from is the thief's
	passes  *device         // of a relay in the middle: seals for the other side what this one opens
	doubts  map[string]bool // addresses whose safety number was found to differ
	stirred bool            // keys or entries have come since parked ones were looked at
}

func (d *device) peer() peer { return peer{d.own.Address, d.own.Device} }

// disk is what a device has made durable. Rows are never changed in place, so a
// copy of the maps is a copy of the disk.
type disk struct {
	party    x3dh.Party
	sign     ed25519.PrivateKey
	identity [32]byte
	prekeys  map[row]kept
	sessions map[peer]map[session.ID]stored
	replay   []byte
	lists    map[string][][]byte // device lists held, by address
	shelves  map[groups.ID]*shelf
}

// row names a private prekey.
type row struct {
	kind prekeys.Kind
	id   uint64
}

// kept is a private prekey's record, and what it says of itself in the open.
type kept struct {
	prekeys.Info
	record []byte
}

// stored is a session's record in its two parts.
type stored struct{ head, skipped []byte }

func newDisk(p x3dh.Party, sign ed25519.PrivateKey) disk {
	var replay x3dh.ReplayTable
	return disk{party: p, sign: sign, prekeys: map[row]kept{}, sessions: map[peer]map[session.ID]stored{}, replay: replay.Record(), lists: map[string][][]byte{}, shelves: map[groups.ID]*shelf{}}
}

func (d *disk) copy() disk {
	c := *d
	c.prekeys, c.lists, c.shelves = maps.Clone(d.prekeys), maps.Clone(d.lists), maps.Clone(d.shelves)
	c.sessions = make(map[peer]map[session.ID]stored, len(d.sessions))
	for p, s := range d.sessions {
		c.sessions[p] = maps.Clone(s)
	}
	return c
}

// write is a transaction: what a step changed, made durable at once.
type write struct {
	changes []change
	erase   []row
	replay  []byte
	lists   map[string][][]byte
	shelves map[groups.ID]*shelf
	// receipts are to be sent once the rest is durable.
	receipts []receipt
	texts    []inside.ID
}

func newWrite() write { return write{lists: map[string][][]byte{}} }

type change struct {
	peer peer
	session.Change
}

// commit makes w durable (R-LAB-02): erasures first, then what is written.
func (d *disk) commit(w *write) {
	for _, c := range w.changes {
		rows := d.sessions[c.peer]
		if rows == nil {
			rows = map[session.ID]stored{}
			d.sessions[c.peer] = rows
		}
		for _, id := range c.Erase {
			delete(rows, id)
		}
		for _, s := range c.Write {
			was := rows[s.ID]
			if was.skipped == nil || slices.Contains(c.Skipped, s.ID) {
				was.skipped = s.Skipped()
			}
			rows[s.ID] = stored{s.Head(), was.skipped}
		}
	}
	for _, r := range w.erase {
		delete(d.prekeys, r)
	}
	if w.replay != nil {
		d.replay = w.replay
	}
	for a, entries := range w.lists {
		d.lists[a] = entries
	}
	maps.Copy(d.shelves, w.shelves)
}

// restart reads everything back from the disk.
func (d *device) restart() error {
	d.pairs = map[peer]session.Pair{}
	for p := range d.disk.sessions {
		pair, err := d.disk.pair(p)
		if err != nil {
			return err
		}
		d.pairs[p] = pair
	}
	return nil
}

func (d *disk) pair(p peer) (session.Pair, error) {
	var all []*session.Session
	for _, row := range d.sessions[p] {
		s, err := session.Parse(row.head, row.skipped)
		if err != nil {
			return session.Pair{}, err
		}
		all = append(all, s)
	}
	return session.New(all...), nil
}

// look brings the device list that d holds of an address up to date with what
// the relay shows, and returns it with what to store. The first list seen is
// pinned.
func (w *world) look(d *device, addr string) (devicelist.List, [][]byte, error) {
	if d.doubts[addr] {
		return devicelist.List{}, nil, errDoubt
	}
	shown := w.relay.account(d, addr)
	if len(shown) == 0 {
		return devicelist.List{}, nil, errNobody
	}
	held, ok := d.disk.lists[addr]
	if !ok || slices.EqualFunc(held, shown, bytes.Equal) {
		l, err := w.verify(shown)
		return l, shown, err
	}
	old, err := w.verify(held)
	if err != nil {
		return devicelist.List{}, nil, err
	}
	l, err := devicelist.Advance(old, shown)
	if errors.Is(err, devicelist.ErrRollback) {
		return old, held, nil // an older list teaches nothing
	}
	return l, shown, err
}

// verify verifies a device list's history. That of the same bytes is the same.
func (w *world) verify(entries [][]byte) (devicelist.List, error) {
	h := sha256.New()
	for _, e := range entries {
		sum := devicelist.Hash(e)
		h.Write(sum[:])
	}
	id := key(h.Sum(nil))
	if l, ok := w.lists[id]; ok {
		return l, nil
	}
	l, err := devicelist.VerifyChain(entries)
	if err == nil {
		w.lists[id] = l
	}
	return l, err
}

// party is a device of a verified list, as the handshake names it.
func party(l *devicelist.List, id uint64) (x3dh.Party, devicelist.Device, error) {
	dev, ok := l.Device(address.Device(id))
	if !ok || dev.Status != devicelist.Active {
		return x3dh.Party{}, dev, errRevoked
	}
	return x3dh.Party{Account: l.Account, Address: l.Address.String(), Device: id, Identity: dev.DH}, dev, nil
}

// responder answers first messages from sender. What it uses up goes into w.
func (d *disk) responder(own *x3dh.Own, sender x3dh.Party, w *write) session.Responder {
	return func(initial []byte) (x3dh.Accepted, error) {
		in, err := x3dh.ParseInitial(initial)
		if err != nil {
			return x3dh.Accepted{}, err
		}
		keys, used, err := d.keys(&in)
		if err != nil {
			return x3dh.Accepted{}, err
		}
		table, err := x3dh.ParseReplayTable(d.replay)
		if err != nil {
			return x3dh.Accepted{}, err
		}
		if in.Strength().Reusable() {
			if err := table.Add(in.ID, in.KEMID); err != nil {
				return x3dh.Accepted{}, err
			}
			w.replay = table.Record()
		}
		w.erase = append(w.erase, used...)
		return in.Respond(own, sender, &keys)
	}
}

// keys finds the private prekeys that a first message names, and which of them
// its use erases.
func (d *disk) keys(in *x3dh.Initial) (x3dh.Keys, []row, error) {
	load := func(r row) (*prekeys.Private, error) {
		record, ok := d.prekeys[r]
		if !ok {
			return nil, errGone
		}
		p, err := prekeys.ParsePrivate(record.record)
		return &p, err
	}
	signed, err := load(row{prekeys.Signed, in.SignedID})
	if err != nil {
		return x3dh.Keys{}, nil, err
	}
	var used []row
	var ec *prekeys.Private
	if in.OneTimeID != 0 {
		r := row{prekeys.OneTimeEC, in.OneTimeID}
		if ec, err = load(r); err != nil {
			return x3dh.Keys{}, nil, err
		}
		used = append(used, r)
	}
	r := row{prekeys.Kind(in.KEMKind), in.KEMID}
	kem, err := load(r)
	if err != nil {
		return x3dh.Keys{}, nil, err
	}
	if r.kind == prekeys.KEMOneTime {
		used = append(used, r)
	}
	keys, err := prekeys.Keys(signed, ec, kem)
	return keys, used, err
}

// upload keeps the private halves of prekeys and publishes the others.
func (w *world) upload(d *device, up prekeys.Upload, private []prekeys.Private) error {
	for i := range private {
		info := private[i].Info()
		r, k := row{info.Kind, info.ID}, kept{info, private[i].Record()}
		d.disk.prekeys[r] = k
		w.trace.remember(d.peer(), r, k)
	}
	w.relay.upload(d.peer(), &up)
	return d.restart()
}

// tick ages sessions and prekeys of a device.
func (w *world) tick(d *device) error {
	var txn write
	var bye []*letter
	for _, p := range d.peers() {
		pair := d.pairs[p]
		next, ch, farewells := pair.Tick(w.now)
		for _, f := range farewells {
			bye = append(bye, &letter{from: d.peer(), to: p, session: f.Session, body: f.Message, at: w.now, farewell: true})
		}
		txn.changes = append(txn.changes, change{p, ch})
		d.pairs[p] = next
	}
	if err := w.age(d, w.now, &txn); err != nil {
		return err
	}
	d.disk.commit(&txn)
	for _, l := range bye {
		w.post(l)
	}
	return w.maintain(d)
}

// maintain rotates and erases prekeys as they are due.
func (w *world) maintain(d *device) error {
	var all []prekeys.Info
	for _, k := range d.disk.prekeys {
		all = append(all, k.Info)
	}
	st := w.relay.stock[d.peer()]
	do := prekeys.Plan(w.now, prekeys.Status{Held: all, AtServer: true, EC: len(st.ec), KEM: len(st.kem), InStep: true})
	owner := prekeys.OwnerOf(d.own.Party)
	var err error
	switch do.Make {
	case prekeys.Batch:
		up, private := prekeys.Generate(w.now, owner, d.disk.sign)
		err = w.upload(d, up, private)
	case prekeys.Rotation:
		up, private := prekeys.Rotate(w.now, owner, d.disk.sign)
		err = w.upload(d, up, private)
	}
	table, perr := x3dh.ParseReplayTable(d.disk.replay)
	if err = errors.Join(err, perr); err != nil {
		return err
	}
	txn := write{}
	for _, i := range do.Erase {
		txn.erase = append(txn.erase, row{i.Kind, i.ID})
		if i.Kind == prekeys.KEMLastResort {
			table.Forget(i.ID)
		}
	}
	txn.replay = table.Record()
	d.disk.commit(&txn)
	return nil
}

// peers lists whom the device has sessions with, in one order in every run.
func (d *device) peers() []peer {
	return slices.SortedFunc(maps.Keys(d.pairs), comparePeers)
}
