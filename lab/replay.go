package lab

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/x3dh"
)

var (
	// ErrTrace: bytes that are not a whole trace, or one that was changed.
	ErrTrace = errors.New("lab: not a trace")
	// ErrJudgement: judged again, a trace shows something else than it says.
	ErrJudgement = errors.New("lab: judged again, the trace shows another verdict than it tells")
)

// IsTrace reports whether a file that begins with b is meant to be a trace.
func IsTrace(b []byte) bool {
	return len(b) >= len(traceMagic) && string(b[:len(traceMagic)]) == traceMagic
}

// Replay reads a trace and lets both judges look at it again, on the bytes that
// it carries: no world is played (R-LAB-25). With ErrJudgement there is a report
// too, of what was found now.
func Replay(ctx context.Context, from io.Reader) (*Report, error) {
	p := &replayed{in: bufio.NewReaderSize(from, 64<<10), sum: sha256.New(), world: newWorld(0, nil), theirs: map[peer]int{}}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	r, err := p.world.report(ctx, p.scenario, p.seed)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: it cannot be judged: %w", ErrTrace, err)
		}
		return nil, err
	}
	same := len(p.verdicts) == len(r.Verdicts)
	for i := 0; same && i < len(r.Verdicts); i++ {
		now := verdictItemOf(&r.Verdicts[i])
		same = slices.Equal(codec.Marshal(now), p.verdicts[i])
	}
	if !same {
		return r, ErrJudgement
	}
	return r, nil
}

// replayed is a trace on its way back into what judges look at.
type replayed struct {
	in       *bufio.Reader
	sum      hash.Hash
	length   int64
	items    uint64
	done     bool
	world    *world
	scenario *Scenario
	seed     uint64
	steps    int
	now      uint64
	blobs    [][]byte
	theirs   map[peer]int // number of a device
	values   []name
	final    int
	ended    bool // the outcome has come
	verdicts [][]byte
}

// wrong is a refusal of the item just read.
func (p *replayed) wrong(what string) error {
	return fmt.Errorf("%w: item %d: %s", ErrTrace, p.items, what)
}

func (p *replayed) read(ctx context.Context) error {
	magic := make([]byte, len(traceMagic))
	if err := p.bytes(magic); err != nil || !IsTrace(magic) {
		return fmt.Errorf("%w: it does not begin like one", ErrTrace)
	}
	for !p.done {
		if p.items%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var length [4]byte
		sum := p.sum.Sum(nil)
		if err := p.bytes(length[:]); err != nil {
			return p.cut(err)
		}
		n := binary.BigEndian.Uint32(length[:])
		if n < 2 || n > MaxItem {
			return p.wrong("its length is out of range")
		}
		b := make([]byte, n)
		if err := p.bytes(b); err != nil {
			return p.cut(err)
		}
		if err := p.item(b, sum); err != nil {
			return err
		}
		p.items++
	}
	if _, err := p.in.ReadByte(); err != io.EOF {
		return p.wrong("something comes after the end")
	}
	return p.whole()
}

// cut is the end of the file before the end of the trace, or a failure to read.
func (p *replayed) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrTrace) {
		return p.wrong("it is cut off there, or too long")
	}
	return err
}

func (p *replayed) bytes(b []byte) error {
	if p.length += int64(len(b)); p.length > MaxTrace {
		return ErrTrace
	}
	_, err := io.ReadFull(p.in, b)
	p.sum.Write(b)
	return err
}

// item takes one item. sum is the hash of what came before it.
func (p *replayed) item(b, sum []byte) error {
	kind := uint64(b[1])
	if b[0]>>5 != 4 || kind > kindEnd {
		return p.wrong("there is no such item")
	}
	if (p.items == 0) != (kind == kindHeader) {
		return p.wrong("the header comes first and once")
	}
	if p.ended && kind != kindVerdict && kind != kindEnd {
		return p.wrong("only verdicts come after the outcome")
	}
	take := func(v any) error {
		if codec.Unmarshal(b, MaxItem, v) != nil {
			return p.wrong("it is malformed")
		}
		return nil
	}
	var err error
	switch kind {
	case kindHeader:
		var i headerItem
		if err = take(&i); err == nil {
			err = p.header(&i)
		}
	case kindDevice:
		var i deviceItem
		if err = take(&i); err == nil {
			err = p.device(&i)
		}
	case kindBlob:
		var i blobItem
		if err = take(&i); err == nil {
			p.blobs = append(p.blobs, i.Bytes)
		}
	case kindStep:
		var i stepItem
		if err = take(&i); err == nil {
			p.steps++
			if i.Number != uint64(p.steps) || p.steps > len(p.scenario.Steps) {
				return p.wrong("a step that the scenario does not have there")
			}
			_, err = p.at(i.At)
		}
	case kindMessage:
		var i messageItem
		if err = take(&i); err == nil {
			err = p.message(&i)
		}
	case kindLetter:
		var i letterItem
		if err = take(&i); err == nil {
			err = p.letter(&i)
		}
	case kindRead:
		var i readItem
		if err = take(&i); err == nil {
			err = p.opened(&i)
		}
	case kindRefused:
		var i refusedItem
		if err = take(&i); err == nil {
			_, err = p.who(i.By)
			p.world.counts.refused[i.Why]++
		}
	case kindCrash:
		var i crashItem
		if err = take(&i); err == nil {
			_, err = p.who(i.Of)
			if i.When != crashBefore && i.When != crashAfter {
				return p.wrong("a crash is before or after")
			}
		}
	case kindTheft:
		var i theftItem
		if err = take(&i); err == nil {
			err = p.theft(&i)
		}
	case kindLater:
		var i laterItem
		if err = take(&i); err == nil {
			err = p.later(&i)
		}
	case kindFinal:
		var i finalItem
		if err = take(&i); err == nil {
			err = p.last(&i)
		}
	case kindShown:
		var i shownItem
		if err = take(&i); err == nil {
			err = p.shown(&i)
		}
	case kindValue:
		var i valueItem
		if err = take(&i); err == nil {
			err = p.value(&i)
		}
	case kindRule:
		var i ruleItem
		if err = take(&i); err == nil {
			err = p.rule(&i)
		}
	case kindOutcome:
		var i outcomeItem
		if err = take(&i); err == nil {
			err = p.outcome(&i)
		}
	case kindVerdict:
		var i verdictItem
		if err = take(&i); err == nil {
			p.verdicts = append(p.verdicts, b)
		}
	case kindEnd:
		var i endItem
		if err = take(&i); err == nil {
			if i.Count != p.items || !slices.Equal(i.Sum, sum) {
				return p.wrong("the hash of what came before is another: it was changed")
			}
			p.done = true
		}
	}
	return err
}

// whole checks what only the end shows.
func (p *replayed) whole() error {
	switch {
	case !p.ended:
		return p.wrong("it has no outcome")
	case p.final != len(p.world.devices):
		return p.wrong("not every device has a last state")
	case len(p.verdicts) != len(p.world.loots):
		return p.wrong("not every theft has a verdict")
	}
	return nil
}

func (p *replayed) header(i *headerItem) error {
	if i.Version != traceVersion {
		return p.wrong("it is of a version that this pawl does not read")
	}
	s, err := Parse([]byte(i.Scenario))
	if err != nil {
		return fmt.Errorf("%w: its scenario: %w", ErrTrace, err)
	}
	again, err := s.encode()
	if err != nil || string(again) != i.Scenario {
		return p.wrong("its scenario is not written as scenarios in traces are")
	}
	p.scenario, p.seed = s, i.Seed
	return nil
}

// at is a moment of the run; none is before the last.
func (p *replayed) at(seconds uint64) (time.Time, error) {
	// What people write takes time too (R-LAB-12).
	if seconds < p.now || seconds > uint64((2*MaxHours*time.Hour)/time.Second) {
		return time.Time{}, p.wrong("its time is out of range")
	}
	p.now = seconds
	p.world.now = began.Add(time.Duration(seconds) * time.Second)
	return p.world.now, nil
}

func (p *replayed) who(n uint64) (*device, error) {
	if n >= uint64(len(p.world.devices)) {
		return nil, p.wrong("there is no such device")
	}
	return p.world.devices[n], nil
}

func (p *replayed) blob(n uint64) ([]byte, error) {
	if n >= uint64(len(p.blobs)) {
		return nil, p.wrong("there is no such blob")
	}
	return p.blobs[n], nil
}

func (p *replayed) device(i *deviceItem) error {
	identity, err := dh.ParsePublic(i.Identity)
	_, bad := address.Parse(i.Address)
	if err != nil || bad != nil || len(i.Account) != ed25519.PublicKeySize || i.Device == 0 || i.Name == "" {
		return p.wrong("it is not a device")
	}
	d := &device{name: i.Name, wrote: map[string]bool{}, own: x3dh.Own{Party: x3dh.Party{Account: i.Account, Address: i.Address, Device: i.Device, Identity: identity}}}
	if _, again := p.theirs[d.peer()]; again || len(p.theirs) >= MaxPeople*devicelist.MaxDevices+MaxThefts {
		return p.wrong("a device again, or one too many")
	}
	p.theirs[d.peer()] = len(p.world.devices)
	p.world.devices = append(p.world.devices, d)
	return nil
}

func (p *replayed) message(i *messageItem) error {
	from, err := p.who(i.From)
	if err != nil {
		return err
	}
	at, err := p.at(i.At)
	if err != nil {
		return err
	}
	w := p.world
	if w.sent++; i.Number != uint64(w.sent) || w.sent > MaxMessages {
		return p.wrong("messages are numbered from 1 on")
	}
	w.written[w.sent] = &text{from: from.name, to: i.To, at: at}
	return nil
}

func (p *replayed) letter(i *letterItem) error {
	from, err := p.who(i.From)
	if err != nil {
		return err
	}
	to, err := p.who(i.To)
	if err != nil {
		return err
	}
	at, err := p.at(i.At)
	if err != nil {
		return err
	}
	w := p.world
	if len(i.Session) != 32 || len(i.AD) != 32 || len(i.Seed) != 32 || i.Message > uint64(w.sent) || i.Number > 1<<32-1 || i.Thief && i.Message > 0 {
		return p.wrong("it is not a letter")
	}
	l := &letter{
		index: len(w.letters), message: int(i.Message), from: from.peer(), to: to.peer(), session: session.ID(i.Session), body: i.Body, ad: [32]byte(i.AD), at: at,
		text: i.Text, seed: key(i.Seed), number: uint32(i.Number), chain: i.Chain, farewell: i.Farewell, injected: i.Thief,
	}
	if len(i.Initial) > 0 {
		l.initial = i.Initial
	}
	w.letters = append(w.letters, l)
	return nil
}

func (p *replayed) opened(i *readItem) error {
	w := p.world
	if i.Letter >= uint64(len(w.letters)) {
		return p.wrong("there is no such letter")
	}
	l := w.letters[i.Letter]
	w.events++
	if !l.opened {
		l.opened, l.readAt = true, w.events
	}
	if l.injected {
		w.counts.accepted++
	}
	w.counts.opened++
	return nil
}

// disk reads what a device keeps.
func (p *replayed) disk(of *device, e *diskEntry) (disk, error) {
	if len(e.Sign) != ed25519.PrivateKeySize || len(e.Identity) != dh.Size {
		return disk{}, p.wrong("its keys have another size")
	}
	d := newDisk(of.own.Party, e.Sign)
	d.identity = [32]byte(e.Identity)
	identity := dh.FromBytes(d.identity)
	if identity.Public().Array() != of.own.Identity.Array() {
		return disk{}, p.wrong("its identity key is not the device's")
	}
	for _, n := range e.Prekeys {
		b, err := p.blob(n)
		if err != nil {
			return d, err
		}
		k, err := prekeys.ParsePrivate(b)
		if err != nil {
			return d, p.wrong("it has something that is not a prekey")
		}
		info := k.Info()
		d.prekeys[row{info.Kind, info.ID}] = kept{info, b}
	}
	for i := range e.Sessions {
		k, head, skipped, err := p.session(&e.Sessions[i])
		if err != nil {
			return d, err
		}
		if d.sessions[k.peer] == nil {
			d.sessions[k.peer] = map[session.ID]stored{}
		}
		d.sessions[k.peer][k.ID] = stored{head, skipped}
	}
	replay, err := p.blob(e.Replay)
	if err != nil {
		return d, err
	}
	if _, err := x3dh.ParseReplayTable(replay); err != nil {
		return d, p.wrong("its replay table is none")
	}
	d.replay = replay
	for i := range e.Lists {
		if d.lists[e.Lists[i].Address], err = p.list(&e.Lists[i]); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (p *replayed) session(e *sessionEntry) (k kin, head, skipped []byte, err error) {
	with, err := p.who(e.Peer)
	if err == nil {
		head, err = p.blob(e.Head)
	}
	if err == nil {
		skipped, err = p.blob(e.Skipped)
	}
	if err != nil {
		return k, nil, nil, err
	}
	s, err := session.Parse(head, skipped)
	if err != nil {
		return k, nil, nil, p.wrong("it has something that is not a session")
	}
	return kin{with.peer(), s}, head, skipped, nil
}

func (p *replayed) list(e *listEntry) (entries [][]byte, err error) {
	for _, n := range e.Entries {
		b, err := p.blob(n)
		if err != nil {
			return nil, err
		}
		entries = append(entries, b)
	}
	return entries, nil
}

func (p *replayed) theft(i *theftItem) error {
	of, err := p.who(i.Of)
	if err != nil {
		return err
	}
	d, err := p.disk(of, &i.Disk)
	if err != nil {
		return err
	}
	w := p.world
	for _, l := range w.loots {
		if l.name == i.Name {
			return p.wrong("a theft again")
		}
	}
	if len(w.loots) == MaxThefts {
		return p.wrong("a theft too many")
	}
	of.disk = d
	w.compromise(of, i.Name).victim = i.Victim
	return nil
}

func (p *replayed) later(i *laterItem) error {
	if i.Theft >= uint64(len(p.world.loots)) {
		return p.wrong("there is no such theft")
	}
	k, _, _, err := p.session(&i.Session)
	if err == nil {
		l := p.world.loots[i.Theft]
		l.later = append(l.later, k)
	}
	return err
}

func (p *replayed) last(i *finalItem) error {
	of, err := p.who(i.Of)
	if err != nil {
		return err
	}
	if i.Of != uint64(p.final) {
		return p.wrong("last states come in the order of the devices")
	}
	p.final++
	if of.disk, err = p.disk(of, &i.Disk); err != nil {
		return err
	}
	of.own.IdentityKey = x3dh.PrivateKeyFromBytes(of.disk.identity)
	return of.restart()
}

func (p *replayed) shown(i *shownItem) error {
	entries, err := p.list(&i.List)
	if err == nil {
		p.world.relay.directory[i.List.Address] = &person{entries: entries}
	}
	return err
}

func (p *replayed) value(i *valueItem) error {
	if i.Role > uint64(content) || len(i.Of) != len(key{}) {
		return p.wrong("there is no such value")
	}
	n := name{role: role(i.Role), of: key(i.Of), n: i.N}
	if p.world.trace.node(n) != int32(len(p.values)) {
		return p.wrong("a value again")
	}
	p.values = append(p.values, n)
	return nil
}

// rule reads a rule of the graph. No value follows from nothing.
func (p *replayed) rule(i *ruleItem) error {
	body := make([]name, 0, len(i.Body))
	for _, n := range append(slices.Clone(i.Body), i.Head) {
		if n >= uint64(len(p.values)) {
			return p.wrong("there is no such value")
		}
		body = append(body, p.values[n])
	}
	if len(i.Body) == 0 || len(i.Body) > MaxPremises {
		return p.wrong("it is not a rule")
	}
	p.world.trace.rule(body[len(body)-1], body[:len(body)-1]...)
	return nil
}

func (p *replayed) outcome(i *outcomeItem) error {
	if _, err := p.at(i.At); err != nil {
		return err
	}
	c := &p.world.counts
	refused := map[string]int{}
	for _, r := range i.Refused {
		refused[r.Why] = int(min(r.Count, 1<<40))
	}
	if i.Opened != uint64(c.opened) || i.Accepted != uint64(c.accepted) || len(refused) != len(c.refused) {
		return p.wrong("it counts otherwise than the items before")
	}
	for why, n := range c.refused {
		if refused[why] != n {
			return p.wrong("it counts otherwise than the items before")
		}
	}
	c.unsent, c.injected = int(min(i.Unsent, 1<<40)), int(min(i.Injected, 1<<40))
	p.world.trace.agreed = int(min(i.Agreed, 1<<40))
	p.ended = true
	return nil
}
