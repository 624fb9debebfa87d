package transcript

import (
	"crypto/ed25519"
	"time"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/x3dh"
)

// Kind says between whom a transcript is.
type Kind uint8

// Kinds.
const (
	Pair  Kind = 1 // two people
	Group Kind = 2
)

// Device is the public half of a device: its id and its X25519 identity key.
type Device struct {
	ID       uint64
	Identity [32]byte
}

// Party is one person, as their public device list names them.
type Party struct {
	Account [32]byte // Ed25519 account key
	Address string   // canonical
	Devices []Device // in any order, none twice
}

// Place is where a message stands, as the one who made the transcript says. It
// is encrypted on the wire, and nothing proves it; a wrong one only makes keys
// hard to find.
type Place struct {
	Session [8]byte // beginning of the session's id
	Chain   uint64
	Number  uint32
}

// Message is one envelope as it went over the wire.
type Message struct {
	At       time.Time // when it was seen, whole milliseconds
	Envelope []byte
	// Place and Text are claims of the one who made the transcript.
	Place *Place // of messages between two people
	Text  string // empty for none
}

// Key is a signing key of a chain of a group that its device has disclosed.
type Key struct {
	Epoch   uint64
	Address string
	Device  uint64
	Seed    [32]byte // of the Ed25519 key
}

// Transcript is a recorded conversation.
type Transcript struct {
	Kind     Kind
	Group    groups.ID // Group only
	Parties  []Party   // two of Pair
	Keys     []Key     // Group only; between two people messages disclose keys themselves
	Messages []Message // as they were seen
}

// maxAt is the latest time of a message in milliseconds.
const maxAt = 1 << 48

// Check holds everything that Read holds (R-TRN-02, R-TRN-03).
func (t *Transcript) Check() error {
	if _, err := t.index(); err != nil {
		return err
	}
	size := 0
	for i := range t.Messages {
		size += len(t.Messages[i].Envelope)
	}
	if len(t.Messages) > MaxMessages || size > MaxBytes || len(t.Keys) > MaxKeys {
		return ErrLimit
	}
	return nil
}

// place is a device of a transcript: the indexes of its party and of itself.
type place struct{ party, device int }

// index is a transcript with its envelopes read.
type index struct {
	*Transcript
	where map[string]int // party by address
	envs  []content.Envelope
	from  []place
}

// index reads all envelopes and holds them against the parties (R-TRN-03).
func (t *Transcript) index() (*index, error) {
	x := &index{Transcript: t, where: map[string]int{}}
	switch {
	case t.Kind == Pair && len(t.Parties) == 2 && t.Group.IsZero() && len(t.Keys) == 0:
	case t.Kind == Group && len(t.Parties) > 0 && !t.Group.IsZero():
	default:
		return nil, ErrMalformed
	}
	if len(t.Parties) > MaxParties {
		return nil, ErrLimit
	}
	for i := range t.Parties {
		if err := t.Parties[i].check(); err != nil {
			return nil, err
		}
		if _, twice := x.where[t.Parties[i].Address]; twice {
			return nil, ErrMalformed
		}
		x.where[t.Parties[i].Address] = i
	}
	for i := range t.Keys {
		k := &t.Keys[i]
		if _, ok := x.find(k.Address, k.Device); !ok {
			return nil, ErrParty
		}
		if k.Epoch == 0 || k.Epoch == 1<<64-1 {
			return nil, ErrMalformed
		}
	}
	for i := range t.Messages {
		if err := x.read(&t.Messages[i]); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (x *index) read(m *Message) error {
	env, err := content.DecodeEnvelope(m.Envelope)
	if ms := m.At.UnixMilli(); err != nil || ms < 0 || ms > maxAt || !utf8.ValidString(m.Text) {
		return ErrMalformed
	}
	if len(m.Text) > MaxText {
		return ErrLimit
	}
	from, ok := x.find(env.From.String(), uint64(env.Device))
	if !ok {
		return ErrParty
	}
	if x.Kind == Group {
		if env.To != 0 || m.Place != nil {
			return ErrMalformed
		}
	} else if _, ok := x.Parties[1-from.party].find(uint64(env.To)); !ok {
		return ErrParty
	}
	x.envs, x.from = append(x.envs, env), append(x.from, from)
	return nil
}

func (x *index) find(addr string, device uint64) (place, bool) {
	p, ok := x.where[addr]
	if !ok {
		return place{}, false
	}
	d, ok := x.Parties[p].find(device)
	return place{p, d}, ok
}

func (p *Party) find(device uint64) (int, bool) {
	for i := range p.Devices {
		if p.Devices[i].ID == device {
			return i, true
		}
	}
	return 0, false
}

func (p *Party) check() error {
	if _, err := address.ParseCanonical(p.Address); err != nil || len(p.Devices) == 0 {
		return ErrMalformed
	}
	if len(p.Devices) > MaxDevices {
		return ErrLimit
	}
	for i := range p.Devices {
		d := &p.Devices[i]
		if j, _ := p.find(d.ID); d.ID == 0 || j != i {
			return ErrMalformed
		}
		if _, err := x3dh.ParsePublicKey(d.Identity[:]); err != nil {
			return ErrMalformed
		}
	}
	return nil
}

// view is the public side of a device, as the handshake binds it.
func (p *Party) view(device int) x3dh.Party {
	d := &p.Devices[device]
	identity, _ := x3dh.ParsePublicKey(d.Identity[:]) // checked
	return x3dh.Party{Account: ed25519.PublicKey(p.Account[:]), Address: p.Address, Device: d.ID, Identity: identity}
}

// sender is a device of a group.
func (p *Party) sender(device int) groups.Sender {
	d := &p.Devices[device]
	return groups.Sender{Address: p.Address, Device: d.ID, Identity: d.Identity}
}
