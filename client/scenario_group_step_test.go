package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// saying is one text that a device was asked to send to the group.
type saying struct {
	from *device
	text string
	id   string
	told bool // Send returned without an error: it is durable, come what may
	last bool // said when nothing went wrong any more
}

// wish is one change that a person has asked for.
type wish struct {
	by     *device
	kind   groups.Kind
	name   string // of a renaming
	done   bool   // ChangeGroup returned without an error
	told   bool   // the person was told that it did not happen
	unsure error  // or neither
}

// run runs the schedule.
func (c *crowd) run() {
	c.serve()
	pass(time.Hour) // the images were made in it
	for d := range c.all() {
		c.actors.Go(func() {
			for f := range d.todo {
				f()
			}
		})
		if d.joined {
			d.todo <- d.start
		}
	}
	c.found()
	steps, away := 15+c.rng.IntN(50), -1
	if c.rng.IntN(6) == 0 {
		away = c.rng.IntN(steps)
	}
	for i := range steps {
		if i == away {
			c.leave()
		}
		c.step()
		switch n := c.rng.IntN(20); {
		case n < 7:
		case n < 15:
			pass(time.Duration(c.rng.IntN(2000)) * time.Millisecond)
		case n < 19:
			pass(time.Duration(c.rng.IntN(90)) * time.Second)
		default:
			pass(time.Duration(c.rng.IntN(20)) * time.Minute)
		}
	}
	c.calmDown()
	c.comeToRest()
	c.lastWords()
	c.comeToRest()
	c.examine()
	for d := range c.all() {
		d.todo <- d.stop
		close(d.todo)
	}
	c.actors.Wait()
	c.attack()
	c.halt(false)
	c.store.Close()
}

// found makes the group, with some of the people in it.
func (c *crowd) found() {
	founder := c.people[0].devices[0]
	name := c.newName()
	var members []string
	for _, m := range c.people[1:] {
		if c.rng.IntN(4) > 0 {
			members = append(members, m.address.String())
		}
	}
	for c.id.IsZero() {
		var waiting sync.WaitGroup
		waiting.Add(1)
		founder.todo <- func() {
			defer waiting.Done()
			founder.start()
			l := founder.alive()
			if l == nil {
				return
			}
			ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
			defer cancel()
			if c.id = c.madeAt(l); !c.id.IsZero() {
				return // by an earlier attempt that was cut short
			}
			_, err := l.engine.CreateGroup(ctx, name, members)
			c.id = c.madeAt(l)
			c.note("%s makes the group: %v", founder.name(), err)
		}
		waiting.Wait()
		pass(time.Second)
	}
}

// madeAt finds the group at its founder.
func (c *crowd) madeAt(l *life) (id groups.ID) {
	err := l.vault.View(context.Background(), func(tx *vault.Tx) error {
		return eachGroup(tx, func(r *groupRecord) error {
			id = r.id()
			return nil
		})
	})
	if err != nil && !l.isDead() {
		c.fault("the groups of %s cannot be read: %v", l.d.name(), err)
	}
	return id
}

func (c *crowd) newName() string {
	c.names++
	return fmt.Sprintf("name %d", c.names)
}

// step does one thing.
func (c *crowd) step() {
	d := c.some()
	switch n := c.rng.IntN(100); {
	case n < 40:
		for range 1 + c.rng.IntN(3)*c.rng.IntN(2) {
			c.says(d)
		}
	case n < 56:
		c.draws(d)
	case n < 64: // two at once
		c.draws(d)
		c.draws(c.some())
	case n < 67:
		c.steal(d)
	default:
		n = 45 + c.rng.IntN(55)
		if n >= 80 && n < 84 || n >= 52 && n < 57 {
			n = 84 // what is asked again and looked at is tested between two
		}
		c.act(d, n)
	}
}

// says has a device send a text to the group.
func (c *crowd) says(d *device) *saying {
	s := &saying{from: d, id: content.NewID().String()}
	s.text = fmt.Sprintf("%s says %d", d.name(), len(c.texts))
	c.texts = append(c.texts, s)
	o := SendOptions{ID: s.id, NoWait: c.rng.IntN(3) > 0}
	d.todo <- func() {
		d.start()
		l := d.alive()
		if l == nil {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, 40*time.Second)
		defer cancel()
		_, err := l.engine.Send(ctx, groupName(c.id), s.text, o)
		c.note("%s sends %q: %v", d.name(), s.text, err)
		switch {
		case l.isDead():
		case err == nil, errors.Is(err, ErrUnreachable), errors.Is(err, ErrGroupChanged), errors.Is(err, errNoSender):
			s.told = true
		case ctx.Err() != nil, errors.Is(err, ErrRevoked), errors.Is(err, errClosed), errors.Is(err, ErrNotMember), errors.Is(err, ErrUnknownGroup):
		default:
			c.fault("%s cannot send to the group: %v", d.name(), err)
		}
	}
	return s
}

// draws has a device make one change of the group, allowed or not.
func (c *crowd) draws(d *device) {
	some := func() string { return c.people[c.rng.IntN(len(c.people))].address.String() }
	var change GroupChange
	a := &wish{by: d}
	switch n := c.rng.IntN(20); {
	case n < 6:
		change.Add = []string{some(), some()}[:1+c.rng.IntN(2)]
		a.kind = groups.Add
	case n < 10:
		change.Remove = []string{some()}
		a.kind = groups.Remove
	case n < 13:
		change.Member, change.Role = some(), GroupAdminRole
		if c.rng.IntN(3) == 0 {
			change.Role = GroupMemberRole
		}
		a.kind = groups.SetRole
	case n < 15:
		a.name = c.newName()
		change.Name = a.name
		a.kind = groups.Rename
	case n < 16:
		change.Policy = &GroupPolicy{AddByMembers: c.rng.IntN(2) == 0, OpenHistory: c.rng.IntN(3) == 0}
		a.kind = groups.SetPolicy
	case n < 18:
		change.Rekey = true
		a.kind = groups.Rekey
	default:
		a.kind = groups.Leave
	}
	c.changes = append(c.changes, a)
	d.todo <- func() {
		d.start()
		if l := d.alive(); l != nil {
			c.change(l, a, change)
		}
	}
}

func (c *crowd) change(l *life, a *wish, change GroupChange) {
	ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
	defer cancel()
	var err error
	if a.kind == groups.Leave {
		_, err = l.engine.LeaveGroup(ctx, groupName(c.id))
	} else {
		_, err = l.engine.ChangeGroup(ctx, groupName(c.id), change)
	}
	c.note("%s makes a change (%s %+v): %v", l.d.name(), a.kind, change, err)
	switch {
	case err == nil && !l.isDead():
		a.done = true
	case l.isDead():
		a.unsure = errCrash
	case errors.Is(err, ErrGroupForked):
		c.fault("%s sees a fork", l.d.name())
	case errors.Is(err, ErrGroupChanged), errors.Is(err, ErrNotAllowed), errors.Is(err, ErrNothingToChange), errors.Is(err, ErrUnknownGroup),
		errors.Is(err, ErrNotMember), errors.Is(err, ErrUnknownRecipient):
		a.told = true
	default:
		a.unsure = err
	}
}

// calmDown ends all that goes wrong.
func (c *crowd) calmDown() {
	c.note("from now on nothing goes wrong")
	c.mu.Lock()
	c.calm, c.cut = true, false
	c.mu.Unlock()
	c.ledger.settle()
	for d := range c.all() {
		d.todo <- func() {
			if l := d.alive(); l != nil {
				l.mu.Lock()
				l.fuse = 0
				l.mu.Unlock()
			}
		}
	}
}

// comeToRest switches every device on and lets time pass until nothing moves.
func (c *crowd) comeToRest() {
	quiet := 0
	for round := 0; round < 90 && quiet < 2; round++ {
		var all sync.WaitGroup
		for d := range c.all() {
			all.Add(1)
			d.todo <- func() {
				defer all.Done()
				d.start()
				if l := d.alive(); l != nil {
					d.syncs()
					for l.take(100, false) > 0 {
					}
				}
			}
		}
		all.Wait()
		switch pass(10 * time.Second); {
		case round > 8 || c.absent:
			pass(GroupsEvery)
		}
		synctest.Wait()
		quiet++
		for d := range c.all() {
			if c.rest(d) != "" {
				quiet = 0
			}
		}
	}
	if quiet == 0 {
		for d := range c.all() {
			if why := c.rest(d); why != "" {
				c.fault("%s does not come to rest: %s", d.name(), why)
			}
		}
	}
}

// lastWords has every member say something, so that whatever has silently come
// apart shows.
func (c *crowd) lastWords() {
	for d := range c.all() {
		l := d.alive()
		if !d.survives() || l == nil {
			continue
		}
		if r, _, err := l.engine.readGroup(l.ctx, c.id); err == nil && r != nil && !r.Out {
			c.says(d).last = true
		}
	}
}
