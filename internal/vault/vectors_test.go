package vault

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

type vectorFile struct {
	Area    string   `json:"area"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
	CDDL   string `json:"cddl,omitempty"`
	Header string `json:"encoded,omitempty"`
	Body   *body  `json:"body,omitempty"`
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

// body is the object inside the frame.
type body struct {
	CDDL    string `json:"cddl"`
	Encoded string `json:"encoded"`
}

var reasons = map[string]error{"ErrDamaged": ErrDamaged, "ErrNewer": ErrNewer, "ErrWrongKey": ErrWrongKey}

func vectors() vectorFile {
	x := hex.EncodeToString
	f := vectorFile{Area: "vault"}
	for _, m := range []method{byPassphrase, byKeyFile} {
		h, s, master := sample(m)
		name := map[method]string{byPassphrase: "header for a passphrase", byKeyFile: "header for a key file"}[m]
		b := h.encode()
		f.Vectors = append(f.Vectors, vector{Name: name, Kind: "positive", Header: x(b), Body: &body{"vault-header", x(codec.Marshal(h))},
			Secret: x(s.bytes), Master: x(master[:])})
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
	for i := range f.Vectors {
		if f.Vectors[i].Header != "" {
			f.Vectors[i].CDDL = "vault-frame"
		}
	}
	return f
}

func TestVectors(t *testing.T) {
	var f vectorFile
	if err := json.Unmarshal(vectorfile.Pin(t, "../../spec/vectors/vault.json", vectors()), &f); err != nil || len(f.Vectors) == 0 {
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
