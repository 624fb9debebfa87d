package sqlitestore

import (
	"fmt"
	"runtime"
	"time"

	"github.com/pawl-chat/pawl/server"
)

// Bounds of the writer.
const (
	queueLength   = 4096            // requests that wait
	batchRequests = 512             // requests in one commit
	batchBytes    = 1 << 20         // their bodies together
	walPages      = 4000            // log length that asks for a checkpoint
	checkEvery    = 16              // commits between looks at the log
	idleAfter     = 2 * time.Second // quiet time before the log is emptied
	reserveAhead  = 4096            // seqs set aside at once
	restoredJump  = int64(1) << 40  // how far seqs jump after a restore
	maxBoxes      = 1 << 16         // mailboxes whose fill is kept in memory
)

// writer owns the writing connection. Everything here but queue and done
// belongs to its goroutine.
type writer struct {
	queue chan job
	done  chan struct{}

	c     *conn
	hub   *server.Hub
	fatal func(error)
	// sync is COMMIT, the only step that makes a batch durable.
	sync   func() error
	broken error // set once a flush failed

	seq, reserved int64 // last Seq given out; Seqs set aside on disk
	lastDevice    int64
	boxes         map[server.Device]*box
	byNum         map[int64]*box

	batch   []job
	hints   []server.Hint
	commits int
	dirty   bool // the log holds something
	idle    *time.Timer

	begin, commit, rollback                                     *stmt
	reserve, meta, generation                                   *stmt
	findDevice, addDevice, load                                 *stmt
	insert, seqOf, ack, due, delete, remove, deleteAll          *stmt
	account, hasAccount, addAccount, setAccount                 *stmt
	invite, useInvite, putInvite, dropInvites                   *stmt
	addUpload, trimUploads, dropOneTime, addOneTime, take, void *stmt
	epoch, setEpoch, dropEpoch, voidEpochs                      *stmt
	group, groupView, groupEntry, addGroup, setGroup            *stmt
	addGroupEntry, addGroupEpoch, endGroupEpoch                 *stmt
	ckptNoop, ckptPassive, ckptTruncate                         *stmt
}

// box is what the writer keeps in memory of one mailbox. The file always holds
// the truth; a box can be forgotten at any time.
type box struct {
	num     int64
	removed bool
	loaded  bool
	count   int
	bytes   int64 // exact, or above the truth if slack
	slack   bool
}

func newWriter(path string, hub *server.Hub, fatal func(error)) (_ *writer, err error) {
	c, err := connect(path, writerSettings)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err = inspect(c, path); err != nil {
		return nil, err
	}
	w := &writer{
		queue: make(chan job, queueLength), done: make(chan struct{}),
		c: c, hub: hub, fatal: fatal,
		boxes: make(map[server.Device]*box), byNum: make(map[int64]*box),
		idle: time.NewTimer(idleAfter),
	}
	for _, p := range []struct {
		to      **stmt
		sql     string
		columns int
	}{
		{&w.begin, sqlBegin, 0}, {&w.commit, sqlCommit, 0}, {&w.rollback, sqlRollback, 0},
		{&w.reserve, sqlReserve, 0}, {&w.meta, sqlMeta, 1}, {&w.generation, sqlGeneration, 0},
		{&w.findDevice, sqlFindDevice, 2}, {&w.addDevice, sqlAddDevice, 0}, {&w.load, sqlLoad, 2},
		{&w.insert, sqlAppend, 0}, {&w.seqOf, sqlSeqOf, 1}, {&w.ack, sqlAck, 0}, {&w.due, sqlDue, 4},
		{&w.delete, sqlDelete, 0}, {&w.remove, sqlRemove, 0}, {&w.deleteAll, sqlDeleteAll, 0},
		{&w.account, sqlAccountOf, 3}, {&w.hasAccount, sqlHasAccount, 1}, {&w.addAccount, sqlAddAccount, 0},
		{&w.setAccount, sqlSetAccount, 0}, {&w.invite, sqlInviteOf, 3}, {&w.useInvite, sqlUseInvite, 0},
		{&w.putInvite, sqlPutInvite, 0}, {&w.dropInvites, sqlDropInvites, 0}, {&w.addUpload, sqlAddUpload, 0},
		{&w.trimUploads, sqlTrimUploads, 0}, {&w.dropOneTime, sqlDropOneTime, 0}, {&w.addOneTime, sqlAddOneTime, 0},
		{&w.take, sqlTake, 3}, {&w.void, sqlVoid, 0},
		{&w.epoch, sqlEpochOf, 2}, {&w.setEpoch, sqlSetEpoch, 0}, {&w.dropEpoch, sqlDropEpoch, 0}, {&w.voidEpochs, sqlVoidEpochs, 0},
		{&w.group, sqlGroup, 1}, {&w.groupView, sqlGroupView, 9}, {&w.groupEntry, sqlGroupEntry, 5},
		{&w.addGroup, sqlAddGroup, 1}, {&w.setGroup, sqlSetGroup, 0}, {&w.addGroupEntry, sqlAddGroupEntry, 0},
		{&w.addGroupEpoch, sqlAddGroupEpoch, 0}, {&w.endGroupEpoch, sqlEndGroupEpoch, 0},
		{&w.ckptNoop, "PRAGMA wal_checkpoint(NOOP)", 3}, {&w.ckptPassive, "PRAGMA wal_checkpoint(PASSIVE)", 3},
		{&w.ckptTruncate, "PRAGMA wal_checkpoint(TRUNCATE)", 3},
	} {
		if *p.to, err = c.prepare(p.sql, p.columns); err != nil {
			return nil, fmt.Errorf("%w: the schema is not that of its version: %w", server.ErrDamaged, err)
		}
	}
	w.sync = func() error { _, err := w.commit.exec(); return err }
	if w.reserved, err = w.number("reserved"); err != nil {
		return nil, err
	}
	w.seq = w.reserved
	last, err := c.prepare(sqlLast, 2)
	if err != nil {
		return nil, err
	}
	row, _, err := last.one()
	if err != nil {
		return nil, err
	}
	w.lastDevice = integer(row[0])
	hub.Notify([]server.Hint{{Seq: server.Seq(integer(row[1]))}})
	if integer(row[1]) > w.reserved {
		return nil, fmt.Errorf("%w: a seq beyond those set aside", server.ErrDamaged)
	}
	return w, nil
}

// number reads a row of meta.
func (w *writer) number(key string) (int64, error) {
	row, found, err := w.meta.one(key)
	if err == nil && !found {
		err = fmt.Errorf("%w: a row of meta is missing", server.ErrDamaged)
	}
	if err != nil {
		return 0, err
	}
	return integer(row[0]), nil
}

// loop is the writer's goroutine. It ends when the queue is closed and empty.
func (w *writer) loop() {
	defer close(w.done)
	for {
		j, ok := w.next()
		if !ok {
			return
		}
		w.gather(j)
		w.flush()
	}
}

// next waits for a job. When none has come for a while it empties the log, so
// that a quiet server keeps deleted content in no file.
func (w *writer) next() (job, bool) {
	select {
	case j, ok := <-w.queue:
		return j, ok
	default:
	}
	for w.dirty && w.broken == nil {
		w.idle.Reset(idleAfter)
		select {
		case j, ok := <-w.queue:
			return j, ok
		case <-w.idle.C:
			w.dirty = !w.checkpoint(w.ckptTruncate)
		}
	}
	j, ok := <-w.queue
	return j, ok
}

// gather fills the batch with what waits, without waiting itself. The yield
// lets those that were just answered hand in their next request, which would
// otherwise miss this batch by microseconds; it is repeated while it brings
// something, because requests that come from connections need several turns.
func (w *writer) gather(first job) {
	w.batch = append(w.batch[:0], first)
	bytes := first.base().weight
	yielded := false
	for len(w.batch) < batchRequests && bytes < batchBytes {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return
			}
			w.batch = append(w.batch, j)
			bytes += j.base().weight
			yielded = false
			continue
		default:
		}
		if yielded {
			return
		}
		yielded = true
		runtime.Gosched()
	}
}

// flush commits the batch and only then answers it (R-STO-01). If the batch fails, each of its jobs
// is tried alone, so that one bad row or one large body does not fail its
// neighbours, and acknowledgements go on when there is no space to append
// (R-STO-12).
func (w *writer) flush() {
	live := w.batch[:0]
	for _, j := range w.batch {
		if j.base().begin() {
			live = append(live, j)
		}
	}
	if len(live) == 0 {
		return
	}
	err := w.transact(live)
	switch {
	case err == nil:
		w.publish(live)
	case len(live) == 1 || w.broken != nil:
		w.refuse(live, err)
	default:
		for i := range live {
			if err := w.transact(live[i : i+1]); err != nil {
				w.refuse(live[i:i+1], err)
			} else {
				w.publish(live[i : i+1])
			}
		}
	}
	clear(w.batch)
	w.afterCommit(err)
}

// transact runs jobs in one transaction. After an error none of them has
// happened, unless the flush failed: then the process is told to end before
// anybody gets an answer.
func (w *writer) transact(jobs []job) error {
	if w.broken != nil {
		return w.broken
	}
	w.hints = w.hints[:0]
	reserved := w.reserved
	err := w.attempt(jobs)
	if err == nil {
		return nil
	}
	w.rollback.exec() // an error only says that SQLite has rolled back already
	w.reserved = reserved
	w.seq = min(w.seq, reserved)
	clear(w.boxes)
	clear(w.byNum)
	w.giveUpAfter(err)
	return wrap(err)
}

func (w *writer) attempt(jobs []job) error {
	if _, err := w.begin.exec(); err != nil {
		return err
	}
	for _, j := range jobs {
		err := j.run(w)
		if err != nil && !definite(err) {
			return err
		}
		j.base().err = err
	}
	return w.sync()
}

// giveUpAfter ends the process if err is a failed flush.
func (w *writer) giveUpAfter(err error) {
	if classify(err) == faultSync && w.broken == nil {
		w.broken = fmt.Errorf("sqlitestore: the disk failed to flush: %w", err)
		w.fatal(err)
	}
}

func (w *writer) publish(jobs []job) {
	if len(w.hints) > 0 {
		w.hub.Notify(w.hints)
	}
	for _, j := range jobs {
		j.base().answer <- struct{}{}
	}
}

func (w *writer) refuse(jobs []job, err error) {
	for _, j := range jobs {
		j.base().err = err
		j.base().answer <- struct{}{}
	}
}

// afterCommit keeps the log short. Checkpoints are explicit, never SQLite's
// automatic ones, because those swallow a failed flush of the main file.
func (w *writer) afterCommit(err error) {
	if w.broken != nil {
		return
	}
	w.dirty = true
	if err != nil {
		w.checkpoint(w.ckptPassive) // space in the log can be used again
		return
	}
	if w.commits++; w.commits%checkEvery != 0 {
		return
	}
	row, _, err := w.ckptNoop.one()
	switch pages := integer(row[1]); {
	case err != nil || pages < walPages:
	case pages < 8*walPages:
		w.checkpoint(w.ckptPassive)
	default: // readers that overlap have kept the log from starting again
		w.checkpoint(w.ckptTruncate)
	}
}

// checkpoint reports whether all of the log is in the file. The pragma answers
// (busy, pages in the log, pages copied); busy is not an error.
func (w *writer) checkpoint(how *stmt) bool {
	row, found, err := how.one()
	if err != nil {
		w.giveUpAfter(err)
		return false
	}
	return found && integer(row[0]) == 0 && integer(row[1]) == integer(row[2])
}

// close ends the connection after the loop has ended.
func (w *writer) close() error {
	if w.broken != nil {
		w.c.Close()
		return w.broken
	}
	w.checkpoint(w.ckptTruncate)
	return w.c.Close()
}

// nextSeq gives out the next Seq. Seqs are set aside on disk in blocks: after
// a crash the rest of a block is skipped, never used again (R-STO-08).
func (w *writer) nextSeq() (int64, error) {
	if w.seq == w.reserved {
		if _, err := w.reserve.exec(w.reserved + reserveAhead); err != nil {
			return 0, err
		}
		w.reserved += reserveAhead
	}
	w.seq++
	return w.seq, nil
}

// box finds a device's box, or nil if there is none and none shall be made.
func (w *writer) box(dev server.Device, make bool) (*box, error) {
	if b := w.boxes[dev]; b != nil {
		return b, nil
	}
	row, found, err := w.findDevice.one(dev.User, int64(dev.ID))
	if err != nil {
		return nil, err
	}
	b := &box{}
	switch {
	case found:
		b.num, b.removed = integer(row[0]), integer(row[1]) != 0
	case make:
		w.lastDevice++
		b.num, b.loaded = w.lastDevice, true
		if _, err := w.addDevice.exec(b.num, dev.User, int64(dev.ID)); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	if len(w.boxes) >= maxBoxes {
		for d, old := range w.boxes { // any will do
			delete(w.boxes, d)
			delete(w.byNum, old.num)
			break
		}
	}
	w.boxes[dev], w.byNum[b.num] = b, b
	return b, nil
}

// fill makes a box's count and bytes exact.
func (w *writer) fill(b *box) error {
	row, _, err := w.load.one(b.num)
	if err != nil {
		return err
	}
	b.count, b.bytes = int(integer(row[0])), integer(row[1])
	b.loaded, b.slack = true, false
	return nil
}

// gone accounts for n messages that no longer wait.
func (b *box) gone(n int) {
	b.count -= n
	b.slack = true
	if b.count == 0 {
		b.bytes, b.slack = 0, false
	}
}
