// Package codec is the one encoding of pawl: CBOR core deterministic (RFC 8949
// §4.2) with integer keys, no floats and no tags.
//
// The library's strict options still let several non-canonical forms pass, so
// Unmarshal encodes what it decoded once more and compares: two different byte
// strings never decode to the same value (R-COD-01). Types decoded here are
// structs tagged keyasint (objects that may grow) or toarray (fixed
// envelopes), with byte strings as []byte whose lengths the owner checks.
//
// Not its concern: what the objects mean and how long they may be in their
// context; every caller passes its own size limit.
package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Errors of Unmarshal. Neither text carries any of the input.
var (
	ErrTooLong      = errors.New("codec: encoding exceeds its size limit")
	ErrMalformed    = errors.New("codec: malformed encoding")
	ErrNotCanonical = errors.New("codec: encoding is not canonical")
)

// Raw is an encoded object kept as the bytes it arrived in, for objects that
// are signed or relayed whole.
type Raw = cbor.RawMessage

var enc, dec = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty
	eo.TagsMd = cbor.TagsForbidden
	eo.IndefLength = cbor.IndefLengthForbidden
	em, err := eo.EncMode()
	if err != nil {
		panic(err)
	}
	dm, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxArray,
		MaxMapPairs:       MaxPairs,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		BignumTag:         cbor.BignumTagForbidden,
		BinaryUnmarshaler: cbor.BinaryUnmarshalerNone,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return em, dm
}

// Bounds on what a decoder builds, whatever the input's length (R-COD-04). Ours, not the
// specification's: no pawl object comes near them.
const (
	MaxDepth = 8
	MaxArray = 1024
	MaxPairs = 64
)

// Marshal encodes v. It panics when v is of a type that cannot be encoded,
// which is a defect of the caller and never a matter of data.
func Marshal(v any) []byte {
	b, err := enc.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("codec: %T cannot be encoded: %v", v, err))
	}
	return b
}

// Unmarshal decodes data, at most limit bytes long, into the struct v points
// to. It accepts exactly the encodings that Marshal produces for v's type:
// unknown keys, other orders, longer integers, missing required and trailing
// bytes are refused. v is unspecified after an error.
func Unmarshal(data []byte, limit int, v any) error {
	if len(data) > limit { // R-COD-02: before anything is built
		return ErrTooLong
	}
	if err := dec.Unmarshal(data, v); err != nil { // R-COD-03
		return ErrMalformed
	}
	again, err := enc.Marshal(v)
	if err != nil {
		return ErrMalformed
	}
	if !bytes.Equal(again, data) {
		return ErrNotCanonical
	}
	return nil
}
