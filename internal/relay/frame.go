package relay

import (
	"encoding/binary"
	"errors"
)

// ErrFrame says that bytes are not a sequence of frames.
var ErrFrame = errors.New("relay: malformed frame")

// Frame is one unit of the multiplexed connection, on the wire the canonical
// CBOR array [id, kind, body] with the body as a byte string (R-REL-07). For a
// request or a notice Kind is an [Op], for a response a [Code].
type Frame struct {
	ID   uint64
	Kind uint64
	Body []byte
}

const (
	majorUint     = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
	arrayOf3      = majorArray | 3
)

// AppendFrame appends f's encoding to dst.
func AppendFrame(dst []byte, f Frame) []byte {
	return append(AppendHead(dst, f.ID, f.Kind, len(f.Body)), f.Body...)
}

// AppendHead appends the encoding of a frame up to its body of n bytes, for
// callers that build the body in place.
func AppendHead(dst []byte, id, kind uint64, n int) []byte {
	dst = append(dst, arrayOf3)
	dst = appendUint(dst, majorUint, id)
	dst = appendUint(dst, majorUint, kind)
	return appendUint(dst, majorBytes, uint64(n))
}

// FrameSize returns the length of a frame whose body has n bytes, or a little
// more.
func FrameSize(n int) int { return 1 + 9 + 9 + 5 + n }

// CutFrame parses the first frame of packet and returns it and what follows.
// The body aliases packet. Heads that are longer than they need be are refused,
// so that a frame has one encoding.
func CutFrame(packet []byte) (f Frame, rest []byte, err error) {
	if len(packet) == 0 || packet[0] != arrayOf3 {
		return Frame{}, nil, ErrFrame
	}
	b := packet[1:]
	var n uint64
	for _, field := range [...]struct {
		major byte
		to    *uint64
	}{{majorUint, &f.ID}, {majorUint, &f.Kind}, {majorBytes, &n}} {
		if *field.to, b, err = cutUint(b, field.major); err != nil {
			return Frame{}, nil, err
		}
	}
	if n > uint64(len(b)) {
		return Frame{}, nil, ErrFrame
	}
	f.Body = b[:n:n]
	return f, b[n:], nil
}

func appendUint(dst []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(dst, major|byte(v))
	case v < 1<<8:
		return append(dst, major|24, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), v)
}

func cutUint(b []byte, major byte) (v uint64, rest []byte, err error) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, ErrFrame
	}
	info, b := b[0]&0x1f, b[1:]
	if info < 24 {
		return uint64(info), b, nil
	}
	if info > 27 {
		return 0, nil, ErrFrame
	}
	n := 1 << (info - 24)
	if len(b) < n {
		return 0, nil, ErrFrame
	}
	for _, c := range b[:n] {
		v = v<<8 | uint64(c)
	}
	least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]
	if v < least {
		return 0, nil, ErrFrame
	}
	return v, b[n:], nil
}
