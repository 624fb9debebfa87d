package relay

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// labelAudience separates the names of audiences from other hashes.
const labelAudience = "pawl/1 relay group audience"

// GroupAudience is one user among those whom a message to a group goes to: the
// active devices of that version of the user's device list. The sender's own
// entry leaves the sending device out and may so name none.
type GroupAudience struct {
	_       struct{} `cbor:",toarray"`
	User    string
	Version uint64
	Devices []address.Device
}

// Audience is a list of users and devices as it goes over the wire, and its
// hash, by which the server knows it again. It can be kept for many messages.
type Audience struct {
	Hash    [32]byte
	encoded []byte
	members []GroupAudience
}

// audienceList is the encoding of an audience: users in ascending order, the
// devices of each too.
type audienceList struct {
	Members []GroupAudience `cbor:"1,keyasint"`
}

func (a *audienceList) check() error {
	if len(a.Members) == 0 || len(a.Members) > MaxAudience {
		return ErrMalformed
	}
	devices := 0
	for i := range a.Members {
		m := &a.Members[i]
		if !validUser(m.User) || m.Version == 0 || i > 0 && m.User <= a.Members[i-1].User ||
			len(m.Devices) > MaxDevices || !ascending(m.Devices) {
			return ErrMalformed
		}
		devices += len(m.Devices)
	}
	return require(devices <= MaxAudienceDevices)
}

// NewAudience makes an audience of its members in any order. A list that the
// server would not take, such as one that names a user twice, is refused by
// the server.
func NewAudience(members []GroupAudience) *Audience {
	a := &Audience{members: slices.Clone(members)}
	for i := range a.members {
		a.members[i].Devices = slices.Clone(a.members[i].Devices)
		slices.Sort(a.members[i].Devices)
	}
	slices.SortFunc(a.members, func(x, y GroupAudience) int { return cmp.Compare(x.User, y.User) })
	a.encoded = codec.Marshal(&audienceList{a.members})
	a.Hash = audienceHash(a.encoded)
	return a
}

// ParseAudience decodes an audience that came with a message, strictly.
func ParseAudience(encoded []byte) (*Audience, error) {
	var list audienceList
	if err := Decode(encoded, &list); err != nil {
		return nil, err
	}
	return &Audience{Hash: audienceHash(encoded), encoded: encoded, members: list.Members}, nil
}

func audienceHash(encoded []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelAudience))
	h.Write(encoded)
	return [32]byte(h.Sum(nil))
}

// Members returns the users, in ascending order. They are not to be changed.
func (a *Audience) Members() []GroupAudience { return a.members }

// GroupSend is a message to a group as its sender has it: one body for every
// device of the audience. Prepared, when set, counts instead of Audience and
// spares the work of encoding a large audience for every message.
type GroupSend struct {
	Group    [GroupIDSize]byte
	Seq      uint64 // of the newest entry that the sender has seen,
	Head     [GroupHeadSize]byte
	Token    [GroupTokenSize]byte
	ID       MessageID
	TTL      int64 // seconds to keep it; zero is MaxTTL
	Body     []byte
	Audience []GroupAudience
	Prepared *Audience
}

// GroupSendRequest is the body of a GroupSend. The audience goes along when the
// server has asked for it.
type GroupSendRequest struct {
	Group    [GroupIDSize]byte    `cbor:"1,keyasint"`
	Seq      uint64               `cbor:"2,keyasint"`
	Head     [GroupHeadSize]byte  `cbor:"3,keyasint"`
	Token    [GroupTokenSize]byte `cbor:"4,keyasint"`
	ID       MessageID            `cbor:"5,keyasint"`
	TTL      int64                `cbor:"6,keyasint,omitempty"`
	Body     []byte               `cbor:"7,keyasint"`
	Hash     [32]byte             `cbor:"8,keyasint"`           // of the audience
	Audience []byte               `cbor:"9,keyasint,omitempty"` // its encoding
}

func (g *GroupSendRequest) check() error {
	return require(g.Seq > 0 && g.Seq <= MaxGroupEntries && len(g.Body) > 0 &&
		g.TTL >= 0 && g.TTL <= int64(MaxTTL/time.Second))
}

// TooLarge reports whether the body is over MaxEnvelope, apart from Decode
// because it has a code of its own.
func (g *GroupSendRequest) TooLarge() bool { return len(g.Body) > MaxEnvelope }

// Request returns the body that names the audience, with or without the
// audience itself.
func (g *GroupSend) Request(a *Audience, whole bool) []byte {
	r := GroupSendRequest{Group: g.Group, Seq: g.Seq, Head: g.Head, Token: g.Token, ID: g.ID, TTL: g.TTL, Body: g.Body, Hash: a.Hash}
	if whole {
		r.Audience = a.encoded
	}
	return codec.Marshal(&r)
}

// GroupStale is where the log stands as far as the token may see.
type GroupStale struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64
	Head [GroupHeadSize]byte
}

// GroupSendAnswer is the body of the answer to a GroupSend that was not simply
// stored for everybody. With Stale or Lists nothing was stored: the log has
// moved on, or device lists have, those of the users named. Full are the
// devices that were left out. Users and devices are in ascending order.
type GroupSendAnswer struct {
	Stale *GroupStale `cbor:"1,keyasint,omitempty"`
	Lists []string    `cbor:"2,keyasint,omitempty"`
	Full  []GroupFull `cbor:"3,keyasint,omitempty"`
}

// GroupFull is a user's devices that were left out.
type GroupFull struct {
	_       struct{} `cbor:",toarray"`
	User    string
	Devices []address.Device
}

func (g *GroupSendAnswer) check() error {
	said := 0
	if g.Stale != nil {
		said++
		if g.Stale.Seq == 0 || g.Stale.Seq > MaxGroupEntries {
			return ErrMalformed
		}
	}
	if len(g.Lists) > 0 {
		said++
	}
	if len(g.Full) > 0 {
		said++
	}
	if said != 1 || len(g.Lists) > MaxAudience {
		return ErrMalformed
	}
	for i, user := range g.Lists {
		if !validUser(user) || i > 0 && user <= g.Lists[i-1] {
			return ErrMalformed
		}
	}
	for i := range g.Full {
		f := &g.Full[i]
		if !validUser(f.User) || i > 0 && f.User <= g.Full[i-1].User ||
			len(f.Devices) == 0 || len(f.Devices) > MaxDevices || !ascending(f.Devices) {
			return ErrMalformed
		}
	}
	return require(len(g.Full) <= MaxAudience)
}

// ascending reports whether devices are ids in ascending order, none twice.
func ascending(devices []address.Device) bool {
	last := address.Device(0)
	for _, d := range devices {
		if d <= last {
			return false
		}
		last = d
	}
	return true
}

// Body encodes the answer; it is empty when there is nothing to say.
func (g *GroupSendAnswer) Body() []byte {
	if g.Stale == nil && len(g.Lists)+len(g.Full) == 0 {
		return nil
	}
	slices.Sort(g.Lists)
	slices.SortFunc(g.Full, func(x, y GroupFull) int { return cmp.Compare(x.User, y.User) })
	for i := range g.Full {
		slices.Sort(g.Full[i].Devices)
	}
	return codec.Marshal(g)
}

// GroupSendResult says what became of a GroupSend that the server understood:
// stored for every device of the audience but those in Full, or, with Stale or
// Lists, for none.
type GroupSendResult struct {
	Stale *GroupStale   // the log stands elsewhere
	Lists []string      // users whose device lists are not those of the audience
	Full  []GroupDevice // left out: no room in their mailboxes
}

// GroupDevice names a device of the audience.
type GroupDevice struct {
	User   string
	Device address.Device
}
