package content

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// envelopeVersion is the first element of every envelope.
const envelopeVersion = 1

// Envelope carries one sealed message from device to device (R-CNT-05). Its
// sender fields are a claim that only chooses which session is tried: the
// session's associated data binds both identities, addresses and devices.
//
// With To zero it carries a message of a group, the same for every device
// (R-CNT-18): Initial is empty, Message is one of package groups, and the chain
// that the message names binds the sender.
type Envelope struct {
	From    address.Address
	Device  address.Device // the sender's
	To      address.Device // the recipient's; zero for a message of a group
	Initial []byte         // the handshake's initial message; empty once answered
	Message []byte         // the ratchet message
}

type envelopeWire struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	From    string
	Device  uint64
	To      uint64
	Initial []byte
	Message []byte
}

// Encode returns the canonical encoding.
func (e Envelope) Encode() []byte {
	initial := e.Initial
	if initial == nil {
		initial = []byte{}
	}
	return codec.Marshal(envelopeWire{
		Version: envelopeVersion, From: e.From.String(), Device: uint64(e.Device), To: uint64(e.To),
		Initial: initial, Message: e.Message,
	})
}

// DecodeEnvelope reads an envelope; everything in it is still unauthenticated.
func DecodeEnvelope(b []byte) (Envelope, error) {
	var w envelopeWire
	if err := codec.Unmarshal(b, MaxEnvelope, &w); err != nil {
		return Envelope{}, ErrMalformed
	}
	from, err := address.ParseCanonical(w.From)
	if err != nil || w.Version != envelopeVersion || w.Device == 0 || len(w.Message) == 0 || w.To == 0 && len(w.Initial) > 0 {
		return Envelope{}, ErrMalformed
	}
	return Envelope{
		From: from, Device: address.Device(w.Device), To: address.Device(w.To),
		Initial: w.Initial, Message: w.Message,
	}, nil
}
