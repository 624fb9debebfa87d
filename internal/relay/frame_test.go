package relay

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

func frames() []Frame {
	return []Frame{
		{0, uint64(OpPing), []byte{}},
		{1, uint64(OpLogin), []byte("body")},
		{23, 24, make([]byte, 23)},
		{255, 256, make([]byte, 255)},
		{65535, 65536, make([]byte, 256)},
		{1 << 32, 1<<32 - 1, make([]byte, 65536)},
		{math.MaxUint64, math.MaxUint64, []byte{0}},
	}
}

// The frame codec is the canonical CBOR of [id, kind, body].
func TestR_REL_07_FrameIsCanonicalCBOR(t *testing.T) {
	type generic struct {
		_    struct{} `cbor:",toarray"`
		ID   uint64
		Kind uint64
		Body []byte
	}
	var packet []byte
	for _, f := range frames() {
		b := AppendFrame(nil, f)
		if want := codec.Marshal(generic{ID: f.ID, Kind: f.Kind, Body: f.Body}); !bytes.Equal(b, want) {
			t.Fatalf("frame %d encodes to %x…, want %x…", f.ID, b[:8], want[:8])
		}
		if len(b) > FrameSize(len(f.Body)) {
			t.Fatalf("FrameSize(%d) is too small", len(f.Body))
		}
		for n := range min(len(b), 400) {
			if _, _, err := CutFrame(b[:n]); !errors.Is(err, ErrFrame) {
				t.Fatalf("a prefix of %d bytes: %v", n, err)
			}
		}
		packet = append(packet, b...)
	}
	for _, want := range frames() {
		f, rest, err := CutFrame(packet)
		if err != nil || f.ID != want.ID || f.Kind != want.Kind || !bytes.Equal(f.Body, want.Body) {
			t.Fatalf("frame %d of a packet: %+v, %v", want.ID, f.ID, err)
		}
		packet = rest
	}
	if len(packet) != 0 {
		t.Fatalf("%d bytes are left", len(packet))
	}
}

func FuzzCutFrame(f *testing.F) {
	for _, fr := range frames()[:6] {
		f.Add(AppendFrame(nil, fr))
	}
	f.Add([]byte{0x83, 0x18, 0x01, 0x01, 0x40}) // id 1 in two bytes
	f.Add([]byte{0x83, 0x01, 0x01, 0x5f, 0xff}) // body of indefinite length
	f.Add([]byte{0x84, 0x01, 0x01, 0x40, 0x40})
	f.Add([]byte{0x83, 0x01, 0x01, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, rest, err := CutFrame(b)
		if err != nil {
			return
		}
		if again := AppendFrame(nil, fr); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatal("what was accepted encodes to other bytes")
		}
	})
}
