package client

import (
	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/x3dh"
)

// attack has everybody who is not to read something try.
func (c *crowd) attack() {
	h := c.history()
	c.outsiders(&h)
	c.thieves(&h)
}

// meet notes who a device is, when it starts.
func (c *crowd) meet(d *device, p x3dh.Party) {
	c.archive.mu.Lock()
	defer c.archive.mu.Unlock()
	c.parties[d.key()] = p
}

// outsiders: a device opens nothing that was sealed while its account was not a
// member, or after the server had its revocation (R-GRP-42, R-GRP-44, R-GRP-45). It
// has all that it ever held, at any moment, and every signal that anybody has
// ever sealed for it, whether it came or not.
func (c *crowd) outsiders(h *told) {
	for d := range c.all() {
		x := c.everHeld(d)
		if len(x.chains)+len(x.secrets) == 0 {
			continue
		}
		me := d.owner.address.String()
		gone, revoked := c.archive.gone[d.id]
		for _, w := range c.archive.wires {
			seal := c.archive.sealed[place{w.Chain, w.Index}]
			if seal == nil {
				c.fault("a message has left whose sealing was not durable")
				continue
			}
			late := revoked && seal.at > gone
			if w.from == d.key() || h.in[w.Seq][me] && !late {
				continue
			}
			if c.opens(x.chains, w) {
				c.fault("%s opens message %d of %s's chain, sealed after change %d, when it was not in (revoked %v)",
					d.name(), w.Index, w.from.address, w.Seq, late)
			}
		}
		for i := range c.archive.log {
			if h.in[i][me] || h.in[i+1][me] || !c.readable(x.secrets, c.id, i) {
				continue
			}
			if h.within(me, max(h.epoch[i], 1)) {
				c.thefts.left++ // before it came in, or after it left: one epoch has one secret
				continue
			}
			c.fault("%s reads change %d, made when it was not in", d.name(), i+1)
		}
	}
}

// everHeld is all that a device has ever had of the group.
func (c *crowd) everHeld(d *device) *loot {
	x, seen := &loot{}, map[string]bool{}
	chain := func(r groups.Receiving) {
		if b := string(r.AppendRecord(nil)); !seen[b] {
			seen[b] = true
			x.chains = append(x.chains, r)
		}
	}
	secret := func(s epochSecret) {
		if b := string(s.secret[:]); !seen[b] {
			seen[b] = true
			x.secrets = append(x.secrets, s)
		}
	}
	for _, o := range c.archive.loots[d] {
		for _, r := range o.chains {
			chain(r)
		}
		for _, s := range o.secrets {
			secret(s)
		}
	}
	for _, g := range c.archive.given {
		k := g.signal.Key
		if k == nil || g.to != d.key() && g.by != d.key() {
			continue
		}
		if !k.Secret.IsZero() {
			secret(epochSecret{k.Epoch, k.Secret})
		}
		if k.Chain == nil {
			continue
		}
		r, err := groups.Accept(*k.Chain, c.sender(g.by))
		if err != nil {
			c.fault("a sender key of %s is refused: %v", g.by.address, err)
			continue
		}
		chain(r)
	}
	return x
}
