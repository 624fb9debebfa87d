package client

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"sync"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/server"
)

// errLostAnswer is what a store says that may have done what it was asked.
var errLostAnswer = context.DeadlineExceeded

// misfortune decides about the faults of a relay's stores.
type misfortune struct {
	harsh harshness

	luck sync.Mutex
	rng  *rand.Rand
	calm bool
}

// settle ends the faults.
func (m *misfortune) settle() {
	m.luck.Lock()
	defer m.luck.Unlock()
	m.calm = true
}

// perhaps does something, or does not, or does it and says that it is not
// known whether it did.
func (m *misfortune) perhaps(do func() error) error {
	m.luck.Lock()
	lost := !m.calm && m.rng.Float64() < m.harsh.lost
	done := lost && m.rng.IntN(2) == 0
	m.luck.Unlock()
	if lost && !done {
		return errLostAnswer
	}
	if err := do(); err != nil || !lost {
		return err
	}
	return errLostAnswer
}

// repeat draws one of n messages to be stored again and its new id, or -1.
func (m *misfortune) repeat(n int) (which int, id server.MessageID) {
	m.luck.Lock()
	defer m.luck.Unlock()
	if m.calm || n == 0 || m.rng.Float64() >= m.harsh.repeats {
		return -1, id
	}
	for i := range id {
		id[i] = byte(m.rng.Uint32())
	}
	return m.rng.IntN(n), id
}

// ledger is the relay's mailboxes with a record of all that reached them, and
// faults.
type ledger struct {
	server.Mailbox
	*misfortune

	mu      sync.Mutex
	crowd   *crowd
	came    map[[32]byte]map[address.Device]bool // ratchet messages that reached the relay, and for whom they were stored
	history []server.Envelope
}

func hashMessage(message []byte) [32]byte { return sha256.Sum256(message) }

func newLedger(m server.Mailbox, h harshness, seed uint64) *ledger {
	return &ledger{
		Mailbox: m, misfortune: &misfortune{harsh: h, rng: rand.New(rand.NewPCG(seed, 2))},
		came: map[[32]byte]map[address.Device]bool{},
	}
}

// note writes down what reached the relay.
func (l *ledger) note(envelopes []server.Envelope, stored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range envelopes {
		env, err := content.DecodeEnvelope(e.Body)
		if err != nil {
			continue
		}
		h := hashMessage(env.Message)
		if l.crowd != nil && env.To == 0 {
			l.crowd.said(h, env, e.Device.ID, stored)
		}
		if l.came[h] == nil {
			l.came[h] = map[address.Device]bool{}
		}
		if stored {
			l.came[h][e.Device.ID] = true
			l.history = append(l.history, e)
		}
	}
}

// again draws a message that is stored once more, under another id.
func (l *ledger) again() []server.Envelope {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, id := l.repeat(len(l.history))
	if n < 0 {
		return nil
	}
	e := l.history[n]
	e.ID = id
	return []server.Envelope{e}
}

// Append implements server.Mailbox.
func (l *ledger) Append(ctx context.Context, envelopes []server.Envelope) (r []server.Result, err error) {
	l.note(envelopes, false)
	err = l.perhaps(func() error {
		if r, err = l.Mailbox.Append(ctx, envelopes); err == nil {
			l.note(envelopes, true)
		}
		return err
	})
	if again := l.again(); again != nil {
		l.Mailbox.Append(ctx, again) // to a device that may be gone
	}
	return r, err
}

// Read implements server.Mailbox.
func (l *ledger) Read(ctx context.Context, dev server.Device, after server.Seq, limit, maxBytes int) (msgs []server.Message, more bool, err error) {
	err = l.perhaps(func() error {
		msgs, more, err = l.Mailbox.Read(ctx, dev, after, limit, maxBytes)
		return err
	})
	return msgs, more, err
}

// Ack implements server.Mailbox.
func (l *ledger) Ack(ctx context.Context, dev server.Device, seqs []server.Seq) error {
	return l.perhaps(func() error { return l.Mailbox.Ack(ctx, dev, seqs) })
}

// register is the relay's directory with the same faults.
type register struct {
	server.Directory
	*misfortune
	crowd *crowd // or nil
}

// Account implements server.Directory.
func (r register) Account(ctx context.Context, user string) (a server.Account, err error) {
	err = r.perhaps(func() error {
		a, err = r.Directory.Account(ctx, user)
		return err
	})
	return a, err
}

// UpdateAccount implements server.Directory.
func (r register) UpdateAccount(ctx context.Context, c server.Change) (v server.Version, err error) {
	err = r.perhaps(func() error {
		if v, err = r.Directory.UpdateAccount(ctx, c); err == nil && r.crowd != nil {
			r.crowd.revoked(c.Removed)
		}
		return err
	})
	return v, err
}

// CreateGroup implements server.Directory.
func (r register) CreateGroup(ctx context.Context, c server.GroupCreation) error {
	return r.perhaps(func() error {
		err := r.Directory.CreateGroup(ctx, c)
		if err == nil && r.crowd != nil {
			r.crowd.placed(c.Entry)
		}
		return err
	})
}

// AppendGroup implements server.Directory.
func (r register) AppendGroup(ctx context.Context, a server.GroupAppend) (st server.GroupState, err error) {
	err = r.perhaps(func() error {
		if st, err = r.Directory.AppendGroup(ctx, a); err == nil && r.crowd != nil {
			r.crowd.placed(a.Entry)
		}
		return err
	})
	return st, err
}

// ReadGroup implements server.Directory.
func (r register) ReadGroup(ctx context.Context, id server.GroupID, token server.GroupToken, from uint64, limit, maxBytes int) (
	all []server.GroupEntry, st server.GroupState, err error) {
	err = r.perhaps(func() error {
		all, st, err = r.Directory.ReadGroup(ctx, id, token, from, limit, maxBytes)
		return err
	})
	return all, st, err
}

// TakeOneTime implements server.Directory.
func (r register) TakeOneTime(ctx context.Context, dev server.Device) (t server.Taken, err error) {
	err = r.perhaps(func() error {
		t, err = r.Directory.TakeOneTime(ctx, dev)
		return err
	})
	return t, err
}

// AdvanceEpoch implements server.Directory.
func (r register) AdvanceEpoch(ctx context.Context, dev server.Device, from, to server.Epoch) error {
	return r.perhaps(func() error { return r.Directory.AdvanceEpoch(ctx, dev, from, to) })
}

// took reports whether the relay has stored a message for a device.
func (l *ledger) took(h [32]byte, d address.Device) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came[h][d]
}
