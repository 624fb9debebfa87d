package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/memnet"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// scenario is one schedule under way: a relay, a network, and people with
// devices, all in this process and on a synthetic clock.
type scenario struct {
	t      *testing.T
	images *images
	seed   uint64
	rng    *rand.Rand // of the schedule's goroutine
	harsh  harshness
	people []*member
	store  *memstore.Store
	ledger *ledger
	seals  seals
	crowd  *crowd // of a schedule about a group
	actors sync.WaitGroup

	mu     sync.Mutex
	at     *memnet.Listener // nil while the server is down
	stop   func()
	cut    bool       // the network is away
	calm   bool       // nothing goes wrong any more
	fates  *rand.Rand // guarded by mu
	absent bool       // everybody was away for days: sessions may have ended, and repairs are due
	events []string
	faults []string
	began  time.Time
}

// member is one person.
type member struct {
	name    string
	address address.Address
	image   *accountImage
	devices []*device
}

// lines is a log handler's way into the events.
type lines struct {
	s    *scenario
	name string
}

func (l lines) Write(b []byte) (int, error) {
	_, text, _ := strings.Cut(strings.TrimSpace(string(b)), "level=")
	l.s.note("%s logs %s", l.name, text)
	return len(b), nil
}

func (s *scenario) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf("%10.3fs ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// fault notes that an invariant does not hold.
func (s *scenario) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note("FAULT: %s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, text)
}

// must ends the schedule for an error of the harness.
func (s *scenario) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *scenario) isCalm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calm
}

// newScenario draws a cast and lays down its homes.
func newScenario(t *testing.T, img *images, seed uint64) *scenario {
	s := newTheatre(t, img, seed)
	home := t.TempDir()
	for i := range 2 + s.rng.IntN(len(img.people)-1) {
		s.cast(home, i, 1+s.rng.IntN(2))
	}
	return s
}

// newTheatre is a schedule without people.
func newTheatre(t *testing.T, img *images, seed uint64) *scenario {
	s := &scenario{
		t: t, images: img, seed: seed, began: time.Now(),
		rng: rand.New(rand.NewPCG(seed, 0)), fates: rand.New(rand.NewPCG(seed, 1)), store: memstore.New(),
	}
	grade := []float64{0, 0.15, 0.4}
	s.harsh = harshness{
		cut: grade[s.rng.IntN(3)], lost: grade[s.rng.IntN(3)] / 2, repeats: grade[s.rng.IntN(3)] / 2,
	}
	s.ledger = newLedger(s.store, s.harsh, seed)
	s.seals.init()
	return s
}

// cast brings in person i with the first of their devices; the others may join
// later.
func (s *scenario) cast(home string, i, first int) {
	image := &s.images.people[i]
	m := &member{name: image.address.User(), address: image.address, image: image}
	for j := range image.homes {
		d := &device{
			w: s, owner: m, index: j, id: image.homes[j].id, image: &image.homes[j], joined: j < first,
			rng: rand.New(rand.NewPCG(s.seed, uint64(10+10*i+j))), todo: make(chan func(), 1000),
			shown: map[string]int{}, taken: map[string]bool{},
			cfg: Config{Home: filepath.Join(home, fmt.Sprintf("%s%d", m.name, j)), Unlock: Unlock{KeyFile: s.images.keyFile}},
		}
		if d.joined {
			s.must(image.calls[j](s.store))
			d.put(d.image.joined)
		}
		m.devices = append(m.devices, d)
	}
	s.people = append(s.people, m)
}

// serve starts the server on what it has stored.
func (s *scenario) serve() {
	at := memnet.Listen()
	srv, err := server.New(server.Config{
		Stores:   server.Stores{Directory: register{s.store, s.ledger.misfortune, s.crowd}, Mailbox: s.ledger, Wake: s.store},
		Listener: at, Dir: s.images.serverDir, Limits: unlimited, Grace: 2 * time.Second,
	})
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
	s.stop = func() {
		cancel()
		s.must(<-done)
	}
}

// halt stops the server, in order or as a kill does: its connections end
// before it knows.
func (s *scenario) halt(kill bool) {
	s.mu.Lock()
	stop := s.stop
	s.at, s.stop = nil, nil
	s.mu.Unlock()
	if stop == nil {
		return
	}
	s.note("the server stops, killed %v", kill)
	if kill {
		s.drop()
	}
	stop()
}

// drop ends every connection.
func (s *scenario) drop() {
	for d := range s.all() {
		if l := d.alive(); l != nil {
			l.mu.Lock()
			wires := l.wires
			l.wires = nil
			l.mu.Unlock()
			for _, w := range wires {
				w.Close()
			}
		}
	}
}

// all yields every device, also those that have not joined.
func (s *scenario) all() func(func(*device) bool) {
	return func(yield func(*device) bool) {
		for _, m := range s.people {
			for _, d := range m.devices {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// dial connects a device to the server, if both and the network are there.
func (s *scenario) dial(ctx context.Context, d *device) (*wire, error) {
	s.mu.Lock()
	at, f := s.at, fate{out: -1, in: -1}
	if s.cut {
		at = nil
	}
	if !s.calm && d != nil {
		f = s.harsh.fate(s.fates)
	}
	s.mu.Unlock()
	if at == nil {
		return nil, net.ErrClosed
	}
	c, err := at.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return newWire(c, f), nil
}

// present returns the devices that must have a message that from is about to
// send: those of the recipient and the others of its own account that are in the
// lists now, as far as the server has said so.
func (s *scenario) present(from *device, to *member) (out []*device) {
	for _, d := range slices.Concat(to.devices, from.owner.devices) {
		d.mu.Lock()
		if d != from && d.joined && !d.revoked {
			out = append(out, d)
		}
		d.mu.Unlock()
	}
	return out
}

// run runs the schedule.
func (s *scenario) run() {
	s.serve()
	pass(time.Hour) // the images were made in it
	for d := range s.all() {
		s.actors.Go(func() {
			for f := range d.todo {
				f()
			}
		})
		if d.joined {
			d.todo <- d.start
		}
	}
	steps, away := 15+s.rng.IntN(40), -1
	if s.rng.IntN(6) == 0 {
		away = s.rng.IntN(steps)
	}
	for i := range steps {
		if i == away {
			s.leave()
		}
		s.step()
		switch n := s.rng.IntN(20); {
		case n < 8:
		case n < 15:
			pass(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
		case n < 19:
			pass(time.Duration(s.rng.IntN(90)) * time.Second)
		default:
			pass(time.Duration(s.rng.IntN(20)) * time.Minute)
		}
	}
	s.settle()
	s.examine()
	for d := range s.all() {
		d.todo <- d.stop
		close(d.todo)
	}
	s.actors.Wait()
	s.halt(false)
	s.store.Close()
}

// leave is everybody switching everything off for days.
func (s *scenario) leave() {
	var all sync.WaitGroup
	for d := range s.all() {
		all.Add(1)
		d.todo <- func() {
			defer all.Done()
			d.stop()
		}
	}
	all.Wait()
	s.absent = true
	days := 1 + s.rng.IntN(20)
	s.note("everybody is away for %d days", days)
	pass(time.Duration(days) * 24 * time.Hour)
}

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

// some returns a device that has joined.
func (s *scenario) some() *device {
	for {
		m := s.people[s.rng.IntN(len(s.people))]
		d := m.devices[s.rng.IntN(len(m.devices))]
		d.mu.Lock()
		ok := d.joined && !d.revoked
		d.mu.Unlock()
		if ok {
			return d
		}
	}
}

// step does one thing.
func (s *scenario) step() { s.act(s.some(), s.rng.IntN(100)) }

// act does one thing of a hundred.
func (s *scenario) act(d *device, n int) {
	switch {
	case n < 45:
		to := s.people[s.rng.IntN(len(s.people))]
		if to == d.owner {
			return
		}
		o := SendOptions{NoWait: s.rng.IntN(3) > 0, Refresh: s.rng.IntN(10) == 0}
		for range 1 + s.rng.IntN(3)*s.rng.IntN(2) {
			d.todo <- func() { d.start(); d.send(to, nil, o) }
		}
	case n < 52:
		d.todo <- func() { d.start(); d.syncs() }
	case n < 55:
		d.todo <- d.audit
	case n < 57:
		with := s.people[s.rng.IntN(len(s.people))]
		d.todo <- func() { d.looks(with) }
	case n < 62:
		limit, each := 1+s.rng.IntN(10), s.rng.IntN(2) == 0
		d.todo <- func() {
			if l := d.alive(); l != nil {
				l.take(limit, each)
			}
		}
	case n < 65:
		d.todo <- d.stop
	case n < 68:
		if l := d.alive(); l != nil {
			s.note("%s is killed", d.name())
			l.kill()
		}
	case n < 80:
		fuse, saved := 1+s.rng.IntN(6), s.rng.IntN(2) == 0
		d.todo <- func() {
			d.start()
			if l := d.alive(); l != nil {
				l.mu.Lock()
				l.fuse, l.saved = fuse, saved
				l.mu.Unlock()
			}
		}
	case n < 84:
		d.todo <- func() {
			d.start()
			d.mu.Lock()
			var again *sending
			if len(d.sent) > 0 {
				again = d.sent[len(d.sent)-1]
			}
			d.mu.Unlock()
			if again != nil {
				d.send(nil, again, SendOptions{NoWait: true})
			}
		}
	case n < 88:
		s.note("every connection ends")
		s.drop()
	case n < 91:
		s.mu.Lock()
		s.cut = !s.cut
		away := s.cut
		s.mu.Unlock()
		s.note("the network is away: %v", away)
		if away {
			s.drop()
		}
	case n < 94:
		s.halt(s.rng.IntN(2) == 0)
		pass(time.Duration(s.rng.IntN(30)) * time.Second)
		s.serve()
	case n < 97:
		s.link(d.owner)
	default:
		s.revoke(d)
	}
}

// link joins one more device of a person.
func (s *scenario) link(m *member) {
	for _, d := range m.devices {
		d.mu.Lock()
		fresh := !d.joined
		d.mu.Unlock()
		if !fresh {
			continue
		}
		d.put(d.image.spare)
		v, err := vault.OpenVolatile(d.cfg.Home, d.cfg.Unlock.vault(), tables())
		s.must(err)
		cfg := d.cfg
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx, nil) }
		err = m.image.admit(context.Background(), v, cfg)
		v.Close()
		s.note("%s joins: %v", d.name(), err)
		if err != nil {
			return // the network is away; the same keys are used the next time
		}
		d.mu.Lock()
		d.joined = true
		d.mu.Unlock()
		d.todo <- d.start
		return
	}
}

// revoke has a person's first device revoke another one.
func (s *scenario) revoke(d *device) {
	first := d.owner.devices[0]
	if d == first {
		return
	}
	first.todo <- func() {
		first.start()
		l := first.alive()
		if l == nil {
			return
		}
		d.mu.Lock()
		d.revoked = true // or perhaps not: what it does counts for nothing from now on
		d.mu.Unlock()
		ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
		defer cancel()
		_, err := l.engine.RevokeDevice(ctx, d.id.String())
		s.note("%s revokes %s: %v", first.name(), d.name(), err)
	}
}

// settle lets everything that went wrong come right: the server and the network
// are there, every device is at work, and time passes until nothing moves.
func (s *scenario) settle() {
	s.note("from now on nothing goes wrong")
	s.mu.Lock()
	s.calm, s.cut = true, false
	s.mu.Unlock()
	s.ledger.settle()
	patient := s.rng.IntN(2) == 0 // devices that are only switched on and do what they do by themselves
	for d := range s.all() {
		d.todo <- func() {
			if l := d.alive(); l != nil {
				l.mu.Lock()
				l.fuse = 0
				l.mu.Unlock()
			}
		}
	}
	quiet := 0
	for round := 0; round < 100 && quiet < 3; round++ {
		var all sync.WaitGroup
		for d := range s.all() {
			all.Add(1)
			d.todo <- func() {
				defer all.Done()
				d.start()
				l := d.alive()
				if l == nil {
					return
				}
				if patient {
					l.engine.connected(l.ctx)
				} else {
					d.syncs()
				}
				for l.take(100, false) > 0 {
				}
			}
		}
		all.Wait()
		switch pass(10 * time.Second); {
		case s.absent:
			pass(RepairEvery / 2)
		case round > 30:
			pass(time.Minute) // the heartbeat of an outbox that has tried often
		}
		synctest.Wait()
		quiet++
		for d := range s.all() {
			if d.busy() {
				quiet = 0
			}
		}
	}
	if quiet == 0 {
		for d := range s.all() {
			if d.busy() {
				s.fault("%s does not come to rest: %s", d.name(), d.rest())
			}
		}
	}
}
