// Package memstore is the reference implementation of the server's stores, in
// memory: the contract of spec/stores.md in the fewest lines, for tests and for
// servers that may forget everything.
//
// Not its concern: durability. What the contract says of it holds for the life
// of the process.
package memstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/server"
)

// Store implements server.Directory, server.Mailbox and server.Wake.
type Store struct {
	*server.Hub

	mu         sync.Mutex
	closed     bool
	accounts   map[string]server.Account
	invites    map[server.InviteHash]server.Invite
	keys       map[keySet]map[uint64][]byte
	batches    map[keySet][]server.BatchID
	epochs     map[server.Device]server.Epoch
	groups     map[server.GroupID]*group
	generation uint64
	seq        server.Seq
	boxes      map[server.Device]*box
}

type keySet struct {
	dev  server.Device
	kind server.OneTimeKind
}

type box struct {
	removed bool
	rows    []*row // in order of seq
	byID    map[server.MessageID]*row
}

type row struct {
	server.Message
	due  time.Time
	gone bool // acknowledged or expired; only the id counts
}

var _ interface {
	server.Directory
	server.Mailbox
	server.Wake
} = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		Hub:        server.NewHub(),
		accounts:   make(map[string]server.Account),
		invites:    make(map[server.InviteHash]server.Invite),
		keys:       make(map[keySet]map[uint64][]byte),
		batches:    make(map[keySet][]server.BatchID),
		epochs:     make(map[server.Device]server.Epoch),
		groups:     make(map[server.GroupID]*group),
		boxes:      make(map[server.Device]*box),
		generation: 1,
	}
}

// enter takes the lock; every method begins with it and leaves with s.mu.Unlock.
func (s *Store) enter(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		return server.ErrClosed
	}
	return ctx.Err()
}

// Close makes later calls give ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// copyOf never returns nil.
func copyOf(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// millis drops what stores do not keep of a time.
func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()) }

// CreateAccount implements server.Directory.
func (s *Store) CreateAccount(ctx context.Context, r server.Registration) error {
	if err := r.Valid(); err != nil {
		return err
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if a, ok := s.accounts[r.User]; ok {
		if a.Version == 1 && bytes.Equal(a.Record, r.Record) {
			return nil
		}
		return server.ErrExists
	}
	if r.Invite != nil {
		i, ok := s.invites[*r.Invite]
		if !ok || i.Uses == 0 || !i.Expires.After(millis(r.Now)) {
			return server.ErrInvite
		}
		i.Uses--
		s.invites[*r.Invite] = i
	}
	s.accounts[r.User] = server.Account{User: r.User, Version: 1, Record: copyOf(r.Record)}
	s.putSets(r.User, r.OneTime)
	return nil
}

// Account implements server.Directory.
func (s *Store) Account(ctx context.Context, user string) (server.Account, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return server.Account{}, err
	}
	a, ok := s.accounts[user]
	if !ok {
		return server.Account{}, server.ErrNotFound
	}
	a.Record = copyOf(a.Record)
	return a, nil
}

// UpdateAccount implements server.Directory.
func (s *Store) UpdateAccount(ctx context.Context, c server.Change) (server.Version, error) {
	if err := c.Valid(); err != nil {
		return 0, err
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	a, ok := s.accounts[c.User]
	switch {
	case !ok:
		return 0, server.ErrNotFound
	case a.Version == c.Old+1 && bytes.Equal(a.Record, c.Record):
		return a.Version, nil
	case a.Version != c.Old:
		return 0, server.ErrConflict
	}
	s.accounts[c.User] = server.Account{User: c.User, Version: c.Old + 1, Record: copyOf(c.Record)}
	for _, id := range c.Removed {
		s.dropKeys(server.Device{User: c.User, ID: id})
		delete(s.epochs, server.Device{User: c.User, ID: id})
	}
	s.putSets(c.User, c.OneTime)
	return c.Old + 1, nil
}

func (s *Store) dropKeys(dev server.Device) {
	delete(s.keys, keySet{dev, server.OneTimeEC})
	delete(s.keys, keySet{dev, server.OneTimeKEM})
}

func (s *Store) putSets(user string, sets []server.OneTimeSet) {
sets:
	for _, set := range sets {
		k := keySet{server.Device{User: user, ID: set.Device}, set.Kind}
		for _, b := range s.batches[k] {
			if b == set.Batch {
				continue sets
			}
		}
		known := append(s.batches[k], set.Batch)
		s.batches[k] = known[max(0, len(known)-server.RememberBatches):]
		m := make(map[uint64][]byte, len(set.Keys))
		for _, key := range set.Keys {
			m[key.ID] = copyOf(key.Public)
		}
		s.keys[k] = m
	}
}

// PutOneTime implements server.Directory.
func (s *Store) PutOneTime(ctx context.Context, user string, sets ...server.OneTimeSet) error {
	for _, set := range sets {
		if err := set.Valid(); err != nil {
			return err
		}
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if _, ok := s.accounts[user]; !ok {
		return server.ErrNotFound
	}
	s.putSets(user, sets)
	return nil
}

// TakeOneTime implements server.Directory.
func (s *Store) TakeOneTime(ctx context.Context, dev server.Device) (server.Taken, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return server.Taken{}, err
	}
	return server.Taken{EC: s.take(keySet{dev, server.OneTimeEC}), KEM: s.take(keySet{dev, server.OneTimeKEM})}, nil
}

func (s *Store) take(k keySet) *server.OneTimeKey {
	for id, public := range s.keys[k] {
		delete(s.keys[k], id)
		return &server.OneTimeKey{ID: id, Public: public}
	}
	return nil
}

// AdvanceEpoch implements server.Directory.
func (s *Store) AdvanceEpoch(ctx context.Context, dev server.Device, from, to server.Epoch) error {
	if dev.User == "" || dev.ID == 0 {
		return server.ErrInvalid
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	if _, ok := s.accounts[dev.User]; !ok {
		return server.ErrNotFound
	}
	if held, ok := s.epochs[dev]; ok && held != from && held != to {
		return server.ErrConflict
	}
	s.epochs[dev] = to
	return nil
}

// CountOneTime implements server.Directory.
func (s *Store) CountOneTime(ctx context.Context, dev server.Device) (ec, kem int, err error) {
	err = s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return 0, 0, err
	}
	return len(s.keys[keySet{dev, server.OneTimeEC}]), len(s.keys[keySet{dev, server.OneTimeKEM}]), nil
}

// PutInvite implements server.Directory.
func (s *Store) PutInvite(ctx context.Context, i server.Invite) error {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	i.Expires = millis(i.Expires)
	s.invites[i.Hash] = i
	return nil
}

// Invite implements server.Directory.
func (s *Store) Invite(ctx context.Context, h server.InviteHash) (server.Invite, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return server.Invite{}, err
	}
	i, ok := s.invites[h]
	if !ok {
		return server.Invite{}, server.ErrInvite
	}
	return i, nil
}

// DropInvites implements server.Directory.
func (s *Store) DropInvites(ctx context.Context, now time.Time) error {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	for h, i := range s.invites {
		if !i.Expires.After(millis(now)) {
			delete(s.invites, h)
		}
	}
	return nil
}

// Generation implements server.Directory.
func (s *Store) Generation(ctx context.Context) (uint64, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return s.generation, nil
}

// Restored implements server.Directory.
func (s *Store) Restored(ctx context.Context) (uint64, error) {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	clear(s.keys)
	clear(s.epochs)
	s.generation++
	return s.generation, nil
}

func (s *Store) box(dev server.Device) *box {
	b := s.boxes[dev]
	if b == nil {
		b = &box{byID: make(map[server.MessageID]*row)}
		s.boxes[dev] = b
	}
	return b
}

// fill is what waits in a mailbox.
func (b *box) fill() (count int, size int64, oldest time.Time) {
	for _, r := range b.rows {
		if r.gone {
			continue
		}
		if count == 0 || r.At.Before(oldest) {
			oldest = r.At
		}
		count++
		size += int64(len(r.Body))
	}
	return count, size, oldest
}

// Append implements server.Mailbox.
func (s *Store) Append(ctx context.Context, envelopes []server.Envelope) ([]server.Result, error) {
	if err := server.ValidEnvelopes(envelopes); err != nil {
		return nil, err
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if len(envelopes) == 0 {
		return nil, nil
	}
	if err := s.room(envelopes); err != nil {
		return nil, err
	}
	results := make([]server.Result, len(envelopes))
	var hints []server.Hint
	for i := range envelopes {
		e := &envelopes[i]
		b := s.box(e.Device)
		if old := b.byID[e.ID]; old != nil {
			results[i] = server.Result{Seq: old.Seq, Duplicate: true}
			continue
		}
		s.seq++
		r := &row{
			Message: server.Message{Seq: s.seq, ID: e.ID, At: millis(e.At), Body: copyOf(e.Body)},
			due:     millis(e.Due()),
		}
		b.rows = append(b.rows, r)
		b.byID[e.ID] = r
		results[i] = server.Result{Seq: s.seq}
		hints = append(hints, server.Hint{Device: e.Device, Seq: s.seq})
	}
	s.Hub.Notify(hints)
	return results, nil
}

// room decides whether all envelopes can be stored.
func (s *Store) room(envelopes []server.Envelope) error {
	type need struct {
		count int
		size  int64
	}
	needs := make(map[server.Device]need)
	type key struct {
		dev server.Device
		id  server.MessageID
	}
	seen := make(map[key]bool)
	for i := range envelopes {
		e := &envelopes[i]
		b := s.box(e.Device)
		if b.removed {
			return server.ErrRemoved
		}
		k := key{e.Device, e.ID}
		if b.byID[e.ID] != nil || seen[k] {
			continue
		}
		seen[k] = true
		n := needs[e.Device]
		needs[e.Device] = need{n.count + 1, n.size + int64(len(e.Body))}
	}
	for dev, n := range needs {
		count, size, _ := s.boxes[dev].fill()
		if count+n.count > server.MailboxMessages || size+n.size > server.MailboxBytes {
			return server.ErrFull
		}
	}
	return nil
}

// Read implements server.Mailbox.
func (s *Store) Read(ctx context.Context, dev server.Device, after server.Seq, limit, maxBytes int) (msgs []server.Message, more bool, err error) {
	err = s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil || limit <= 0 || s.boxes[dev] == nil {
		return nil, false, err
	}
	size := 0
	for _, r := range s.boxes[dev].rows {
		if r.gone || r.Seq <= after {
			continue
		}
		if size += len(r.Body); len(msgs) == limit || len(msgs) > 0 && size > maxBytes {
			return msgs, true, nil
		}
		m := r.Message
		m.Body = copyOf(m.Body)
		msgs = append(msgs, m)
	}
	return msgs, false, nil
}

// end makes a message's row a mere memory of its id.
func (r *row) end() {
	r.gone, r.Body, r.due = true, nil, r.At.Add(server.RememberIDs)
}

// Ack implements server.Mailbox.
func (s *Store) Ack(ctx context.Context, dev server.Device, seqs []server.Seq) error {
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil || s.boxes[dev] == nil {
		return err
	}
	acked := make(map[server.Seq]bool, len(seqs))
	for _, seq := range seqs {
		acked[seq] = true
	}
	for _, r := range s.boxes[dev].rows {
		if acked[r.Seq] && !r.gone {
			r.end()
		}
	}
	return nil
}

// Stat implements server.Mailbox.
func (s *Store) Stat(ctx context.Context, dev server.Device) (st server.Stat, err error) {
	err = s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil || s.boxes[dev] == nil {
		return st, err
	}
	st.Count, st.Bytes, st.Oldest = s.boxes[dev].fill()
	return st, nil
}

// Expire implements server.Mailbox.
func (s *Store) Expire(ctx context.Context, now time.Time, budget int) (n int, err error) {
	err = s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	now = millis(now)
	for _, b := range s.boxes {
		kept := b.rows[:0]
		for _, r := range b.rows {
			switch {
			case n >= budget || r.due.After(now):
			case !r.gone && r.At.Add(server.RememberIDs).After(now):
				r.end()
				n++
			default:
				delete(b.byID, r.ID)
				n++
				continue
			}
			kept = append(kept, r)
		}
		clear(b.rows[len(kept):])
		b.rows = kept
	}
	return n, nil
}

// RemoveDevice implements server.Mailbox.
func (s *Store) RemoveDevice(ctx context.Context, dev server.Device) error {
	if dev.User == "" || dev.ID == 0 {
		return server.ErrInvalid
	}
	err := s.enter(ctx)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	*s.box(dev) = box{removed: true}
	return nil
}
