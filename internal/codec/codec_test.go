package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// object has one field of each shape that pawl encodes.
type object struct {
	N     uint64   `cbor:"1,keyasint"`
	B     []byte   `cbor:"2,keyasint"`
	S     string   `cbor:"3,keyasint"`
	L     []uint64 `cbor:"4,keyasint,omitempty"`
	Later uint64   `cbor:"24,keyasint,omitempty"`
}

type envelope struct {
	_    struct{} `cbor:",toarray"`
	N    uint64
	Body []byte
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestR_COD_01_OneEncodingPerValue(t *testing.T) {
	good := "a3 01 01 02 42 aabb 03 61 78"
	var o object
	if err := codec.Unmarshal(unhex(t, good), 100, &o); err != nil {
		t.Fatal(err)
	}
	if o.N != 1 || !bytes.Equal(o.B, []byte{0xaa, 0xbb}) || o.S != "x" {
		t.Fatalf("decoded %+v", o)
	}
	if got := codec.Marshal(o); !bytes.Equal(got, unhex(t, good)) {
		t.Fatalf("encodes to %x", got)
	}
	for name, bad := range map[string]string{
		"integer in two bytes":       "a3 01 1801 02 42aabb 03 6178",
		"key in two bytes":           "a3 1801 01 02 42aabb 03 6178",
		"length in two bytes":        "a3 01 01 02 5802aabb 03 6178",
		"map length in two bytes":    "b803 01 01 02 42aabb 03 6178",
		"keys out of order":          "a3 02 42aabb 01 01 03 6178",
		"key twice":                  "a4 01 01 01 01 02 42aabb 03 6178",
		"null for a byte string":     "a3 01 01 02 f6 03 6178",
		"undefined for an integer":   "a3 01 f7 02 42aabb 03 6178",
		"null for text":              "a3 01 01 02 42aabb 03 f6",
		"field missing":              "a2 01 01 03 6178",
		"integers as bytes":          "a3 01 01 02 82 18aa 18bb 03 6178",
		"text as bytes":              "a3 01 01 02 62 4142 03 6178",
		"optional field present, 0":  "a4 01 01 02 42aabb 03 6178 1818 00",
		"optional list present, []":  "a4 01 01 02 42aabb 03 6178 04 80",
		"trailing byte":              "a3 01 01 02 42aabb 03 6178 00",
		"second object":              "a3 01 01 02 42aabb 03 6178 a3 01 01 02 42aabb 03 6178",
		"nothing":                    "",
		"null":                       "f6",
		"array for a map":            "83 01 42aabb 6178",
		"integer as a float":         "a3 01 f93c00 02 42aabb 03 6178",
		"integer as a true":          "a3 01 f5 02 42aabb 03 6178",
		"negative for unsigned":      "a3 01 20 02 42aabb 03 6178",
		"indefinite byte string":     "a3 01 01 02 5f 42aabb ff 03 6178",
		"indefinite map":             "bf 01 01 02 42aabb 03 6178 ff",
		"text key":                   "a4 01 01 02 42aabb 03 6178 6178 01",
		"unknown key":                "a4 01 01 02 42aabb 03 6178 05 01",
		"tagged":                     "c1 a3 01 01 02 42aabb 03 6178",
		"tagged field":               "a3 01 c2 41 01 02 42aabb 03 6178",
		"text that is not UTF-8":     "a3 01 01 02 42aabb 03 61ff",
		"integer beyond 64 bits":     "a3 01 c2 49 010000000000000000 02 42aabb 03 6178",
		"reserved additional info":   "a3 01 1c 02 42aabb 03 6178",
		"byte string past the end":   "a3 01 01 02 5affffffff 03 6178",
		"break without a beginning":  "ff",
		"simple value in two bytes":  "a3 01 f801 02 42aabb 03 6178",
		"huge array header":          "a4 01 01 02 42aabb 03 6178 04 9affffffff",
		"map key of bytes":           "a3 01 01 41 02 42aabb 03 6178",
		"negative spelling of a key": "a3 20 01 02 42aabb 03 6178",
	} {
		o = object{}
		if err := codec.Unmarshal(unhex(t, bad), 100, &o); err == nil {
			t.Errorf("%s: accepted as %+v", name, o)
		} else if !errors.Is(err, codec.ErrMalformed) && !errors.Is(err, codec.ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR_COD_01_Envelope(t *testing.T) {
	var e envelope
	if err := codec.Unmarshal(unhex(t, "82 01 41aa"), 10, &e); err != nil || e.N != 1 || e.Body[0] != 0xaa {
		t.Fatal(e, err)
	}
	for name, bad := range map[string]string{
		"one element":       "81 01",
		"three elements":    "83 01 41aa 00",
		"length in 2 bytes": "9802 01 41aa",
		"indefinite":        "9f 01 41aa ff",
		"null body":         "82 01 f6",
		"map":               "a2 00 01 01 41aa",
	} {
		e = envelope{}
		if err := codec.Unmarshal(unhex(t, bad), 10, &e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestR_COD_02_SizeLimitComesFirst(t *testing.T) {
	b := codec.Marshal(object{N: 1, B: make([]byte, 50), S: "x"})
	var o object
	if err := codec.Unmarshal(b, len(b), &o); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := codec.Unmarshal(b, len(b)-1, &o); !errors.Is(err, codec.ErrTooLong) {
		t.Errorf("beyond the limit: %v", err)
	}
	// Even bytes that are no CBOR at all are refused for their length.
	if err := codec.Unmarshal(bytes.Repeat([]byte{0xff}, 11), 10, &o); !errors.Is(err, codec.ErrTooLong) {
		t.Errorf("garbage beyond the limit: %v", err)
	}
}

func TestR_COD_03_EveryPrefixIsRefused(t *testing.T) {
	b := codec.Marshal(object{N: 1 << 40, B: []byte("bytes"), S: "text", L: []uint64{1, 2, 300}, Later: 7})
	for n := range b {
		var o object
		if err := codec.Unmarshal(b[:n], len(b), &o); err == nil {
			t.Errorf("prefix of %d bytes accepted", n)
		}
	}
}

func TestR_COD_04_Bounds(t *testing.T) {
	type list struct {
		L []struct{} `cbor:"1,keyasint"`
	}
	many := append([]byte{0xa1, 0x01, 0x99, 0x04, 0x01}, bytes.Repeat([]byte{0xa0}, 1025)...)
	var l list
	if err := codec.Unmarshal(many, 1<<20, &l); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("%d elements: %v", codec.MaxArray+1, err)
	}
	many[4] = 0x00
	if err := codec.Unmarshal(many[:len(many)-1], 1<<20, &l); err != nil || len(l.L) != codec.MaxArray {
		t.Errorf("%d elements: %v", codec.MaxArray, err)
	}
	deep := append(bytes.Repeat([]byte{0x81}, codec.MaxDepth+2), 0x80)
	var any []codec.Raw
	if err := codec.Unmarshal(deep, 1<<20, &any); err == nil {
		t.Error("deep nesting accepted")
	}
}

func TestMarshalPanicsOnWhatCannotBeEncoded(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	codec.Marshal(make(chan int))
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(codec.Marshal(object{N: 1, B: []byte{1, 2}, S: "x"}))
	f.Add(codec.Marshal(object{N: 1 << 63, B: []byte{}, S: "", L: []uint64{1}, Later: 9}))
	f.Add([]byte{0xa3, 0x01, 0x18, 0x01, 0x02, 0x40, 0x03, 0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		var o object
		if codec.Unmarshal(b, 1<<16, &o) == nil && !bytes.Equal(codec.Marshal(o), b) {
			t.Errorf("%x decodes but encodes to %x", b, codec.Marshal(o))
		}
		var e envelope
		if codec.Unmarshal(b, 1<<16, &e) == nil && !bytes.Equal(codec.Marshal(e), b) {
			t.Errorf("%x decodes but encodes to %x", b, codec.Marshal(e))
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	data := codec.Marshal(object{N: 1 << 40, B: make([]byte, 200), S: "some text"})
	b.ReportAllocs()
	for b.Loop() {
		var o object
		if err := codec.Unmarshal(data, 1<<10, &o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	o := object{N: 1 << 40, B: make([]byte, 200), S: "some text"}
	b.ReportAllocs()
	for b.Loop() {
		codec.Marshal(o)
	}
}
