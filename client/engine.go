package client

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// engine is the account at work in the process that owns the home. Fields are
// grouped by what guards them.
type engine struct {
	// Set at creation.
	vault     *vault.Vault
	self      *self
	log       *slog.Logger
	now       func() time.Time
	outboxFor time.Duration
	transport dialFunc
	probe     *probe
	life      context.Context // ends with Close
	end       context.CancelFunc
	tasks     sync.WaitGroup

	// state serialises every step that reads session state, derives the next
	// and commits it. Nothing waits for the network while holding it.
	state     sync.Mutex
	pairs     map[peerKey]session.Pair // committed states; others are in the vault
	seen      seen
	people    people
	contacts  atomic.Uint64 // grows when a contact is written, and when that is committed
	known     atomic.Pointer[nameList]
	lastOrder int64 // highest message or outbox order given out
	unsealed  unsealed
	recorded  map[string]bool // conversations of which the ciphertexts are kept (R-TRN-01)

	// mu guards what goroutines tell each other.
	mu         sync.Mutex
	link       *link         // the live connection, or nil
	attempt    *attempt      // the next one, that somebody waits for
	checked    bool          // this process has logged in once (R-CLT-30)
	refused    error         // why it never connects again: ErrRolledBack
	started    bool          // the connection loop runs
	kick       chan struct{} // wakes the connection loop out of its back-off
	flushKick  chan struct{} // wakes the outbox
	owedKick   chan struct{} // wakes the receipts
	askKick    chan struct{} // wakes the look-ups that received messages ask for
	repairKick chan struct{} // wakes the repairs
	news       chan struct{} // closed and replaced whenever something changed
	waiters    map[string]chan outcome
	begun      uint64 // rounds of the outbox that have begun
	ended      uint64 // and that have ended, their statuses written
	lastErr    error
	lastLive   time.Time
	offset     time.Duration
	nothing    map[string]int64 // by consumer: up to where nothing waits for it
	nextExpiry int64            // when the next message is to be erased; 0 for not looked up yet
	pushed     bool             // the outbox is to try what rests
	settled    []settledMessage // accepted by the server, not yet written down
	groupKick  chan struct{}    // wakes the care for groups
	groupsDue  map[groups.ID]bool
	groupTries map[groups.ID]int // looks for an entry whose keys are here
	groupsSeen *link             // the connection since which all groups were looked after
	steps      map[groups.ID]GroupStep
	ready      map[groups.ID]*readyAudience // groups whose next message needs no preparation
	contactMu  keyedMutex                   // one network look-up at a time for each contact
	repairMu   sync.Mutex                   // one round of repairs at a time
}

// outcome is what became of an outbox entry, for the caller that waits.
type outcome struct {
	accepted *settledMessage
	failed   bool
	err      error
}

// settledMessage is what the server has said of an entry that it has taken.
type settledMessage struct {
	id      []byte
	control bool
	devices []uint64      // of the recipient
	full    []uint64      // those of them that were left out, their mailboxes being full
	ownFull []uint64      // own devices that were left out
	group   *groupSettled // of a message to a group
}

func newEngine(v *vault.Vault, s *self, cfg Config) (*engine, error) {
	e := &engine{
		vault: v, self: s, log: cfg.logger(), now: cfg.clock(),
		pairs: map[peerKey]session.Pair{}, kick: make(chan struct{}, 1), flushKick: make(chan struct{}, 1),
		owedKick: make(chan struct{}, 1), askKick: make(chan struct{}, 1), repairKick: make(chan struct{}, 1),
		news: make(chan struct{}), waiters: map[string]chan outcome{},
		groupKick: make(chan struct{}, 1), groupsDue: map[groups.ID]bool{}, steps: map[groups.ID]GroupStep{}, groupTries: map[groups.ID]int{}, ready: map[groups.ID]*readyAudience{},
		nothing: map[string]int64{}, outboxFor: cfg.OutboxFor, transport: cfg.Dial, probe: cfg.probe,
	}
	if e.outboxFor <= 0 {
		e.outboxFor = OutboxFor
	}
	e.life, e.end = context.WithCancel(context.Background())
	err := v.View(e.life, func(tx *vault.Tx) error {
		for _, t := range []vault.Table{tableMessage, tableOutbox, tableWire} {
			n, _, err := tx.MaxOrder(t, nil)
			if err != nil {
				return err
			}
			e.lastOrder = max(e.lastOrder, n)
		}
		n, err := reserved(tx)
		e.lastOrder = max(e.lastOrder, n)
		if err == nil {
			e.unsealed, err = readUnsealed(tx)
		}
		if err == nil {
			e.recorded, err = readRecorded(tx)
		}
		return err
	})
	if err != nil {
		e.end()
		return nil, storeError(err)
	}
	if err := errors.Join(e.keepOwnList(), e.learn(e.life)); err != nil {
		e.end()
		return nil, err
	}
	return e, nil
}

// close sends the receipts that are owed, stops the connection and writes down what is known but not written.
func (e *engine) close() error {
	e.parting()
	e.end()
	e.tasks.Wait()
	err := e.writeSettled(context.Background())
	return errors.Join(err, e.vault.Close())
}

// changed wakes everything that waits for news.
func (e *engine) changed() {
	e.mu.Lock()
	close(e.news)
	e.news = make(chan struct{})
	e.mu.Unlock()
}

// watch returns a channel that is closed at the next change.
func (e *engine) watch() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.news
}

// nextOrder gives out the next position in the order of things. The caller
// holds state.
func (e *engine) nextOrder() int64 {
	e.lastOrder++
	return e.lastOrder
}

// pair returns the sessions with a device. The caller holds state.
func (e *engine) pair(tx *vault.Tx, k peerKey) (session.Pair, error) {
	if p, ok := e.pairs[k]; ok {
		return p, nil
	}
	return loadPair(tx, k)
}

// remember keeps committed pairs at hand. The caller holds state, after the
// commit: what is in memory is never ahead of the store (R-CLT-13).
func (e *engine) remember(pairs map[peerKey]session.Pair) {
	const atHand = 4096 // sessions re-read beyond that many peers
	if len(e.pairs) > atHand {
		clear(e.pairs)
	}
	for k, p := range pairs {
		e.pairs[k] = p
	}
}

// update runs one durable transaction and maps its errors.
func (e *engine) update(ctx context.Context, fn func(*vault.Tx) error) error {
	before := e.contacts.Load()
	defer func() {
		if e.contacts.Load() != before {
			e.contacts.Add(1) // what was read meanwhile may be from before the commit
		}
	}()
	if e.probe != nil {
		return storeError(e.probe.commit(ctx, e.vault, fn))
	}
	return storeError(e.vault.Update(ctx, fn))
}

func (e *engine) view(ctx context.Context, fn func(*vault.Tx) error) error {
	return storeError(e.vault.View(ctx, fn))
}

// storeError turns the vault's errors into the client's.
func storeError(err error) error {
	for _, m := range []struct{ from, to error }{
		{vault.ErrDiskFull, ErrDiskFull}, {vault.ErrDamaged, ErrStoreDamaged}, {vault.ErrWrongKey, ErrWrongPassphrase},
		{vault.ErrLocked, ErrLocked}, {vault.ErrPassphrase, ErrWrongPassphrase}, {vault.ErrKeyFile, ErrWrongPassphrase},
		{vault.ErrFailed, ErrDiskFull}, {vault.ErrAbsent, ErrNotRegistered}, {vault.ErrExists, ErrAlreadyHere},
	} {
		if errors.Is(err, m.from) {
			return &wrapped{m.to, err}
		}
	}
	return err
}

// wrapped is an error of this package with its cause.
type wrapped struct{ kind, cause error }

func (w *wrapped) Error() string   { return w.kind.Error() + ": " + w.cause.Error() }
func (w *wrapped) Unwrap() []error { return []error{w.kind, w.cause} }

// link is one live connection.
type link struct {
	conn   *relayclient.Conn
	taken  atomic.Uint64 // sequence number of the last delivery committed
	caught chan struct{} // closed once everything that waited was taken
	failed chan struct{} // closed when receiving stopped
	err    error         // why, once failed is closed
}

// keyedMutex holds a lock for each key in use. It is held while the network is
// waited for, so waiting for it is waiting on a channel: on a synthetic clock no
// time passes for those who wait for a sync.Mutex.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	free chan struct{} // holds a token while nobody has the lock
	uses int
}

func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyLock{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		k.locks[key] = l
	}
	l.uses++
	k.mu.Unlock()
	<-l.free
	return func() {
		l.free <- struct{}{}
		k.mu.Lock()
		if l.uses--; l.uses == 0 {
			delete(k.locks, key)
		}
		k.mu.Unlock()
	}
}
