package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// errTrace: two records of one run contradict each other about a value, or the
// two ends of a session about what it was made from.
var errTrace = fmt.Errorf("%w: the records contradict each other", ErrFault)

// trace draws the graph of a run from the records that devices write before
// and after each step (R-LAB-04). Production code takes no part in it. A chain is
// named by its MAC seed, which both ends hold and no other chain has; a root key
// by itself; a private key by its public half. What several records say is held
// against each other: a wrong name shows as two values.
type trace struct {
	*graph
	values  map[name]key        // chain and message keys seen in records
	steps   map[name]origin     // root key: what it was made from
	agreed  int                 // values and steps seen again, alike
	members map[name]bool       // what is drawn already
	signed  map[session.ID]name // the responder's signed prekey
	// What only a quantum thief is given (R-LAB-36): private ratchet keys by public
	// ones, and X25519 prekeys.
	privates map[key]key
	curve    map[peer]map[row]kept
}

// origin is what a DH step mixes: the root key before, the agreement, and the
// secrets of epochs.
type origin [2 + ratchet.MaxWaiting]name

func newTrace() *trace {
	return &trace{graph: newGraph(), values: map[name]key{}, steps: map[name]origin{}, members: map[name]bool{}, signed: map[session.ID]name{}, privates: map[key]key{}, curve: map[peer]map[row]kept{}}
}

// see holds a value against what an earlier record had under its name.
func (t *trace) see(n name, value key) error {
	before, ok := t.values[n]
	switch {
	case !ok:
		t.values[n] = value
	case before != value:
		return errTrace
	default:
		t.agreed++
	}
	return nil
}

// agree draws an agreement: either private half gives it.
func (t *trace) agree(a, b name) name {
	x, y := a.bytes(), b.bytes()
	if bytes.Compare(x, y) > 0 {
		x, y = y, x
	}
	dh := name{role: agreement, of: sha256.Sum256(append(x, y...))}
	if !t.members[dh] {
		t.members[dh] = true
		t.rule(dh, a)
		t.rule(dh, b)
	}
	return dh
}

func (n name) bytes() []byte {
	return binary.BigEndian.AppendUint64(append([]byte{byte(n.role)}, n.of[:]...), n.n)
}

func privateOf(public key) name  { return name{role: private, of: public} }
func secretOf(s session.ID) name { return name{role: secret, of: s} }

// whose names the device that a prekey belongs to.
func whose(p *x3dh.Party) key {
	return sha256.Sum256(binary.BigEndian.AppendUint64(append([]byte(nil), p.Account...), p.Device))
}

// handshake draws the secret of a session: all agreements of the handshake and
// the KEM's secret together (R-X3D-01). The initiator's ephemeral key and the
// randomness of the capsule are in no record, so nobody steals them.
func (t *trace) handshake(initiator, responder *x3dh.Party, initial []byte, signed key) error {
	i, err := x3dh.ParseInitial(initial)
	if err != nil {
		return err
	}
	s := secretOf(i.ID)
	ek, spk := privateOf(i.Ephemeral.Array()), privateOf(signed)
	t.signed[i.ID] = spk
	premises := []name{
		t.agree(privateOf(initiator.Identity.Array()), spk),
		t.agree(ek, privateOf(responder.Identity.Array())),
		t.agree(ek, spk),
		{role: capsule, of: i.ID},
	}
	if i.OneTimeID != 0 {
		premises = append(premises, t.agree(ek, name{oneTime, whose(responder), i.OneTimeID}))
	}
	t.rule(name{role: capsule, of: i.ID}, name{kemKey, whose(responder), i.KEMID})
	t.rule(s, premises...)
	return nil
}

// step draws a DH step of the ratchet: the next root key and the chain of seed.
func (t *trace) step(root, seed key, from, dh name, epochs []key) error {
	next := name{role: rootKey, of: root}
	made := origin{from, dh}
	premises := made[:2]
	for _, e := range epochs {
		premises = append(premises, name{role: epochKey, of: e})
	}
	if was, ok := t.steps[next]; ok {
		if was != made {
			return errTrace
		}
		t.agreed++
		return nil
	}
	t.steps[next] = made
	t.rule(next, premises...)
	t.rule(name{role: chainKey, of: seed}, premises...)
	return nil
}

// mixed lists the secrets that waited in h and are in the root key of after.
func (h *head) mixed(after *head) []key { return h.waiting[:after.epoch-h.epoch] }

// exchanged draws what the post-quantum exchange yielded in a step: the secret of
// an epoch and the next authentication key, from the one before and what this side
// drew. The peer's part of it needs no rule: it came in letters of chains that
// whoever has the rest reads. What was drawn and used up in the same step is in no
// record.
func (t *trace) exchanged(b, a *head) {
	n := len(a.waiting)
	if b.epoch+uint32(len(b.waiting)) == a.epoch+uint32(n) {
		return
	}
	auth, own := b.braid()
	secret := name{role: epochKey, of: a.waiting[n-1]}
	if own.role != drawn {
		return
	}
	next, _ := a.braid()
	t.rule(secret, auth, own)
	t.rule(next, auth, own)
}

// braid names what the braid's record holds: the authentication key, and what
// was drawn, if it is still there.
func (h *head) braid() (auth, own name) {
	r := h.exchange
	auth = name{role: braidKey, of: key(r[braidAuth:])}
	switch r[braidTurn] {
	case braidOffering:
		own = name{role: drawn, of: sha256.Sum256(r[braidDrawn : braidDrawn+64])}
	case braidAnswering:
		own = name{role: drawn, of: sha256.Sum256(r[braidDrawn : braidDrawn+32])}
	}
	return auth, own
}

// sealed draws what sealing l used, from the states before (nil: the session
// began with it) and after.
func (t *trace) sealed(s *session.Session, before *session.Session, l *letter) error {
	a := read(s.State)
	if before == nil {
		if err := t.step(a.root, a.seed, secretOf(s.ID), t.agree(privateOf(a.public), t.signed[s.ID]), nil); err != nil {
			return err
		}
		auth, _ := a.braid()
		t.rule(auth, secretOf(s.ID))
	} else {
		b := read(before.State)
		if b.turn == replying {
			if err := t.step(a.root, a.seed, name{role: rootKey, of: b.root}, t.agree(privateOf(a.public), privateOf(b.peer)), b.mixed(&a)); err != nil {
				return err
			}
		}
		t.exchanged(&b, &a)
	}
	t.ratchets(&a)
	n := uint64(a.number) - 1
	chain, message := name{chainKey, a.seed, n}, name{messageKey, a.seed, n}
	l.seed, l.number = a.seed, a.number-1
	// A device set back to an old copy seals under the same number again.
	if !t.members[message] {
		t.members[message] = true
		t.rule(name{chainKey, a.seed, n + 1}, chain)
		t.rule(message, chain)
	}
	t.rule(name{role: content, n: uint64(l.index)}, message)
	return t.see(name{chainKey, a.seed, n + 1}, a.chain)
}

// opened holds the receiver's records against what the sender's have shown.
func (t *trace) opened(s *session.Session, before *session.Session) error {
	a := read(s.State)
	if len(a.receiving) == 0 {
		return errTrace
	}
	c := a.receiving[0]
	var err error
	if before == nil {
		err = t.step(a.root, c.seed, secretOf(s.ID), t.agree(privateOf(a.peer), t.signed[s.ID]), nil)
	} else {
		b := read(before.State)
		if a.step > b.step {
			err = t.step(a.root, c.seed, name{role: rootKey, of: b.root}, t.agree(privateOf(b.public), privateOf(a.peer)), b.mixed(&a))
		}
		t.exchanged(&b, &a)
	}
	if err != nil {
		return err
	}
	if err := t.see(name{chainKey, c.seed, uint64(c.next)}, a.open); err != nil {
		return err
	}
	for _, c := range a.receiving {
		for _, k := range c.skipped {
			if err := t.see(name{messageKey, c.seed, uint64(k.number)}, k.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// held lists the values that a session's record holds (R-LAB-05).
func held(s ratchet.State) []name {
	h := read(s)
	names := []name{{role: rootKey, of: h.root}}
	for _, e := range h.waiting {
		names = append(names, name{role: epochKey, of: e})
	}
	auth, own := h.braid()
	names = append(names, auth)
	if own.role == drawn {
		names = append(names, own)
	}
	if h.turn == sending {
		names = append(names, privateOf(h.public), name{chainKey, h.seed, uint64(h.number)})
	}
	for i, c := range h.receiving {
		if i == 0 {
			names = append(names, name{chainKey, c.seed, uint64(c.next)})
		}
		for _, k := range c.skipped {
			names = append(names, name{messageKey, c.seed, uint64(k.number)})
		}
	}
	return names
}

// values lists the long-term keys and prekeys that a disk holds.
func (d *disk) values() []name {
	names := []name{privateOf(d.party.Identity.Array())}
	for row, k := range d.prekeys {
		switch row.kind {
		case prekeys.Signed: // the record ends with the public half
			names = append(names, privateOf(key(k.record[len(k.record)-32:])))
		case prekeys.OneTimeEC:
			names = append(names, name{oneTime, whose(&d.party), row.id})
		default:
			names = append(names, name{kemKey, whose(&d.party), row.id})
		}
	}
	return names
}
