package content

import (
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Repair is the body of KindRepair (R-CNT-15). It travels in a new session
// after messages could not be opened: it asks the other device to send again
// what was lost, or says that this has been done.
type Repair struct {
	Done  bool
	Count uint64    // asking: envelopes that could not be opened; done: messages sent again
	Since time.Time // when the trouble began, as far as the sender knows; zero if it does not
}

type repairBody struct {
	What  uint64 `cbor:"1,keyasint"` // 1 ask, 2 done
	Count uint64 `cbor:"2,keyasint"`
	Since uint64 `cbor:"3,keyasint,omitempty"` // unix milliseconds
}

const (
	repairAsk  = 1
	repairDone = 2
)

// NewRepair makes a content of r. Whoever asks has lost at least one message.
func NewRepair(r Repair, now time.Time) (Content, error) {
	b := repairBody{What: repairAsk, Count: r.Count}
	if r.Done {
		b.What = repairDone
	}
	if !r.Since.IsZero() {
		b.Since = uint64(sentAt(r.Since).UnixMilli())
	}
	c := NewControl(KindRepair, now)
	c.Body = codec.Marshal(b)
	var err error
	if c.Repair, err = decodeRepair(c.Body); err != nil {
		return Content{}, err
	}
	return c, nil
}

// decodeRepair reads the body of KindRepair (R-CNT-15).
func decodeRepair(body []byte) (Repair, error) {
	var b repairBody
	if err := codec.Unmarshal(body, MaxContent, &b); err != nil {
		return Repair{}, ErrMalformed
	}
	r := Repair{Done: b.What == repairDone, Count: b.Count}
	if b.What != repairAsk && b.What != repairDone || !r.Done && b.Count == 0 || b.Since > maxSentAt {
		return Repair{}, ErrMalformed
	}
	if b.Since != 0 {
		r.Since = time.UnixMilli(int64(b.Since)).UTC()
	}
	return r, nil
}
