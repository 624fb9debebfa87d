package lab

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/session"
)

// journal writes the trace of a run while it goes on (R-LAB-24). A nil journal
// writes nothing, so that a run nobody records pays a comparison.
type journal struct {
	to      io.Writer
	sum     hash.Hash
	written int64
	count   uint64
	blobs   map[[32]byte]uint64
	devices map[peer]uint64
	err     error // the first one; nothing is written after it
}

func newJournal(to io.Writer) *journal {
	j := &journal{to: to, sum: sha256.New(), blobs: map[[32]byte]uint64{}, devices: map[peer]uint64{}}
	j.raw([]byte(traceMagic))
	return j
}

func (j *journal) raw(b []byte) {
	if j.err != nil {
		return
	}
	if j.written += int64(len(b)); j.written > MaxTrace {
		j.err = fmt.Errorf("%w: its trace would be longer than %d bytes", ErrScenario, MaxTrace)
		return
	}
	j.sum.Write(b)
	_, j.err = j.to.Write(b)
}

// put appends an item: its length in four bytes, and its encoding.
func (j *journal) put(item any) {
	b := codec.Marshal(item)
	if len(b) > MaxItem && j.err == nil {
		j.err = fmt.Errorf("%w: an item of its trace would be longer than %d bytes", ErrScenario, MaxItem)
	}
	j.count++
	j.raw(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// blob appends bytes once and returns their number.
func (j *journal) blob(b []byte) uint64 {
	h := sha256.Sum256(b)
	n, ok := j.blobs[h]
	if !ok {
		n = uint64(len(j.blobs))
		j.blobs[h] = n
		j.put(blobItem{Kind: kindBlob, Bytes: b})
	}
	return n
}

func (j *journal) all(list [][]byte) []uint64 {
	out := make([]uint64, len(list))
	for i, b := range list {
		out[i] = j.blob(b)
	}
	return out
}

// who is the number of a device.
func (j *journal) who(p peer) uint64 {
	n, ok := j.devices[p]
	if !ok && j.err == nil {
		j.err = fmt.Errorf("%w: a trace names a device that nobody made", ErrFault)
	}
	return n
}

// since is a moment as traces have it: seconds from the beginning of the run.
func since(t time.Time) uint64 { return uint64(t.Sub(began) / time.Second) }

// begin writes what is played.
func (j *journal) begin(s *Scenario, seed uint64) {
	if j == nil {
		return
	}
	text, err := s.encode()
	if err != nil {
		j.err = err
		return
	}
	j.put(headerItem{Kind: kindHeader, Version: traceVersion, Scenario: string(text), Seed: seed})
}

func (j *journal) device(d *device) {
	if j == nil {
		return
	}
	j.devices[d.peer()] = uint64(len(j.devices))
	identity := d.own.Identity.Array()
	j.put(deviceItem{Kind: kindDevice, Name: d.name, Account: d.own.Account, Address: d.own.Address, Device: d.own.Device, Identity: identity[:], Stand: d.person.false})
}

func (j *journal) step(n int, now time.Time) {
	if j != nil {
		j.put(stepItem{Kind: kindStep, Number: uint64(n), At: since(now)})
	}
}

func (j *journal) message(number int, from *device, to string, now time.Time) {
	if j != nil {
		j.put(messageItem{Kind: kindMessage, Number: uint64(number), From: j.who(from.peer()), To: to, At: since(now)})
	}
}

func (j *journal) letter(l *letter) {
	if j == nil {
		return
	}
	i := letterItem{
		Kind: kindLetter, Message: uint64(l.message), From: j.who(l.from), To: j.who(l.to), At: since(l.at), Session: l.session[:], Initial: l.initial, Body: l.body,
		AD: l.ad[:], Text: l.text, Seed: l.seed[:], Number: uint64(l.number), Chain: l.chain, Farewell: l.farewell, Thief: l.injected,
	}
	if l.said != nil {
		i.Said = []chainEntry{chainEntryOf(&l.said.key)}
	}
	if l.discloses != nil {
		i.Closed = j.peers(l.closed)
	}
	j.put(i)
}

// read says that a device has opened a letter, and committed that.
func (j *journal) read(l *letter) {
	if j != nil {
		j.put(readItem{Kind: kindRead, Letter: uint64(l.index)})
	}
}

// refused says that a device did not take a letter, or did not send a message.
func (j *journal) refused(d *device, why string) {
	if j != nil {
		j.put(refusedItem{Kind: kindRefused, By: j.who(d.peer()), Why: why})
	}
}

func (j *journal) crash(d *device, when string) {
	if j != nil {
		j.put(crashItem{Kind: kindCrash, Of: j.who(d.peer()), When: when})
	}
}

func (j *journal) theft(l *loot) {
	if j != nil {
		d := j.disk(&l.disk)
		j.put(theftItem{Kind: kindTheft, Name: l.name, Of: j.who(l.self), Victim: l.victim, Disk: d})
	}
}

// later says that a thief went on to another state of a session.
func (j *journal) later(theft int, k kin) {
	if j != nil {
		head, skipped := j.blob(k.Head()), j.blob(k.Skipped())
		j.put(laterItem{Kind: kindLater, Theft: uint64(theft), Session: sessionEntry{Peer: j.who(k.peer), Head: head, Skipped: skipped}})
	}
}

// disk writes what a device keeps, in an order of its own.
func (j *journal) disk(d *disk) diskEntry {
	e := diskEntry{Sign: d.sign, Identity: d.identity[:], Replay: j.blob(d.replay)}
	for _, r := range slices.SortedFunc(maps.Keys(d.prekeys), compareRows) {
		e.Prekeys = append(e.Prekeys, j.blob(d.prekeys[r].record))
	}
	for _, p := range slices.SortedFunc(maps.Keys(d.sessions), comparePeers) {
		ids := slices.SortedFunc(maps.Keys(d.sessions[p]), func(a, b session.ID) int { return slices.Compare(a[:], b[:]) })
		for _, id := range ids {
			s := d.sessions[p][id]
			e.Sessions = append(e.Sessions, sessionEntry{Peer: j.who(p), Head: j.blob(s.head), Skipped: j.blob(s.skipped)})
		}
	}
	for _, a := range slices.Sorted(maps.Keys(d.lists)) {
		e.Lists = append(e.Lists, listEntry{Address: a, Entries: j.all(d.lists[a])})
	}
	for _, g := range slices.SortedFunc(maps.Keys(d.shelves), func(a, b groups.ID) int { return bytes.Compare(a[:], b[:]) }) {
		e.Groups = append(e.Groups, j.shelf(d.shelves[g]))
	}
	j.fits(len(e.Prekeys), len(e.Sessions), len(e.Lists), len(e.Groups))
	return e
}

// graph writes which value is made from which.
func (j *journal) graph(g *graph) {
	names := make([]name, len(g.names))
	for n, id := range g.names {
		names[id] = n
	}
	for _, n := range names {
		j.put(valueItem{Kind: kindValue, Role: uint64(n.role), Of: n.of[:], N: n.n})
	}
	for i, head := range g.heads {
		body := make([]uint64, len(g.body[i]))
		for k, b := range g.body[i] {
			body[k] = uint64(b)
		}
		j.put(ruleItem{Kind: kindRule, Head: uint64(head), Body: body})
	}
}

// state writes how the run ended.
func (j *journal) state(w *world) {
	if j == nil {
		return
	}
	for _, d := range w.devices {
		e := j.disk(&d.disk)
		j.put(finalItem{Kind: kindFinal, Of: j.who(d.peer()), Disk: e, SetBack: d.setBack, Doubts: slices.Sorted(maps.Keys(d.doubts))})
	}
	j.shown(w)
	j.logs(w)
	j.quantum(w)
	j.graph(w.trace.graph)
	c := &w.counts
	o := outcomeItem{
		Kind: kindOutcome, At: since(w.now), Opened: uint64(c.opened), Unsent: uint64(c.unsent), Injected: uint64(c.injected), Accepted: uint64(c.accepted), Agreed: uint64(w.trace.agreed), Found: uint64(c.found),
	}
	for _, why := range slices.Sorted(maps.Keys(c.refused)) {
		o.Refused = append(o.Refused, refusals{Why: why, Count: uint64(c.refused[why])})
	}
	j.put(o)
}

// quantum writes which thieves know every X25519 private key, and those keys.
func (j *journal) quantum(w *world) {
	some := false
	for i, l := range w.loots {
		if l.quantum {
			some = true
			j.put(quantumItem{Kind: kindQuantum, Theft: uint64(i)})
		}
	}
	if !some {
		return
	}
	for _, public := range slices.SortedFunc(maps.Keys(w.trace.privates), func(a, b key) int { return bytes.Compare(a[:], b[:]) }) {
		private := w.trace.privates[public]
		j.put(ratchetItem{Kind: kindRatchet, Public: public[:], Private: private[:]})
	}
	for _, p := range slices.SortedFunc(maps.Keys(w.trace.curve), comparePeers) {
		for _, r := range slices.SortedFunc(maps.Keys(w.trace.curve[p]), compareRows) {
			n := j.blob(w.trace.curve[p][r].record)
			j.put(prekeyItem{Kind: kindPrekey, Of: j.who(p), Record: n})
		}
	}
}

// shown writes the device lists that the relay shows to everybody, and to whom
// it shows others.
func (j *journal) shown(w *world) {
	addresses := slices.Sorted(maps.Keys(w.relay.directory))
	for _, of := range addresses {
		everybody := w.relay.account(&device{person: &person{}}, of)
		j.put(shownItem{Kind: kindShown, List: listEntry{Address: of, Entries: j.all(everybody)}})
		for _, by := range addresses {
			d := &device{person: &person{}}
			d.own.Address = by
			if other := w.relay.account(d, of); !slices.EqualFunc(other, everybody, bytes.Equal) {
				j.put(shownItem{Kind: kindShown, By: by, List: listEntry{Address: of, Entries: j.all(other)}})
			}
		}
	}
}

// end writes what was found.
func (j *journal) end(r *Report) error {
	for i := range r.Verdicts {
		j.put(verdictItemOf(&r.Verdicts[i]))
	}
	j.put(endItem{Kind: kindEnd, Count: j.count, Sum: j.sum.Sum(nil)})
	return j.err
}

// compareRows is an order of prekeys.
func compareRows(a, b row) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}
