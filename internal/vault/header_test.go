package vault

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

var rewrite = flag.Bool("update", false, "write the vectors anew")

// cheap is the least that a header may ask for.
var cheap = cost{Time: 1, Memory: minArgonMemory, Threads: 1}

// sample returns a header and the secret and key in it, all fixed.
func sample(m method) (*header, *secret, [32]byte) {
	master, salt, nonce := [32]byte{1, 2, 3}, [32]byte{4, 5, 6}, [24]byte{7, 8, 9}
	s := &secret{method: m, bytes: []byte("correct horse battery staple")}
	if m == byKeyFile {
		s.bytes = bytes.Repeat([]byte{0x5a}, KeyFileSize)
	}
	return wrapWith(&master, s, cheap, salt, nonce), s, master
}

// reframe puts a header's body into a frame with a right checksum.
func reframe(version uint64, body []byte) []byte {
	sum := checksum(version, body)
	return codec.Marshal(&frame{Version: version, Body: body, Sum: sum[:]})
}

func TestR_VLT_05_HeaderDamage(t *testing.T) {
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, s, master := sample(m)
		b := h.encode()
		back, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := back.unwrap(s); err != nil || got != master {
			t.Fatalf("unwrap: %v", err)
		}
		for i := range b {
			for bit := range 8 {
				c := bytes.Clone(b)
				c[i] ^= 1 << bit
				if _, err := parseHeader(c); !errors.Is(err, ErrDamaged) {
					t.Errorf("byte %d, bit %d: %v", i, bit, err)
				}
			}
		}
		for n := range b {
			if _, err := parseHeader(b[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("cut to %d: %v", n, err)
			}
		}
		if _, err := parseHeader(append(bytes.Clone(b), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("made longer: %v", err)
		}
		if _, err := parseHeader(reframe(version+1, codec.Marshal(h))); !errors.Is(err, ErrNewer) {
			t.Errorf("next version: %v", err)
		}
		if _, err := parseHeader(reframe(0, codec.Marshal(h))); !errors.Is(err, ErrDamaged) {
			t.Errorf("version 0: %v", err)
		}
	}
}

// A file cannot make us compute for hours or fill the memory.
func TestR_VLT_06_CostIsBounded(t *testing.T) {
	for _, c := range []struct {
		cost cost
		ok   bool
	}{
		{cost{argonTime, argonMemory, argonThreads}, true},
		{cost{maxArgonTime, maxArgonMemory, maxArgonThreads}, true},
		{cheap, true},
		{cost{maxArgonTime + 1, argonMemory, 4}, false},
		{cost{3, 100 << 20, 4}, false},
		{cost{3, maxArgonMemory + 1, 4}, false},
		{cost{3, argonMemory, maxArgonThreads + 1}, false},
		{cost{3, argonMemory, 256 + 4}, false},
		{cost{0, argonMemory, 4}, false},
		{cost{3, minArgonMemory - 1, 4}, false},
		{cost{3, argonMemory, 0}, false},
	} {
		h, _, _ := sample(byPassphrase)
		h.Cost = &c.cost
		_, err := parseHeader(h.encode())
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", c.cost, err)
		}
	}
	h, _, _ := sample(byPassphrase)
	h.Cost = nil
	if _, err := parseHeader(h.encode()); !errors.Is(err, ErrDamaged) {
		t.Errorf("no cost: %v", err)
	}
	h, _, _ = sample(byKeyFile)
	h.Cost = &cost{1, minArgonMemory, 1}
	if _, err := parseHeader(h.encode()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a cost for a key file: %v", err)
	}
}

// The cost, the salt and the method are bound to the wrapped key: whoever
// changes one with its checksum gets a wrong key, not another derivation.
func TestR_VLT_04_HeaderIsBound(t *testing.T) {
	h, s, _ := sample(byKeyFile)
	h.Salt = bytes.Clone(h.Salt)
	h.Salt[0] ^= 1
	back, err := parseHeader(h.encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another salt: %v", err)
	}
	h, s, _ = sample(byPassphrase)
	h.Cost = &cost{Time: 2, Memory: minArgonMemory, Threads: 1}
	if back, err = parseHeader(h.encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another cost: %v", err)
	}
	s.method = byKeyFile
	if _, err := back.unwrap(s); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another method: %v", err)
	}
}

type vectorFile struct {
	Area    string   `json:"area"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
	Header string `json:"header,omitempty"`
	Secret string `json:"secret,omitempty"`
	Master string `json:"master,omitempty"`
	Table  string `json:"table,omitempty"`
	Key    string `json:"key,omitempty"`
	Group  string `json:"group,omitempty"`
	Order  int64  `json:"order,omitempty"`
	Value  string `json:"value,omitempty"`
	KeyID  string `json:"key_name,omitempty"`
	GrpID  string `json:"group_name,omitempty"`
	Sealed string `json:"sealed,omitempty"`
}

var reasons = map[string]error{"ErrDamaged": ErrDamaged, "ErrNewer": ErrNewer, "ErrWrongKey": ErrWrongKey}

func vectors() vectorFile {
	x := hex.EncodeToString
	f := vectorFile{Area: "vault"}
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, s, master := sample(m)
		name := map[method]string{byPassphrase: "header for a passphrase", byKeyFile: "header for a key file"}[m]
		b := h.encode()
		f.Vectors = append(f.Vectors, vector{Name: name, Kind: "positive", Header: x(b), Secret: x(s.bytes), Master: x(master[:])})
		b[len(b)-1] ^= 1
		f.Vectors = append(f.Vectors, vector{Name: name + ", checksum altered", Kind: "negative", Reason: "ErrDamaged", Header: x(b), Secret: x(s.bytes)})
		other := bytes.Clone(s.bytes)
		other[0] ^= 1
		f.Vectors = append(f.Vectors, vector{Name: name + ", another secret", Kind: "negative", Reason: "ErrWrongKey", Header: x(h.encode()), Secret: x(other)})
	}
	h, s, master := sample(byPassphrase)
	f.Vectors = append(f.Vectors, vector{Name: "header of version 2", Kind: "negative", Reason: "ErrNewer", Header: x(reframe(2, codec.Marshal(h))), Secret: x(s.bytes)})
	h.Cost = &cost{3, 100 << 20, 4}
	f.Vectors = append(f.Vectors, vector{Name: "header that asks for 100 GiB", Kind: "negative", Reason: "ErrDamaged", Header: x(h.encode()), Secret: x(s.bytes)})

	k := derive(&master)
	r := Row{[]byte("key"), []byte("group"), -5, []byte("value")}
	kb, gb := k.name(ofKey, "message", r.Key), k.name(ofGroup, "message", r.Group)
	sealed := k.sealWith(nil, [24]byte{0xaa}, "message", kb, gb, r)
	f.Vectors = append(f.Vectors, vector{Name: "row", Kind: "positive", Master: x(master[:]), Table: "message", Key: x(r.Key), Group: x(r.Group),
		Order: r.Order, Value: x(r.Value), KeyID: x(kb[:]), GrpID: x(gb[:]), Sealed: x(sealed)})
	f.Vectors = append(f.Vectors, vector{Name: "row under another order", Kind: "negative", Reason: "ErrDamaged", Master: x(master[:]), Table: "message",
		Order: -4, KeyID: x(kb[:]), GrpID: x(gb[:]), Sealed: x(sealed)})
	f.Vectors = append(f.Vectors, vector{Name: "row under another table", Kind: "negative", Reason: "ErrDamaged", Master: x(master[:]), Table: "outbox",
		Order: -5, KeyID: x(kb[:]), GrpID: x(gb[:]), Sealed: x(sealed)})
	return f
}

func TestVectors(t *testing.T) {
	path := filepath.Join("..", "..", "spec", "vectors", "vault.json")
	want, err := json.MarshalIndent(vectors(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *rewrite {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the vectors are not what this code makes; stores already written could no longer be read")
	}
	var f vectorFile
	if err := json.Unmarshal(got, &f); err != nil || len(f.Vectors) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, v := range f.Vectors {
		if err := v.check(t); !errors.Is(err, reasons[v.Reason]) || v.Kind == "negative" && reasons[v.Reason] == nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func (v *vector) check(t *testing.T) error {
	un := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if v.Header != "" {
		h, err := parseHeader(un(v.Header))
		if err != nil {
			return err
		}
		master, err := h.unwrap(&secret{method: h.Method, bytes: un(v.Secret)})
		if err == nil && !bytes.Equal(master[:], un(v.Master)) {
			t.Errorf("%s: another master key", v.Name)
		}
		return err
	}
	k := derive((*[32]byte)(un(v.Master)))
	r, err := k.open(un(v.Sealed), v.Table, blind(un(v.KeyID)), blind(un(v.GrpID)), v.Order)
	if err == nil && (!bytes.Equal(r.Key, un(v.Key)) || !bytes.Equal(r.Group, un(v.Group)) || !bytes.Equal(r.Value, un(v.Value))) {
		t.Errorf("%s: another row", v.Name)
	}
	return err
}

func FuzzHeader(f *testing.F) {
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, _, _ := sample(m)
		f.Add(h.encode())
		f.Add(codec.Marshal(h))
		f.Add(reframe(2, codec.Marshal(h)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Once as it is, once as a body with a right checksum, which no
		// mutation would find.
		for _, in := range [][]byte{b, reframe(version, b)} {
			h, err := parseHeader(in)
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
					t.Fatal(err)
				}
				continue
			}
			if !bytes.Equal(h.encode(), in) {
				t.Fatal("accepted what it would not write")
			}
			if h.Cost != nil && !h.Cost.valid() {
				t.Fatal("accepted a cost out of bounds")
			}
		}
	})
}

func FuzzRow(f *testing.F) {
	master := [32]byte{1}
	k := derive(&master)
	kb, gb := k.name(ofKey, "t", []byte("k")), k.name(ofGroup, "t", []byte("g"))
	f.Add(k.sealWith(nil, [24]byte{}, "t", kb, gb, Row{[]byte("k"), []byte("g"), 1, []byte("v")}), int64(1))
	f.Add([]byte("short"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, order int64) {
		in := bytes.Clone(b)
		r, err := k.open(bytes.Clone(b), "t", kb, gb, order)
		if err != nil {
			if err != ErrDamaged {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k.sealWith(nil, [24]byte(in), "t", kb, gb, r), in) {
			t.Fatal("accepted what it would not write")
		}
	})
}
