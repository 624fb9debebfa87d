package ratchet

import (
	"encoding/binary"
)

// Kinds of message, the first byte of each.
const (
	TypeMessage  = 1 // an ordinary message
	TypeFarewell = 2 // the last message of a session
)

// Lengths in bytes of the parts of a message, in their order on the wire; the
// body stands between the disclosed seeds and the tag.
const (
	typeLen   = 1
	saltLen   = 12
	headerLen = 32 + 4 + 4 + 4
	sealedLen = headerLen + 16
	countLen  = 1
	seedLen   = 32
	tagLen    = 32
)

// Offsets of the parts whose place is fixed.
const (
	saltAt   = typeLen
	sealedAt = saltAt + saltLen
	countAt  = sealedAt + sealedLen
	seedsAt  = countAt + countLen
)

// Wire is a message taken apart, as anybody can do who sees it. The slices
// point into the message.
type Wire struct {
	Type      byte       // TypeMessage or TypeFarewell
	Salt      []byte     // 12 random bytes
	Header    []byte     // encrypted header, 60 bytes
	Disclosed [][32]byte // MAC seeds of chains that are closed
	Body      []byte     // encrypted body
	Tag       []byte     // 32 bytes
}

// ParseMessage takes a message apart. It refuses everything that Seal and
// Farewell cannot have made with ErrMalformed or ErrTooLong.
func ParseMessage(b []byte) (Wire, error) {
	p, err := parse(b)
	if err != nil {
		return Wire{}, err
	}
	return Wire{
		Type:      b[0],
		Salt:      b[saltAt:sealedAt],
		Header:    b[sealedAt:countAt],
		Disclosed: p.disclosed(b),
		Body:      b[p.body:p.tag],
		Tag:       b[p.tag:],
	}, nil
}

// parts says where the parts lie whose place depends on the message.
type parts struct {
	count     int // of disclosed seeds
	body, tag int // offsets
}

// parse checks the outer form of a message (R-RAT-05).
func parse(b []byte) (parts, error) {
	if len(b) > MaxMessage {
		return parts{}, ErrTooLong
	}
	if len(b) < Overhead {
		return parts{}, ErrMalformed
	}
	p := parts{count: int(b[countAt])}
	switch b[0] {
	case TypeMessage:
		if p.count > MaxDisclosed {
			return parts{}, ErrMalformed
		}
	case TypeFarewell:
		if p.count > MaxFarewell {
			return parts{}, ErrMalformed
		}
	default:
		return parts{}, ErrMalformed
	}
	p.body = seedsAt + p.count*seedLen
	p.tag = len(b) - tagLen
	if p.body > p.tag {
		return parts{}, ErrMalformed
	}
	if p.tag-p.body > MaxPlaintext {
		return parts{}, ErrTooLong
	}
	return p, nil
}

func (p parts) disclosed(b []byte) [][32]byte {
	if p.count == 0 {
		return nil
	}
	seeds := make([][32]byte, p.count)
	for i := range seeds {
		seeds[i] = [32]byte(b[seedsAt+i*seedLen:])
	}
	return seeds
}

// header is what the encrypted header says.
type header struct {
	key      [32]byte // the sender's ratchet key, not yet checked
	previous uint32   // how long the sender's previous chain was
	number   uint32   // of this message in its chain
	epoch    uint32   // that the chain rests on, at most MaxEpoch
	piece    bool     // the body ends in a piece
}

// pieceBit of the header's last field tells that the body ends in a piece; the
// other bits are the epoch.
const pieceBit = 1 << 31

func (h *header) put(b []byte) {
	_ = b[headerLen-1]
	copy(b, h.key[:])
	binary.BigEndian.PutUint32(b[32:], h.previous)
	binary.BigEndian.PutUint32(b[36:], h.number)
	last := h.epoch
	if h.piece {
		last |= pieceBit
	}
	binary.BigEndian.PutUint32(b[40:], last)
}

// seal encrypts h into its place in the message under construction
// (R-RAT-10).
func (c *headerCipher) seal(message []byte, h *header) {
	in := message[sealedAt : sealedAt+headerLen]
	h.put(in)
	c.aead.Seal(in[:0], message[saltAt:sealedAt], in, message[:typeLen])
}

// open decrypts the header of message, using scratch, at least headerLen bytes,
// and reports whether c is the key it was sealed under.
func (c *headerCipher) open(h *header, scratch, message []byte) bool {
	b, err := c.aead.Open(scratch[:0:headerLen], message[saltAt:sealedAt], message[sealedAt:countAt], message[:typeLen])
	if err != nil {
		return false
	}
	h.key = [32]byte(b)
	h.previous = binary.BigEndian.Uint32(b[32:])
	h.number = binary.BigEndian.Uint32(b[36:])
	last := binary.BigEndian.Uint32(b[40:])
	h.epoch, h.piece = last&^pieceBit, last&pieceBit != 0
	return true
}
