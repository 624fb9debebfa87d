package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// errCrash is what the store of a process that is being killed says.
var errCrash = errors.New("scenario: the process was killed")

// device is one device of a person: a home, and now and then a process that
// works on it.
type device struct {
	w     *scenario
	owner *member
	index int
	id    address.Device
	cfg   Config
	image *homeImage
	rng   *rand.Rand  // of the device's own goroutine
	todo  chan func() // what it is to do, in order

	mu      sync.Mutex
	joined  bool
	revoked bool // the server may have been told so
	life    *life
	sent    []*sending
	shown   map[string]int  // by text: how often Receive returned it
	taken   map[string]bool // by text: that acknowledging it has succeeded
	claimed []promise       // of what it has, while it was not at work
}

// sending is one text that a device was asked to send.
type sending struct {
	from *device
	to   *member
	text string
	id   string
	told bool // Send returned without an error: it is durable, come what may
	want []*device
}

func (d *device) name() string { return fmt.Sprintf("%s/%d", d.owner.name, d.index) }

// life is one process.
type life struct {
	d      *device
	vault  *vault.Vault
	engine *engine         // nil if it never began
	born   chan struct{}   // closed once that is decided
	ctx    context.Context // ends with the process
	end    context.CancelFunc
	work   sync.WaitGroup
	buried chan struct{} // closed once nothing of it is left
	once   sync.Once

	commits sync.Mutex // held for the length of a transaction
	screen  sync.Mutex // held by who shows messages
	mu      sync.Mutex
	groups  []*groupSeal // in the transaction under way
	dead    bool
	fuse    int  // transactions until it is killed; zero for never
	saved   bool // then: after it is durable, not before
	wires   []*wire
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// kill ends a process at once: nothing of it reaches network or store any more.
func (l *life) kill() {
	l.mu.Lock()
	was := l.dead
	l.dead = true
	wires := l.wires
	l.wires = nil
	l.mu.Unlock()
	if was {
		return
	}
	for _, w := range wires {
		w.Close()
	}
	l.end()
	go l.bury()
}

// bury waits until nothing of a process is left.
func (l *life) bury() {
	l.once.Do(func() {
		<-l.born
		if l.engine != nil {
			l.engine.end()
			l.engine.tasks.Wait()
		}
		l.work.Wait()
		if l.d.w.crowd != nil {
			l.d.w.crowd.harvest(l.d, l.vault)
		}
		l.vault.Close()
		close(l.buried)
	})
}

// commit is the engine's way to its store.
func (l *life) commit(ctx context.Context, v *vault.Vault, fn func(*vault.Tx) error) error {
	l.commits.Lock()
	defer l.commits.Unlock()
	l.mu.Lock()
	dead, last := l.dead, false
	if l.fuse > 0 {
		l.fuse--
		last = l.fuse == 0
	}
	saved := l.saved
	l.mu.Unlock()
	switch {
	case dead:
		return errCrash
	case !last:
		l.groups = nil
		err := v.Update(ctx, fn)
		if err == nil {
			l.sealedForGood()
		}
		return err
	}
	l.d.w.note("%s is killed in a transaction, saved %v", l.d.name(), saved)
	l.groups = nil
	err := v.Update(ctx, func(tx *vault.Tx) error {
		if err := fn(tx); err != nil || saved {
			return err
		}
		return errCrash
	})
	if err == nil {
		l.sealedForGood()
	}
	l.kill()
	return errors.Join(errCrash, err)
}

// dial is the engine's way to the network.
func (l *life) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w, err := l.d.w.dial(ctx, l.d)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		w.Close()
		return nil, net.ErrClosed
	}
	l.wires = append(l.wires, w)
	return w, nil
}

// put lays a home down as it is in an image.
func (d *device) put(image []byte) {
	d.w.must(os.MkdirAll(d.cfg.Home, 0o700))
	d.w.must(os.WriteFile(filepath.Join(d.cfg.Home, "store.db"), image, 0o600))
}

// start begins a process, if there is none. It may be killed while it begins.
func (d *device) start() {
	d.mu.Lock()
	old := d.life
	gone := !d.joined || d.revoked
	d.mu.Unlock()
	if gone {
		return
	}
	if old != nil {
		if !old.isDead() {
			return
		}
		<-old.buried
	}
	v, err := vault.OpenVolatile(d.cfg.Home, d.cfg.Unlock.vault(), tables())
	d.w.must(err)
	l := &life{d: d, vault: v, born: make(chan struct{}), buried: make(chan struct{})}
	l.ctx, l.end = context.WithCancel(context.Background())
	if d.rng.IntN(8) == 0 && !d.w.isCalm() {
		l.fuse, l.saved = 1+d.rng.IntN(3), d.rng.IntN(2) == 0
	}
	cfg := d.cfg
	cfg.Dial = l.dial
	cfg.probe = &probe{commit: l.commit, sealed: d.sealed}
	if d.w.crowd != nil {
		cfg.probe.groupSealed = l.groupSealed
	}
	cfg.Log = d.w.log(d.name())
	self, err := readSelf(v)
	d.w.must(err)
	if d.w.crowd != nil {
		d.w.crowd.meet(d, self.own.Party)
	}
	d.w.must(v.View(l.ctx, d.keepsPromises))
	l.engine, err = newEngine(v, self, cfg)
	close(l.born)
	d.mu.Lock()
	d.life = l
	d.mu.Unlock()
	if err != nil {
		if !l.isDead() {
			d.w.fault("%s does not open: %v", d.name(), err)
		}
		l.kill()
		return
	}
	d.w.note("%s starts", d.name())
	if d.rng.IntN(3) > 0 {
		seed := rand.NewPCG(d.rng.Uint64(), 1)
		l.work.Go(func() { l.follow(rand.New(seed)) })
	}
}

// alive returns the process that is at work, or nil.
func (d *device) alive() *life {
	d.mu.Lock()
	l := d.life
	d.mu.Unlock()
	if l == nil || l.isDead() {
		return nil
	}
	return l
}

// stop ends the process in order.
func (d *device) stop() {
	l := d.alive()
	if l == nil {
		return
	}
	d.w.note("%s stops", d.name())
	l.end()
	l.work.Wait()
	err := l.engine.close()
	if err != nil && !l.isDead() {
		d.w.fault("%s does not close: %v", d.name(), err)
	}
	l.kill()
	<-l.buried
}

// sealed keeps under which key a message was sealed.
func (d *device) sealed(k peerKey, plaintext []byte, s session.Sealed) {
	c, err := content.Decode(plaintext)
	if err != nil {
		d.w.fault("%s seals what does not decode: %v", d.name(), err)
	}
	d.w.seals.note(seal{d.id, s.Session, s.At}, hashMessage(s.Message), k.device, c.ID.String())
	if d.w.crowd != nil {
		d.w.crowd.signalled(d, k, c, s)
	}
}

// follow takes messages as they come, as a person who looks at the screen.
func (l *life) follow(r *rand.Rand) {
	for l.ctx.Err() == nil {
		if err := l.engine.Wait(l.ctx, ""); err != nil {
			l.pause(time.Second)
			continue
		}
		l.pause(time.Duration(r.IntN(2000)) * time.Millisecond)
		l.take(1+r.IntN(5), r.IntN(2) == 0)
	}
}

func (l *life) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
	}
}

// take shows what waits, and acknowledges it message by message or at once. It
// returns how many were shown.
func (l *life) take(limit int, each bool) int {
	l.screen.Lock()
	defer l.screen.Unlock()
	got, err := l.engine.Receive(l.ctx, "", limit)
	if err != nil {
		return 0
	}
	var ids, texts []string
	ack := func() bool {
		if err := l.engine.Ack(l.ctx, "", ids...); err != nil {
			if !l.isDead() && l.ctx.Err() == nil {
				l.d.w.fault("%s cannot acknowledge: %v", l.d.name(), err)
			}
			return false
		}
		l.d.acked(texts)
		ids, texts = nil, nil
		return true
	}
	for _, m := range got {
		text := l.d.show(m)
		ids, texts = append(ids, m.ID), append(texts, text)
		if each && !ack() {
			return 0
		}
	}
	if len(ids) > 0 {
		ack()
	}
	return len(got)
}

// show is a person looking at a message.
func (d *device) show(m Message) (text string) {
	switch m.Kind {
	case KindText:
		text = m.Text
	case KindUndecryptable:
		// After a long absence the other side may have ended a session that has
		// just come to life here; what is lost by that is sent again.
		if !d.w.absent || m.Cause != CauseNoSession && m.Cause != CauseTooOld {
			d.w.fault("%s cannot open a message from %s: %s", d.name(), m.From, m.Cause)
		}
		return ""
	case KindNotice:
		d.w.note("%s is told: %s %s", d.name(), m.Notice, m.From)
		switch m.Notice {
		case NoticeListForked, NoticeListRolledBack, NoticeIdentityChanged, NoticeAccountRecovered, NoticeRelinked,
			NoticeGroupForked, NoticeGroupRollback:
			d.w.fault("%s is alarmed without a reason: %s", d.name(), m.Notice)
		}
		return ""
	default:
		d.w.fault("%s shows a message of kind %s", d.name(), m.Kind)
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown[text]++
	if d.taken[text] {
		d.w.fault("%s shows %q again though it was acknowledged", d.name(), text)
	}
	return text
}

func (d *device) acked(texts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range texts {
		if t != "" {
			d.taken[t] = true
		}
	}
}

// send asks for a text to be sent, once, or again as a person does whose
// program was killed.
func (d *device) send(to *member, s *sending, o SendOptions) {
	l := d.alive()
	if l == nil {
		return
	}
	if s == nil {
		s = &sending{from: d, to: to, id: content.NewID().String(), want: d.w.present(d, to)}
		d.mu.Lock()
		s.text = fmt.Sprintf("%s %d", d.name(), len(d.sent))
		d.sent = append(d.sent, s)
		d.mu.Unlock()
	}
	o.ID = s.id
	ctx, cancel := context.WithTimeout(l.ctx, 40*time.Second)
	defer cancel()
	_, err := l.engine.Send(ctx, s.to.address.String(), s.text, o)
	d.w.note("%s sends %q to %s: %v", d.name(), s.text, s.to.name, err)
	switch {
	case l.isDead():
		return // the outcome is in the store
	case err == nil, errors.Is(err, ErrUnreachable):
		s.told = true
	case ctx.Err() != nil, errors.Is(err, ErrRevoked), errors.Is(err, errClosed):
	default:
		d.w.fault("%s cannot send: %v", d.name(), err)
	}
}

// looks is a person leafing through a conversation: what it shows counts as
// read.
func (d *device) looks(with *member) {
	l := d.alive()
	if l == nil {
		return
	}
	all, err := l.everything()
	if err != nil {
		return
	}
	d.mu.Lock()
	for _, m := range all {
		if m.Direction == In && m.Kind == KindText && m.From == with.address.String() {
			d.shown[m.Text]++
		}
	}
	d.mu.Unlock()
	_, err = l.engine.History(l.ctx, historyQuery{With: with.address.String(), Limit: 20})
	d.w.note("%s looks at the conversation with %s: %v", d.name(), with.name, err)
}

// audit holds what a device says against what is so.
func (d *device) audit() {
	if l := d.alive(); l != nil {
		if all, err := l.everything(); err == nil {
			d.w.claims(d, all)
		}
	}
}

// syncs catches up.
func (d *device) syncs() {
	if l := d.alive(); l != nil {
		ctx, cancel := context.WithTimeout(l.ctx, 40*time.Second)
		defer cancel()
		err := l.engine.Sync(ctx)
		d.w.note("%s syncs: %v", d.name(), err)
	}
}

func (s *scenario) log(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(lines{s, name}, nil))
}
