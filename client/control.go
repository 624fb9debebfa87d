package client

import (
	"github.com/pawl-chat/pawl/internal/content"
)

// controlTo queues a content that no person sees for one device: sealed on the
// active session, or, while something else to that person waits unsealed, to be
// sealed when it leaves (R-CLT-52). ttl, in seconds, is how long the server may
// keep it.
func (w *work) controlTo(k peerKey, c content.Content, ttl uint64) error {
	o, err := w.sealControl(k, c, ttl)
	if err != nil {
		return err
	}
	return putOutbox(w.tx, o)
}

// sealControl makes the entry of the outbox that controlTo queues.
func (w *work) sealControl(k peerKey, c content.Content, ttl uint64) (*outboxRecord, error) {
	id := content.NewID()
	o := &outboxRecord{ID: id[:], To: k.address, Created: w.e.now().UnixMilli(), TTL: ttl, order: w.e.nextOrder()}
	if w.e.unsealed.before(o) {
		o.Content, o.Quiet, o.Only, o.Alone = c.Encode(), true, uint64(k.device), true
		w.e.unsealed.queued(o)
		return o, nil
	}
	pair, err := w.pair(k)
	if err != nil {
		return nil, err
	}
	next, copied, err := w.e.sealOne(w.tx, k, pair, c.Encode())
	if err != nil {
		return nil, err
	}
	w.pairs[k] = next
	o.Sealed, o.Control = []sealedCopy{copied}, true
	return o, nil
}

// heartbeat queues an empty message that moves the ratchet on (R-SES-08). What
// waits unsealed will do that as well.
func (w *work) heartbeat(k peerKey) error {
	if w.e.unsealed.before(&outboxRecord{To: k.address}) {
		return nil
	}
	return w.controlTo(k, content.NewControl(content.KindHeartbeat, w.e.now()), 0)
}

// farewell queues the last message of a session that is being erased.
func (w *work) farewell(k peerKey, message []byte) error {
	c := w.e.wrap(k, nil, message)
	if err := w.e.record(w.tx, k.address, c.Envelope, nil); err != nil {
		return err
	}
	return w.control(k, c)
}

// control queues an envelope that no person sees, for one device.
func (w *work) control(k peerKey, c sealedCopy) error {
	id := content.NewID()
	return putOutbox(w.tx, &outboxRecord{
		ID: id[:], To: k.address, Sealed: []sealedCopy{c}, Created: w.e.now().UnixMilli(), Control: true,
		order: w.e.nextOrder(),
	})
}
