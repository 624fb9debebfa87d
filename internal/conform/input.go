package conform

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// input takes the fields of a vector. What is missing or of another kind is
// remembered, and the zero value goes on.
type input struct {
	fields map[string]json.RawMessage
	bad    string // the first thing that was wrong
}

func (in *input) fail(name, what string) {
	if in.bad == "" {
		in.bad = fmt.Sprintf("field %s: %s", name, what)
	}
}

func (in *input) has(name string) bool { _, ok := in.fields[name]; return ok }

func (in *input) take(name string, to any, what string) {
	raw, ok := in.fields[name]
	if !ok {
		in.fail(name, "is missing")
		return
	}
	if json.Unmarshal(raw, to) != nil {
		in.fail(name, "is not "+what)
	}
}

func (in *input) text(name string) (s string) {
	in.take(name, &s, "text")
	return s
}

// bytes are hexadecimal, alone or as the encoding of an object.
func (in *input) bytes(name string) []byte {
	raw, ok := in.fields[name]
	if !ok {
		in.fail(name, "is missing")
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		var o struct{ Encoded *string }
		if json.Unmarshal(raw, &o) != nil || o.Encoded == nil {
			in.fail(name, "is not bytes")
			return nil
		}
		s = *o.Encoded
	}
	b, err := hex.DecodeString(s)
	if err != nil || s != strings.ToLower(s) {
		in.fail(name, "is not lower-case hexadecimal")
	}
	return b
}

// wrapped are bytes that an object holds as one byte string of CBOR, or that
// stand alone; wrap makes the field of other bytes.
func (in *input) wrapped(name string) (b []byte, wrap func([]byte) []byte) {
	b = in.bytes(name)
	var s string
	if json.Unmarshal(in.fields[name], &s) == nil {
		return b, func(b []byte) []byte { return b }
	}
	var inner []byte
	if codec.Unmarshal(b, len(b), &inner) != nil {
		in.fail(name, "is not a byte string of CBOR")
	}
	return inner, func(b []byte) []byte { return codec.Marshal(b) }
}

// maybe is bytes of a field that may be left out.
func (in *input) maybe(name string) []byte {
	if !in.has(name) {
		return nil
	}
	return in.bytes(name)
}

func (in *input) sized(name string, n int) []byte {
	b := in.bytes(name)
	if len(b) != n {
		in.fail(name, fmt.Sprintf("is not %d bytes", n))
		return make([]byte, n)
	}
	return b
}

func (in *input) key(name string) [32]byte { return [32]byte(in.sized(name, 32)) }

// number is a number in JSON, or text to a base.
func (in *input) number(name string, base int) uint64 {
	raw, ok := in.fields[name]
	if !ok {
		in.fail(name, "is missing")
		return 0
	}
	s := string(raw)
	if json.Unmarshal(raw, &s) != nil {
		s, base = string(bytes.TrimSpace(raw)), 10
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		in.fail(name, "is not a number")
	}
	return n
}

// optional is a number of a field that may be left out when it is 0.
func (in *input) optional(name string) uint64 {
	if !in.has(name) {
		return 0
	}
	return in.number(name, 10)
}

func (in *input) time(name string) time.Time {
	return time.Unix(int64(in.number(name, 10)&(1<<40-1)), 0)
}

// each is the objects of a list.
func (in *input) each(name string) (out []*input) {
	var list []map[string]json.RawMessage
	in.take(name, &list, "a list of objects")
	for _, fields := range list {
		out = append(out, &input{fields: fields})
	}
	return out
}

// object is an object that is a field.
func (in *input) object(name string) *input {
	o := &input{}
	in.take(name, &o.fields, "an object")
	return o
}

// list is a list of hexadecimal texts.
func (in *input) list(name string) (out [][]byte) {
	var all []string
	in.take(name, &all, "a list")
	for _, s := range all {
		b, err := hex.DecodeString(s)
		if err != nil {
			in.fail(name, "is not hexadecimal")
		}
		out = append(out, b)
	}
	return out
}

// same says whether the code's value is the vector's.
func (in *input) same(name string, got []byte) error {
	if !bytes.Equal(in.bytes(name), got) {
		return fmt.Errorf("%w: %s is %x", errDiffers, name, got)
	}
	return nil
}

func (in *input) sameText(name, got string) error {
	if in.text(name) != got {
		return fmt.Errorf("%w: %s is %q", errDiffers, name, got)
	}
	return nil
}
