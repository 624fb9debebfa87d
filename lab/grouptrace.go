package lab

import (
	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/fixed"
)

// The graph of a group's keys (R-LAB-31). A chain key is named by the chain's id
// and the index it is at, the secret of an epoch by itself.

// spoken is what sealing a group message used.
type spoken struct {
	group     groups.ID
	key, next groups.ChainKey // before and after
	sender    groups.Sender
}

func ofChain(id groups.ChainID) (k key) { copy(k[:], id[:]); return k }

func senderKeyOf(id groups.ChainID, index uint32) name {
	return name{senderKey, ofChain(id), uint64(index)}
}

func groupKeyOf(id groups.ChainID, index uint32) name {
	return name{groupKey, ofChain(id), uint64(index)}
}

// spoken draws what sealing a group message used. Each copy is the same bytes.
func (t *trace) spoken(l *letter) error {
	k, next := &l.said.key, &l.said.next
	chain, message := senderKeyOf(k.Chain, k.Index), groupKeyOf(k.Chain, k.Index)
	if !t.members[message] {
		t.members[message] = true
		t.rule(senderKeyOf(k.Chain, next.Index), chain)
		t.rule(message, chain)
	}
	t.rule(name{role: content, n: uint64(l.index)}, message)
	if err := t.see(chain, k.Key); err != nil {
		return err
	}
	return t.see(senderKeyOf(k.Chain, next.Index), next.Key)
}

// handed draws what a letter holds that hands out keys: who reads it has them.
func (t *trace) handed(l *letter) {
	text := name{role: content, n: uint64(l.index)}
	if c := l.hands.Chain; c != nil {
		t.rule(senderKeyOf(c.Chain, c.Index), text)
	}
	if !l.hands.Secret.IsZero() {
		t.rule(name{role: epochSecret, of: key(l.hands.Secret)}, text)
	}
}

// heard holds a receiver's record against what the sender's has shown.
func (t *trace) heard(c groups.Receiving) error {
	names, values := heldChain(c)
	for i, n := range names {
		if err := t.see(n, values[i]); err != nil {
			return err
		}
	}
	return nil
}

// heldChain lists the values that the record of a chain holds, as
// spec/groups.md describes it ("Records").
func heldChain(c groups.Receiving) (names []name, values []key) {
	if c.Closed() {
		return nil, nil
	}
	head := c.AppendHead(nil) // an open one ends with the chain key
	names, values = append(names, senderKeyOf(c.ID(), c.Index())), append(values, key(head[len(head)-32:]))
	r := fixed.Reader{Rest: c.AppendSkipped(nil)}
	r.Take(1 + 8)
	for range r.Uint16() {
		index := r.Uint32()
		r.Take(8)
		names, values = append(names, groupKeyOf(c.ID(), index)), append(values, r.Key())
	}
	return names, values
}

// groupValues lists what a disk holds of groups (R-LAB-31).
func (d *disk) groupValues() ([]name, error) {
	var names []name
	for _, s := range d.shelves {
		if s.own != nil {
			own, err := groups.ParseSending(s.own)
			if err != nil {
				return nil, err
			}
			names = append(names, senderKeyOf(own.ID(), own.Index()))
		}
		for _, x := range s.chains {
			c, err := x.receiving()
			if err != nil {
				return nil, err
			}
			held, _ := heldChain(c)
			names = append(names, held...)
		}
		for _, epoch := range s.secrets {
			for _, secret := range epoch {
				names = append(names, name{role: epochSecret, of: key(secret)})
			}
		}
	}
	return names, nil
}
