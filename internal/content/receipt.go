package content

import (
	"bytes"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// ReceiptState is what a receipt claims of the messages it names.
type ReceiptState uint64

// States. The numbers are on the wire and grow with how far a message came.
const (
	Delivered ReceiptState = 1 // stored durably by the device that says so
	Read      ReceiptState = 2 // shown to the person
)

// Receipt is the body of KindReceipt (R-CNT-09): the device that sends it
// has got these messages. It says nothing of any other device.
type Receipt struct {
	State ReceiptState
	IDs   []ID // ascending, none twice
}

type receiptBody struct {
	State uint64   `cbor:"1,keyasint"`
	IDs   [][]byte `cbor:"2,keyasint"`
}

// NewReceipts makes the receipts for any number of messages, MaxReceipt of
// them in each at most.
func NewReceipts(state ReceiptState, ids []ID, now time.Time) []Content {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	var out []Content
	for part := range slices.Chunk(slices.Compact(ids), MaxReceipt) {
		b := receiptBody{State: uint64(state)}
		for i := range part {
			b.IDs = append(b.IDs, part[i][:])
		}
		c := NewControl(KindReceipt, now)
		c.Receipt, c.Body = Receipt{State: state, IDs: part}, codec.Marshal(b)
		out = append(out, c)
	}
	return out
}

// decodeReceipt reads the body of KindReceipt (R-CNT-09).
func decodeReceipt(body []byte) (Receipt, error) {
	var b receiptBody
	if err := codec.Unmarshal(body, MaxContent, &b); err != nil {
		return Receipt{}, ErrMalformed
	}
	r := Receipt{State: ReceiptState(b.State)}
	if r.State != Delivered && r.State != Read {
		return Receipt{}, ErrMalformed
	}
	var err error
	if r.IDs, err = decodeIDs(b.IDs); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// encodeIDs gives the order that decodeIDs demands.
func encodeIDs(ids []ID) (out [][]byte) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		out = append(out, bytes.Clone(id[:]))
	}
	return out
}

// decodeIDs reads 1 to MaxReceipt ids, ascending and none twice. None is zero.
func decodeIDs(list [][]byte) (ids []ID, err error) {
	if len(list) == 0 || len(list) > MaxReceipt {
		return nil, ErrMalformed
	}
	var last ID
	for _, id := range list {
		if len(id) != len(last) || bytes.Compare(id, last[:]) <= 0 {
			return nil, ErrMalformed
		}
		last = ID(id)
		ids = append(ids, last)
	}
	return ids, nil
}
