package relay

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

func sends() []SendRequest {
	one := Outgoing{Device: 1, ID: MessageID{1}, Body: []byte("x")}
	two := Outgoing{Device: 1 << 63, ID: MessageID{2}, Body: bytes.Repeat([]byte("y"), 300)}
	return []SendRequest{
		{To: "bob", Messages: []Outgoing{one}},
		{To: "bøb", ListVersion: 7, Messages: []Outgoing{one, two}},
		{To: "bob", TTL: 60, Messages: []Outgoing{two}},
		{To: "bob", ListVersion: 1 << 40, TTL: 2592000, Messages: []Outgoing{one, two}},
		{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 3, Messages: []Outgoing{two, one}}},
		{To: "bob", ListVersion: 2, TTL: 60, Messages: []Outgoing{two}, Own: &OwnCopies{ListVersion: 1 << 33, Messages: []Outgoing{}}},
	}
}

// The written-out codec and the general one agree on every input: which bytes
// are a request, and which request it is.
func FuzzSendRequest(f *testing.F) {
	for _, s := range sends() {
		f.Add(s.Encode())
	}
	f.Add([]byte{0xa2, 0x01, 0x60, 0x04, 0x80})
	f.Add([]byte{0xa2, 0x01, 0x63, 'b', 'o', 'b', 0x04, 0x81, 0x83, 0x18, 0x01, 0x41, 0x01, 0x41, 0x01})
	// Own copies: null, version zero, a field more, a field less, keys reversed.
	for _, own := range [][]byte{
		{0xf6}, {0xa2, 1, 0, 2, 0x80}, {0xa3, 1, 1, 2, 0x80, 3, 0}, {0xa1, 1, 1}, {0xa2, 2, 0x80, 1, 1}, {0xa2, 1, 1, 2, 0xf6},
	} {
		b := []byte{0xa3, 0x01, 0x63, 'b', 'o', 'b', 0x04, 0x81, 0x83, 0x01, 0x50}
		b = append(append(b, make([]byte, 16)...), 0x41, 0x01, 0x05)
		f.Add(append(b, own...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want SendRequest
		wantErr := Decode(b, &want)
		got, err := DecodeSend(b)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("DecodeSend: %v, Decode: %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("DecodeSend = %+v, Decode = %+v", got, want)
		}
		if !bytes.Equal(got.Encode(), b) || !bytes.Equal(codec.Marshal(&got), b) {
			t.Fatal("the request encodes to other bytes")
		}
	})
}

func TestSendRequestEncodings(t *testing.T) {
	for _, s := range sends() {
		b := s.Encode()
		if !bytes.Equal(b, codec.Marshal(&s)) {
			t.Fatalf("%+v encodes to %x, not %x", s, b, codec.Marshal(&s))
		}
		for n := range b {
			if _, err := DecodeSend(b[:n]); err == nil {
				t.Fatalf("a prefix of %d bytes decodes", n)
			}
		}
	}
	bad := SendRequest{To: "bob", TTL: -5, Messages: []Outgoing{{Device: 1, Body: []byte("x")}}}
	if !bytes.Equal(bad.Encode(), codec.Marshal(&bad)) {
		t.Fatal("a negative lifetime encodes differently")
	}
	if _, err := DecodeSend(bad.Encode()); err == nil {
		t.Fatal("a negative lifetime decodes")
	}
}
