package client

import (
	"context"
	"fmt"
	"sync"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
)

// archive is all that can be known of a group's schedule from outside: every
// entry of the log, every ciphertext, and who was given which key. Its clock
// counts what happens.
type archive struct {
	mu     sync.Mutex
	clock  int
	log    []server.GroupEntry
	lines  map[uint64]logRecord // as applied by whoever could read them
	wires  []*wireSeen
	byHash map[[32]byte]*wireSeen
	sealed map[place]*groupSeal // what is durable
	given  []*given
	gone   map[address.Device]int // revoked devices, and when
	loots  map[*device][]*loot
	stolen []*loot
}

// place names a message key of a group.
type place struct {
	chain groups.ChainID
	index uint32
}

// wireSeen is one ciphertext that has reached a mailbox.
type wireSeen struct {
	groups.Wire
	message []byte
	from    peerKey
	at      int                     // when first
	stored  map[address.Device]bool // for whom
	present map[*device]bool        // who was in the lists when it was last stored
}

// groupSeal is one use of a sender key.
type groupSeal struct {
	place
	at        int
	id        content.ID
	plaintext string
}

// given is a signal that one device has sealed for another.
type given struct {
	by, to  peerKey
	session session.ID
	pos     ratchet.Position
	hash    [32]byte
	signal  groups.Signal
	at      int
}

func newArchive() *archive {
	return &archive{
		lines: map[uint64]logRecord{}, byHash: map[[32]byte]*wireSeen{}, sealed: map[place]*groupSeal{},
		gone: map[address.Device]int{}, loots: map[*device][]*loot{},
	}
}

// tick is called with mu held.
func (a *archive) tick() int {
	a.clock++
	return a.clock
}

func (d *device) key() peerKey { return peerKey{d.owner.address.String(), d.id} }

// placed takes an entry that the server has.
func (c *crowd) placed(in server.GroupEntry) {
	a := c.archive
	a.mu.Lock()
	fresh := in.Seq == uint64(len(a.log))+1
	if fresh {
		a.tick()
		a.log = append(a.log, in)
	}
	a.mu.Unlock()
	if !fresh {
		return
	}
	c.note("the server has change %d", in.Seq)
	// Whoever is out with this entry keeps what they hold now, if they are bad.
	for d := range c.all() {
		if l := d.alive(); l != nil {
			c.loot(d, l.vault)
		}
	}
}

// said takes a ciphertext of the group that has reached a mailbox.
func (c *crowd) said(hash [32]byte, env content.Envelope, to address.Device, stored bool) {
	w, err := groups.ParseMessage(env.Message)
	if err != nil {
		c.fault("a message to the group is malformed: %v", err)
		return
	}
	present := map[*device]bool{}
	for d := range c.all() {
		present[d] = d.survives()
	}
	a := c.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.byHash[hash]
	if seen == nil {
		seen = &wireSeen{Wire: w, message: env.Message, from: peerKey{env.From.String(), env.Device}, at: a.tick(), stored: map[address.Device]bool{}}
		a.byHash[hash] = seen
		a.wires = append(a.wires, seen)
	}
	if stored {
		seen.stored[to] = true
		seen.present = present
	}
}

// revoked takes devices that the directory does not list any more.
func (c *crowd) revoked(ids []server.DeviceID) {
	a := c.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if _, ok := a.gone[id]; !ok {
			a.gone[id] = a.tick()
		}
	}
}

// groupSealed notes a use of a sender key in the transaction under way.
func (l *life) groupSealed(id groups.ID, chain groups.ChainID, index uint32, plaintext []byte) {
	c, err := content.Decode(plaintext)
	if err != nil {
		l.d.w.fault("%s seals what does not decode: %v", l.d.name(), err)
		return
	}
	a := l.d.w.crowd.archive
	a.mu.Lock()
	at := a.tick()
	a.mu.Unlock()
	l.groups = append(l.groups, &groupSeal{place: place{chain, index}, at: at, id: c.ID, plaintext: string(plaintext)})
}

// sealedForGood takes what the transaction that is durable now has sealed. A
// message key is used once (R-GRP-02): what is durable may have left.
func (l *life) sealedForGood() {
	if l.d.w.crowd == nil {
		return
	}
	a := l.d.w.crowd.archive
	for _, s := range l.groups {
		a.mu.Lock()
		before := a.sealed[s.place]
		a.sealed[s.place] = s
		a.mu.Unlock()
		if before != nil && before.plaintext != s.plaintext {
			l.d.w.fault("%s uses message %d of a chain for two texts", l.d.name(), s.index)
		}
	}
}

// signalled notes what one device hands another about the group.
func (c *crowd) signalled(d *device, k peerKey, inner content.Content, s session.Sealed) {
	if inner.Kind != content.KindGroup {
		return
	}
	signal, err := groups.ParseSignal(inner.Body)
	if err != nil {
		c.fault("%s seals a malformed signal: %v", d.name(), err)
		return
	}
	a := c.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given = append(a.given, &given{
		by: d.key(), to: k, session: s.Session, pos: s.At, hash: hashMessage(s.Message), signal: signal, at: a.tick(),
	})
}

// harvest takes from a home what the examination needs: the lines of the log
// that it has applied, and all that it holds of the group.
func (c *crowd) harvest(d *device, v *vault.Vault) {
	c.loot(d, v)
	lines := map[uint64]logRecord{}
	err := v.View(context.Background(), func(tx *vault.Tx) error {
		return tx.Scan(tableGroupLog, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			line, err := decodeRecord[logRecord](row.Value)
			if string(row.Group) == string(c.id[:]) {
				lines[uint64(row.Order)] = line
			}
			return err
		})
	})
	if err != nil {
		return // it is closed: there was nothing new since the last time
	}
	c.archive.mu.Lock()
	defer c.archive.mu.Unlock()
	for seq, line := range lines {
		if err := c.archive.merge(seq, line); err != nil {
			c.events = append(c.events, "FAULT: "+d.name()+": "+err.Error())
			c.faults = append(c.faults, d.name()+": "+err.Error())
		}
	}
}

// merge holds a line against what others have applied in its place (R-GRP-40).
// A line without an author is where a device came in.
func (a *archive) merge(seq uint64, line logRecord) error {
	if seq == 1 && len(a.log) == 0 {
		return nil // the server does not know yet
	}
	if seq == 0 || seq > uint64(len(a.log)) || string(a.log[seq-1].Head[:]) != string(line.Head) {
		return fmt.Errorf("change %d is not that of the server's log", seq)
	}
	if line.Device == 0 && line.Void == "" {
		return nil
	}
	before, ok := a.lines[seq]
	if ok && (before.Author != line.Author || before.Device != line.Device || string(before.Change) != string(line.Change) || before.Void != line.Void) {
		return fmt.Errorf("change %d is %+v for some and %+v for others", seq, before, line)
	}
	a.lines[seq] = line
	return nil
}
