package client

import (
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// envelopeHash names a received envelope.
type envelopeHash [16]byte

func hashEnvelope(body []byte) envelopeHash {
	h := labelled(labelEnvelope, body)
	return envelopeHash(h[:16])
}

// seen is what has been handled, in memory once it has been asked for. The
// ratchet refuses a repeated message by itself; this tells a repetition whose
// chain or session is gone from a message that cannot be opened (R-CLT-04).
// Fields are guarded by engine.state.
type seen struct {
	loaded bool
	hashes map[envelopeHash]struct{}
}

// add keeps up with what was committed.
func (s *seen) add(hashes []envelopeHash) {
	if !s.loaded {
		return
	}
	for _, h := range hashes {
		s.hashes[h] = struct{}{}
	}
}

// rememberHandled writes the hashes of a batch in one row.
func (w *work) rememberHandled() error {
	if len(w.handled) == 0 {
		return nil
	}
	value := make([]byte, 0, len(w.handled)*len(envelopeHash{}))
	for _, h := range w.handled {
		value = append(value, h[:]...)
	}
	key := content.NewID()
	return w.tx.Put(tableSeen, key[:], nil, w.e.now().Add(SeenFor).UnixMilli(), value)
}

// handledBefore reports whether an envelope was handled, in this batch or
// earlier.
func (w *work) handledBefore(h envelopeHash) (bool, error) {
	for _, other := range w.handled {
		if other == h {
			return true, nil
		}
	}
	s := &w.e.seen
	if !s.loaded {
		found := map[envelopeHash]struct{}{}
		// Answered handshakes stand at lastOrder.
		err := w.tx.Scan(tableSeen, nil, firstOrder, lastOrder-1, 0, false, func(r vault.Row) error {
			for v := r.Value; len(v) >= len(h); v = v[len(h):] {
				found[envelopeHash(v[:len(h)])] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		s.loaded, s.hashes = true, found
	}
	_, ok := s.hashes[h]
	return ok, nil
}
