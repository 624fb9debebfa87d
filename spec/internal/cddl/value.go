package cddl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// Kind is the CBOR major type of a Value, as far as pawl uses CBOR.
type Kind uint8

// Kinds.
const (
	Uint  Kind = iota // N
	Nint              // -1 - N
	Bytes             // Data
	Text              // Data
	Array             // Items
	Map               // Pairs
	Bool              // N is 0 or 1
	Null
)

// Value is one decoded data item.
type Value struct {
	Kind  Kind
	N     uint64
	Data  []byte
	Items []Value
	Pairs []Pair
}

// Pair is one entry of a map.
type Pair struct{ Key, Value Value }

// ErrEncoding is wrapped by every refusal of Decode.
var ErrEncoding = errors.New("cddl: not a deterministic encoding")

// Bounds on what Decode follows; vectors stay far below.
const (
	maxDepth = 32
	maxItems = 1 << 16
)

// Decode reads exactly one data item in core deterministic encoding (RFC 8949
// §4.2.1) without floats and tags. It shares no code with internal/codec, so
// that the two can disagree.
func Decode(b []byte) (Value, error) {
	d := decoder{rest: b}
	v, err := d.item(0)
	if err != nil {
		return Value{}, err
	}
	if len(d.rest) != 0 {
		return Value{}, fmt.Errorf("%w: bytes after the item", ErrEncoding)
	}
	return v, nil
}

type decoder struct {
	rest  []byte
	items int
}

func refuse(what string) error { return fmt.Errorf("%w: %s", ErrEncoding, what) }

// head reads an initial byte and its argument, which must be as short as can be.
func (d *decoder) head() (major byte, info byte, n uint64, err error) {
	if len(d.rest) == 0 {
		return 0, 0, 0, refuse("truncated")
	}
	major, info = d.rest[0]>>5, d.rest[0]&31
	d.rest = d.rest[1:]
	if info < 24 {
		return major, info, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, 0, refuse("indefinite length or reserved head")
	}
	size := 1 << (info - 24)
	if len(d.rest) < size {
		return 0, 0, 0, refuse("truncated")
	}
	var full [8]byte
	copy(full[8-size:], d.rest[:size])
	d.rest = d.rest[size:]
	n = binary.BigEndian.Uint64(full[:])
	if info == 24 && n < 24 || info > 24 && bits.Len64(n) <= 4*size {
		return 0, 0, 0, refuse("argument is not the shortest")
	}
	return major, info, n, nil
}

func (d *decoder) item(depth int) (Value, error) {
	if d.items++; depth > maxDepth || d.items > maxItems {
		return Value{}, refuse("too deep or too many items")
	}
	major, info, n, err := d.head()
	if err != nil {
		return Value{}, err
	}
	switch major {
	case 0:
		return Value{Kind: Uint, N: n}, nil
	case 1:
		return Value{Kind: Nint, N: n}, nil
	case 2, 3:
		if n > uint64(len(d.rest)) {
			return Value{}, refuse("truncated")
		}
		v := Value{Kind: Bytes, Data: d.rest[:n:n]}
		d.rest = d.rest[n:]
		if major == 3 {
			v.Kind = Text
			if !utf8.Valid(v.Data) {
				return Value{}, refuse("text is not UTF-8")
			}
		}
		return v, nil
	case 4:
		v := Value{Kind: Array}
		for ; n > 0; n-- {
			e, err := d.item(depth + 1)
			if err != nil {
				return Value{}, err
			}
			v.Items = append(v.Items, e)
		}
		return v, nil
	case 5:
		return d.pairs(n, depth)
	case 7:
		switch info {
		case 20, 21:
			return Value{Kind: Bool, N: uint64(info - 20)}, nil
		case 22:
			return Value{Kind: Null}, nil
		}
		return Value{}, refuse("float, undefined or unassigned simple value")
	}
	return Value{}, refuse("tag")
}

// pairs reads n map entries whose encoded keys strictly ascend bytewise.
func (d *decoder) pairs(n uint64, depth int) (Value, error) {
	v := Value{Kind: Map}
	var last []byte
	for ; n > 0; n-- {
		before := d.rest
		k, err := d.item(depth + 1)
		if err != nil {
			return Value{}, err
		}
		key := before[:len(before)-len(d.rest)]
		if last != nil && string(last) >= string(key) {
			return Value{}, refuse("map keys out of order or repeated")
		}
		last = key
		e, err := d.item(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Pairs = append(v.Pairs, Pair{k, e})
	}
	return v, nil
}

// Append encodes v: the inverse of Decode.
func (v Value) Append(dst []byte) []byte {
	head := func(major byte, n uint64) {
		major <<= 5
		switch {
		case n < 24:
			dst = append(dst, major|byte(n))
		case n < 1<<8:
			dst = append(dst, major|24, byte(n))
		case n < 1<<16:
			dst = binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
		case n < 1<<32:
			dst = binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
		default:
			dst = binary.BigEndian.AppendUint64(append(dst, major|27), n)
		}
	}
	switch v.Kind {
	case Uint:
		head(0, v.N)
	case Nint:
		head(1, v.N)
	case Bytes:
		head(2, uint64(len(v.Data)))
		dst = append(dst, v.Data...)
	case Text:
		head(3, uint64(len(v.Data)))
		dst = append(dst, v.Data...)
	case Array:
		head(4, uint64(len(v.Items)))
		for _, e := range v.Items {
			dst = e.Append(dst)
		}
	case Map:
		head(5, uint64(len(v.Pairs)))
		for _, p := range v.Pairs {
			dst = p.Value.Append(p.Key.Append(dst))
		}
	case Bool:
		head(7, 20+v.N)
	case Null:
		head(7, 22)
	}
	return dst
}

// equal compares two scalars.
func (v Value) equal(w Value) bool {
	return v.Kind == w.Kind && v.N == w.N && string(v.Data) == string(w.Data) && len(v.Items)+len(w.Items)+len(v.Pairs)+len(w.Pairs) == 0
}

func (v Value) integer() bool { return v.Kind == Uint || v.Kind == Nint }

// compare orders two integers.
func (v Value) compare(w Value) int {
	switch {
	case v.Kind == Nint && w.Kind == Uint:
		return -1
	case v.Kind == Uint && w.Kind == Nint:
		return 1
	case v.N == w.N:
		return 0
	case (v.N < w.N) == (v.Kind == Uint):
		return -1
	}
	return 1
}

func (v Value) String() string {
	switch v.Kind {
	case Uint:
		return fmt.Sprint(v.N)
	case Nint:
		if v.N == 1<<64-1 {
			return "-18446744073709551616"
		}
		return fmt.Sprintf("-%d", v.N+1)
	case Bytes:
		return fmt.Sprintf("%d bytes", len(v.Data))
	case Text:
		return fmt.Sprintf("text of %d bytes", len(v.Data))
	case Array:
		return fmt.Sprintf("array of %d", len(v.Items))
	case Map:
		return fmt.Sprintf("map of %d", len(v.Pairs))
	case Bool:
		return fmt.Sprint(v.N == 1)
	}
	return "null"
}
