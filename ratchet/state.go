package ratchet

import (
	"crypto/rand"
	"time"

	"github.com/pawl-chat/pawl/internal/braid"
	"github.com/pawl-chat/pawl/internal/dh"
)

// State is one side of a conversation between two messages: a value, made by
// Initiate, Respond or ParseRecord and replaced by the Next of each step. The
// zero State is no state: its methods refuse or report nothing.
//
// All that a State points to is immutable and may be shared with the states
// before and after it.
type State struct {
	_ [0]func() // not comparable

	root rootKey
	step uint64 // DH steps taken so far by both sides

	// The post-quantum exchange: carry.go.
	braid   braid.State
	mixed   uint32     // newest epoch whose secret is in the root key
	waiting []epochKey // of the epochs after it: held, and not mixed in yet

	turn turn

	// Receiving. current is the open chain, if its cipher is set, and key its
	// chain key; older are closed chains that still hold skipped keys, newest
	// first; following opens the first header of the chain after current.
	current   receiving
	key       chainKey
	older     []receiving
	following *headerCipher

	owed       [][32]byte // MAC seeds to disclose with the next message
	unanswered uint8      // opened in current since we last sealed, at most HeartbeatAfter
	generation uint64     // counts changes of skipped keys
}

// turn is whose turn it is to make the next ratchet key, and what that side of
// the state holds: *waiting, *replying or *sending. Values are immutable.
type turn interface{ isTurn() }

// waiting is the responder before the first message: it has the key that the
// initiator knows, and cannot send.
type waiting struct {
	own    dh.PrivateKey
	header headerKey // of our first chain
}

// replying holds no ratchet key of ours: the peer has moved on, and ours is
// made by the next Seal (R-RAT-08).
type replying struct {
	peer     dh.PublicKey
	header   headerKey // of our next chain
	previous uint32    // length of our last chain
}

// sending has an open sending chain, whose ratchet key the peer has not
// answered yet.
type sending struct {
	*sendingChain
	key    chainKey
	number uint32 // of the next message
}

// sendingChain is what does not change along a sending chain: each message
// copies a pointer, and not the secrets.
type sendingChain struct {
	own      dh.PrivateKey
	public   [dh.Size]byte
	cipher   *headerCipher
	seed     macSeed
	previous uint32    // length of the chain before
	header   headerKey // of our next chain
}

func (*waiting) isTurn()  {}
func (*replying) isTurn() {}
func (*sending) isTurn()  {}

// Initiate begins a conversation with the owner of the ratchet key peer, its
// signed prekey, on a secret both know. The initiator can seal at once. secret
// remains the caller's, to erase. ErrBadKey is all it can fail with.
func Initiate(secret *[32]byte, peer PublicKey) (State, error) {
	var b [dh.Size]byte
	rand.Read(b[:])
	own := dh.FromBytes(b)
	clear(b[:])
	return initiate(secret, peer, own)
}

func initiate(secret *[32]byte, peer dh.PublicKey, own dh.PrivateKey) (State, error) {
	root, mine, theirs := start(secret) // and the exchange (R-RAT-40)
	s := State{root: root, braid: braid.Start(secret, braid.Initiator)}
	s.following = newHeaderCipher(theirs)
	t, err := s.begin(&replying{peer: peer, header: mine}, own)
	if err != nil {
		return State{}, err
	}
	s.turn = t
	return s, nil
}

// Respond begins the conversation on the other side. own is the private half of
// the key that the initiator was given. It waits: it can open, and seals only
// after it has opened something.
func Respond(secret *[32]byte, own PrivateKey) State {
	root, theirs, mine := start(secret)
	return State{
		root: root, braid: braid.Start(secret, braid.Responder),
		turn: &waiting{own, mine}, following: newHeaderCipher(theirs),
	}
}

// begin takes a DH step of ours, towards a new sending chain.
func (s *State) begin(r *replying, own dh.PrivateKey) (*sending, error) {
	shared, err := own.Shared(r.peer)
	if err != nil {
		return nil, ErrBadKey
	}
	epoch := s.usable()
	secrets, ok := s.upTo(epoch)
	if !ok {
		panic("ratchet: unreachable: an epoch that is over has no secret")
	}
	next, b := s.root.advance(&shared, secrets)
	s.root = next
	s.rest(epoch)
	s.step++
	chain := &sendingChain{
		own:      own,
		public:   own.Public().Array(),
		cipher:   newHeaderCipher(r.header),
		seed:     b.seed,
		previous: r.previous,
		header:   b.header,
	}
	return &sending{sendingChain: chain, key: b.chain}, nil
}

// CanSeal reports whether Seal is possible: always, but for a responder that
// has opened nothing yet.
func (s State) CanSeal() bool {
	switch s.turn.(type) {
	case *replying, *sending:
		return true
	}
	return false
}

// Received reports whether anything was ever opened: until then an initiator
// repeats its first message.
func (s State) Received() bool { return s.current.cipher != nil }

// HeartbeatDue reports whether the peer has sent so much without an answer that
// an empty message should be sent to make both sides ratchet (R-RAT-22).
func (s State) HeartbeatDue() bool { return s.unanswered >= HeartbeatAfter }

// Epoch is the epoch of the post-quantum exchange that the keys rest on now. It
// grows as a conversation goes both ways; when it has grown by two, what a thief took
// before is of no use even to somebody who computes discrete logarithms.
func (s State) Epoch() uint32 { return s.mixed }

// SkippedCount is how many skipped message keys the state holds.
func (s State) SkippedCount() int {
	n := len(s.current.skipped)
	for i := range s.older {
		n += len(s.older[i].skipped)
	}
	return n
}

// SkippedBefore is how many of them were skipped at t or earlier, in whole
// seconds: messages that have been missing since then.
func (s State) SkippedBefore(t time.Time) (n int) {
	count := func(keys []skippedKey) {
		for i := range keys {
			if keys[i].at <= t.Unix() {
				n++
			}
		}
	}
	count(s.current.skipped)
	for i := range s.older {
		count(s.older[i].skipped)
	}
	return n
}
