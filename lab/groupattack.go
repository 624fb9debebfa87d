package lab

import (
	"bytes"
	"fmt"

	"github.com/pawl-chat/pawl/groups"
)

// The attack on groups (R-LAB-31): the real code on stolen chains and secrets,
// and on those that letters hold which the thief has come to read.

// hoard is what a thief has of groups.
type hoard struct {
	chains  map[groups.ChainID][]*chainLine
	taken   map[name]bool // chains at their index, so that each is taken once
	secrets map[groups.ID][]epochOf
	log     []bool // by index of the entry: read
}

type epochOf struct {
	epoch  uint64
	secret groups.Secret
}

// chainLine is one way to open the messages of a chain.
type chainLine struct {
	base, head groups.Receiving
	opened     int
	marks      []groups.Receiving // heads on the way, one in reach of every index
}

// sack takes what the stolen disk holds of groups.
func (a *attack) sack() error {
	a.hoard = hoard{chains: map[groups.ChainID][]*chainLine{}, taken: map[name]bool{}, secrets: map[groups.ID][]epochOf{}, log: make([]bool, len(a.world.entries))}
	for _, s := range a.world.groupsOf(&a.loot.disk) {
		for _, id := range s.ids() {
			c, err := s.chains[id].receiving()
			if err != nil {
				return err
			}
			if !c.Closed() {
				a.chains[id] = append(a.chains[id], &chainLine{base: c, head: c})
			}
		}
		if s.own != nil { // what the victim says next, read as everybody does
			own, err := groups.ParseSending(s.own)
			if err != nil {
				return err
			}
			if err := a.accept(own.Key(), own.Sender()); err != nil {
				return err
			}
		}
		for epoch, all := range s.secrets {
			for _, x := range all {
				a.secrets[s.group] = append(a.secrets[s.group], epochOf{epoch, x})
			}
		}
	}
	return nil
}

func (a *attack) accept(k groups.ChainKey, s groups.Sender) error {
	at := senderKeyOf(k.Chain, k.Index)
	if a.taken[at] {
		return nil
	}
	a.taken[at] = true
	c, err := groups.Accept(k, s)
	if err != nil {
		return fmt.Errorf("%w: a chain that was handed out is none: %w", ErrFault, err)
	}
	a.chains[k.Chain] = append(a.chains[k.Chain], &chainLine{base: c, head: c})
	return nil
}

// profit takes the keys that a letter holds which the thief has read.
func (a *attack) profit(l *letter, plaintext []byte) error {
	sig, ok := signalIn(plaintext)
	if !ok || sig.Key == nil {
		return nil
	}
	from := a.world.find(l.from)
	if from == nil {
		return nil
	}
	if k := sig.Key; !k.Secret.IsZero() {
		a.secrets[sig.Group] = append(a.secrets[sig.Group], epochOf{k.Epoch, k.Secret})
	}
	if sig.Key.Chain == nil {
		return nil
	}
	return a.accept(*sig.Key.Chain, senderOf(from))
}

// eavesdrop tries one copy of a group message.
func (a *attack) eavesdrop(l *letter) (bool, error) {
	for _, n := range a.chains[l.said.key.Chain] {
		o, err := n.head.Open(l.body, thiefTime)
		if err == nil {
			n.head = o.Next
			if n.opened++; n.opened%(groups.MaxJump/2) == 0 {
				n.marks = append(n.marks, n.head)
			}
		} else if o, err = n.again(l); err != nil {
			continue
		}
		if !bytes.Equal(o.Plaintext, l.text) {
			return false, fmt.Errorf("%w: the thief opened another message than was said", ErrFault)
		}
		return true, nil
	}
	return false, nil
}

func (n *chainLine) again(l *letter) (groups.Opened, error) {
	o, err := n.base.Open(l.body, thiefTime)
	for i := 0; err != nil && i < len(n.marks); i++ {
		o, err = n.marks[i].Open(l.body, thiefTime)
	}
	return o, err
}

// readLogs reads the entries of group logs that the secrets open.
func (a *attack) readLogs() {
	for _, e := range a.world.entries {
		for _, s := range a.secrets[e.group] {
			if s.epoch != e.epoch || a.log[e.index] {
				continue
			}
			_, err := groups.Read(e.group, e.seq, e.prev, s.secret, s.epoch, e.data)
			a.log[e.index] = err == nil
		}
	}
}
