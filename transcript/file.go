package transcript

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
)

// magic begins every file, the version in it.
const (
	magic   = "pawl transcript\n"
	version = 1
)

// The items of a file (spec/cddl/transcript.cddl): one head, the keys, the
// messages, one end. Each has its length in front.
type itemWire struct {
	Head    *headWire    `cbor:"1,keyasint,omitempty"`
	Key     *keyWire     `cbor:"2,keyasint,omitempty"`
	Message *messageWire `cbor:"3,keyasint,omitempty"`
	End     *endWire     `cbor:"4,keyasint,omitempty"`
}

type headWire struct {
	Version uint64      `cbor:"1,keyasint"`
	Kind    uint64      `cbor:"2,keyasint"`
	Parties []partyWire `cbor:"3,keyasint"`
	Group   []byte      `cbor:"4,keyasint,omitempty"`
}

type partyWire struct {
	Account []byte       `cbor:"1,keyasint"`
	Address string       `cbor:"2,keyasint"`
	Devices []deviceWire `cbor:"3,keyasint"`
}

type deviceWire struct {
	_        struct{} `cbor:",toarray"`
	ID       uint64
	Identity []byte
}

type keyWire struct {
	Epoch   uint64 `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	Device  uint64 `cbor:"3,keyasint"`
	Seed    []byte `cbor:"4,keyasint"`
}

type messageWire struct {
	At       uint64     `cbor:"1,keyasint"`
	Envelope []byte     `cbor:"2,keyasint"`
	Place    *placeWire `cbor:"3,keyasint,omitempty"`
	Text     string     `cbor:"4,keyasint,omitempty"`
}

type placeWire struct {
	_       struct{} `cbor:",toarray"`
	Session []byte
	Chain   uint64
	Number  uint32
}

type endWire struct {
	Keys     uint64 `cbor:"1,keyasint"`
	Messages uint64 `cbor:"2,keyasint"`
}

// Write writes a transcript that passes Check.
func (t *Transcript) Write(to io.Writer) error {
	if err := t.Check(); err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	w.WriteString(magic)
	put := func(i itemWire) {
		b := codec.Marshal(i)
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		w.Write(n[:])
		w.Write(b)
	}
	h := &headWire{Version: version, Kind: uint64(t.Kind), Parties: []partyWire{}}
	if t.Kind == Group {
		h.Group = t.Group[:]
	}
	for i := range t.Parties {
		p := partyWire{Account: t.Parties[i].Account[:], Address: t.Parties[i].Address}
		for j := range t.Parties[i].Devices {
			d := &t.Parties[i].Devices[j]
			p.Devices = append(p.Devices, deviceWire{ID: d.ID, Identity: d.Identity[:]})
		}
		h.Parties = append(h.Parties, p)
	}
	put(itemWire{Head: h})
	for i := range t.Keys {
		k := &t.Keys[i]
		put(itemWire{Key: &keyWire{k.Epoch, k.Address, k.Device, k.Seed[:]}})
	}
	for i := range t.Messages {
		m := &t.Messages[i]
		out := &messageWire{At: uint64(m.At.UnixMilli()), Envelope: m.Envelope, Text: m.Text}
		if m.Place != nil {
			out.Place = &placeWire{Session: m.Place.Session[:], Chain: m.Place.Chain, Number: m.Place.Number}
		}
		put(itemWire{Message: out})
	}
	put(itemWire{End: &endWire{uint64(len(t.Keys)), uint64(len(t.Messages))}})
	return w.Flush()
}

// Read reads a transcript: exactly what Write writes, from beginning to end
// (R-TRN-02). What it holds grows with what it has read, never with what the
// file says is to come. An error of r itself is returned as it is.
func Read(r io.Reader) (*Transcript, error) {
	in := &reader{r: bufio.NewReader(r)}
	begin := make([]byte, len(magic))
	if err := in.full(begin); err != nil {
		return nil, err
	}
	if string(begin) != magic {
		return nil, ErrMalformed
	}
	t := &Transcript{}
	for {
		item, err := in.item()
		if err != nil {
			return nil, err
		}
		done, err := t.take(item, in)
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
	}
	switch _, err := in.r.ReadByte(); {
	case err == nil:
		return nil, ErrMalformed
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return t, t.Check()
}

// reader takes items off a file.
type reader struct {
	r    *bufio.Reader
	size int // of the envelopes so far
}

func (in *reader) full(b []byte) error {
	_, err := io.ReadFull(in.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrMalformed
	}
	return err
}

func (in *reader) item() (i itemWire, err error) {
	var n [4]byte
	if err := in.full(n[:]); err != nil {
		return i, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > MaxItem {
		return i, ErrLimit
	}
	b, err := io.ReadAll(io.LimitReader(in.r, int64(size)))
	if err != nil {
		return i, err
	}
	if len(b) < int(size) || codec.Unmarshal(b, MaxItem, &i) != nil {
		return i, ErrMalformed
	}
	return i, nil
}

// take adds one item and reports whether it was the end.
func (t *Transcript) take(i itemWire, in *reader) (done bool, err error) {
	n := 0
	for _, set := range []bool{i.Head != nil, i.Key != nil, i.Message != nil, i.End != nil} {
		if set {
			n++
		}
	}
	if n != 1 || (t.Kind == 0) != (i.Head != nil) {
		return false, ErrMalformed
	}
	switch {
	case i.Head != nil:
		return false, t.head(i.Head)
	case i.Key != nil:
		if len(i.Key.Seed) != 32 || len(t.Messages) > 0 {
			return false, ErrMalformed
		}
		if len(t.Keys) == MaxKeys {
			return false, ErrLimit
		}
		t.Keys = append(t.Keys, Key{i.Key.Epoch, i.Key.Address, i.Key.Device, [32]byte(i.Key.Seed)})
		return false, nil
	case i.Message != nil:
		in.size += len(i.Message.Envelope)
		if len(t.Messages) == MaxMessages || in.size > MaxBytes {
			return false, ErrLimit
		}
		return false, t.message(i.Message)
	}
	if i.End.Keys != uint64(len(t.Keys)) || i.End.Messages != uint64(len(t.Messages)) {
		return false, ErrMalformed
	}
	return true, nil
}

func (t *Transcript) head(h *headWire) error {
	if h.Version != version {
		return ErrVersion
	}
	if h.Kind != uint64(Pair) && h.Kind != uint64(Group) || (h.Kind == uint64(Group)) != (len(h.Group) == len(groups.ID{})) {
		return ErrMalformed
	}
	if h.Group != nil {
		if len(h.Group) != len(groups.ID{}) {
			return ErrMalformed
		}
		t.Group = groups.ID(h.Group)
	}
	t.Kind = Kind(h.Kind)
	for _, p := range h.Parties {
		if len(p.Account) != 32 {
			return ErrMalformed
		}
		out := Party{Account: [32]byte(p.Account), Address: p.Address}
		for _, d := range p.Devices {
			if len(d.Identity) != 32 {
				return ErrMalformed
			}
			out.Devices = append(out.Devices, Device{d.ID, [32]byte(d.Identity)})
		}
		t.Parties = append(t.Parties, out)
	}
	return nil
}

func (t *Transcript) message(m *messageWire) error {
	if m.At > maxAt {
		return ErrMalformed
	}
	out := Message{At: time.UnixMilli(int64(m.At)).UTC(), Envelope: m.Envelope, Text: m.Text}
	if p := m.Place; p != nil {
		if len(p.Session) != 8 {
			return ErrMalformed
		}
		out.Place = &Place{[8]byte(p.Session), p.Chain, p.Number}
	}
	t.Messages = append(t.Messages, out)
	return nil
}
