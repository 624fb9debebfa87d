package content

import (
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// Sync is the body of KindSync (R-CNT-10): what one device of an account
// tells another. One field is set, or none in what a later version says and
// this one does not know. Whether the sender is a device of the own account
// is for the client to see to.
type Sync struct {
	Sent    *Sent
	Read    []ID // incoming messages that the person was shown
	Contact *ContactMark
	Claims  *Claims
	Ask     *HistoryAsk
	Page    *HistoryPage
	Refresh bool // the own device list has changed: the server has it
}

// Sent says what the person sent from another device (R-CNT-11).
type Sent struct {
	To      string           // canonical address
	Content []byte           // encoded, without padding; see Open
	Devices []address.Device // the recipient's, that it was sealed for
}

// Claims is a receipt that another device of the account was given (R-CNT-12).
type Claims struct {
	Peer   string         // canonical address of who gave it
	Device address.Device // and the device
	State  ReceiptState
	IDs    []ID // ascending, none twice
}

// ContactMark is what the person decided about somebody (R-CNT-13). The last
// decision counts, by At.
type ContactMark struct {
	Address  string // canonical
	Account  [32]byte
	Alias    string // empty for none; the recipient checks its characters
	Verified bool
	Known    bool
	Removed  bool
	At       time.Time // millisecond precision
}

// HistoryAsk asks for the page of history after a position (R-CNT-14).
type HistoryAsk struct {
	From  uint64
	Limit uint64 // of entries, 1 to MaxPageEntries
}

// HistoryPage answers a HistoryAsk. What positions and entries mean is
// between the two clients.
type HistoryPage struct {
	From    uint64   // as asked
	Next    uint64   // what to ask for next, above From; zero after the last page
	Total   uint64   // about how many entries there are in all
	Entries [][]byte // none of them empty
	Refused bool     // this device does not hand out its history
}

type syncBody struct {
	Sent    *sentBody    `cbor:"1,keyasint,omitempty"`
	Read    *readBody    `cbor:"2,keyasint,omitempty"`
	Contact *contactBody `cbor:"3,keyasint,omitempty"`
	Claims  *claimsBody  `cbor:"4,keyasint,omitempty"`
	Ask     *askBody     `cbor:"5,keyasint,omitempty"`
	Page    *pageBody    `cbor:"6,keyasint,omitempty"`
	Refresh *refreshBody `cbor:"7,keyasint,omitempty"`
}

// lastSyncKey is the highest key of syncBody.
const lastSyncKey = 7

type sentBody struct {
	To      string   `cbor:"1,keyasint"`
	Content []byte   `cbor:"2,keyasint"`
	Devices []uint64 `cbor:"3,keyasint"`
}

type readBody struct {
	IDs [][]byte `cbor:"1,keyasint"`
}

type contactBody struct {
	Address  string `cbor:"1,keyasint"`
	Account  []byte `cbor:"2,keyasint"`
	Alias    string `cbor:"3,keyasint"`
	Verified bool   `cbor:"4,keyasint"`
	Known    bool   `cbor:"5,keyasint"`
	Removed  bool   `cbor:"6,keyasint"`
	At       uint64 `cbor:"7,keyasint"`
}

type claimsBody struct {
	Peer   string   `cbor:"1,keyasint"`
	Device uint64   `cbor:"2,keyasint"`
	State  uint64   `cbor:"3,keyasint"`
	IDs    [][]byte `cbor:"4,keyasint"`
}

type askBody struct {
	From  uint64 `cbor:"1,keyasint"`
	Limit uint64 `cbor:"2,keyasint"`
}

type pageBody struct {
	From    uint64   `cbor:"1,keyasint"`
	Next    uint64   `cbor:"2,keyasint"`
	Total   uint64   `cbor:"3,keyasint"`
	Entries [][]byte `cbor:"4,keyasint"`
	Refused bool     `cbor:"5,keyasint,omitempty"`
}

type refreshBody struct{}

// NewSync makes a content of s, which has exactly one field set. It refuses
// what the recipient would refuse; ids are brought into their order.
func NewSync(s Sync, now time.Time) (Content, error) {
	var b syncBody
	if s.Sent != nil {
		if _, err := s.Sent.Open(); err != nil {
			return Content{}, err
		}
		b.Sent = &sentBody{To: s.Sent.To, Content: s.Sent.Content}
		for _, d := range s.Sent.Devices {
			b.Sent.Devices = append(b.Sent.Devices, uint64(d))
		}
	}
	if len(s.Read) > 0 {
		b.Read = &readBody{IDs: encodeIDs(s.Read)}
	}
	if c := s.Contact; c != nil {
		b.Contact = &contactBody{
			Address: c.Address, Account: c.Account[:], Alias: c.Alias, Verified: c.Verified, Known: c.Known,
			Removed: c.Removed, At: uint64(sentAt(c.At).UnixMilli()),
		}
	}
	if c := s.Claims; c != nil {
		b.Claims = &claimsBody{Peer: c.Peer, Device: uint64(c.Device), State: uint64(c.State), IDs: encodeIDs(c.IDs)}
	}
	if a := s.Ask; a != nil {
		b.Ask = &askBody{From: a.From, Limit: a.Limit}
	}
	if p := s.Page; p != nil {
		b.Page = &pageBody{From: p.From, Next: p.Next, Total: p.Total, Entries: p.Entries, Refused: p.Refused}
	}
	if s.Refresh {
		b.Refresh = &refreshBody{}
	}
	c := NewControl(KindSync, now)
	c.Body = codec.Marshal(b)
	var err error
	if c.Sync, err = decodeSync(c.Body); err != nil {
		return Content{}, err
	}
	return c, nil
}

// NewSent makes the copy of a sent content for the own devices.
func NewSent(to string, c Content, devices []address.Device) *Sent {
	return &Sent{To: to, Content: c.encode(), Devices: devices}
}

// Open decodes the content that was sent (R-CNT-11). Control content is not
// something that a person sent and is refused.
func (s *Sent) Open() (Content, error) {
	c, err := decode(s.Content)
	if err != nil {
		return Content{}, err
	}
	switch c.Kind {
	case KindHeartbeat, KindFarewell, KindReceipt, KindSync, KindRepair, KindGroup:
		return Content{}, ErrMalformed
	}
	return c, nil
}
