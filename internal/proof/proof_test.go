package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/proof"
)

var began = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// account is one with its device list and the keys of its devices.
type account struct {
	key     ed25519.PrivateKey
	addr    address.Address
	devices []ed25519.PrivateKey
	chain   [][]byte
	list    devicelist.List
}

func seed(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func (a *account) public() ed25519.PublicKey { return a.key.Public().(ed25519.PublicKey) }

func newAccount(t testing.TB, n byte, name string) *account {
	t.Helper()
	addr, err := address.ParseCanonical(name)
	if err != nil {
		t.Fatal(err)
	}
	a := &account{key: seed(n), addr: addr}
	a.put(t, devicelist.First(a.public(), addr, a.device(n+1, 1, began), began))
	return a
}

func (a *account) device(n byte, id uint64, at time.Time) devicelist.Device {
	a.devices = append(a.devices, seed(n))
	key := dh.FromBytes([32]byte{n, 9})
	return devicelist.NewDevice(a.public(), a.addr, address.Device(id), seed(n), key.Public(), "laptop", at)
}

func (a *account) put(t testing.TB, l devicelist.List) {
	t.Helper()
	entry, err := devicelist.Sign(l, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.chain = append(a.chain, entry)
	if a.list, err = devicelist.VerifyChain(a.chain); err != nil {
		t.Fatal(err)
	}
}

// revoke revokes the first device and adds a second.
func (a *account) revoke(t testing.TB, at time.Time) {
	t.Helper()
	l := a.list.Next(at)
	l.Devices[0].Status = devicelist.Revoked
	l.Devices = append(l.Devices, a.device(77, 2, at))
	a.put(t, l)
}

func (a *account) proof(at time.Time) *proof.Proof {
	p := &proof.Proof{Statement: proof.Statement{
		Account: a.public(), Author: a.addr.String(), Device: 1, To: "bob12@example.org", ID: [16]byte{1}, SentAt: at, Text: "I owe you ten.",
	}, Chain: a.chain}
	p.Signature = p.Sign(a.devices[0])
	return p
}

// R-TRN-20, R-TRN-22, R-TRN-23
func TestR_TRN_23_Verify(t *testing.T) {
	a := newAccount(t, 1, "alice@example.org")
	sent := began.Add(24 * time.Hour)
	p := a.proof(sent)
	again, err := proof.Parse(p.Encode())
	if err != nil {
		t.Fatal(err)
	}
	r, err := again.Verify()
	if err != nil || r.Identity != devicelist.Fingerprint(a.public()) || r.DeviceName != "laptop" || !r.RevokedAt.IsZero() || r.List != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, change := range map[string]func(s *proof.Statement){
		"text": func(s *proof.Statement) { s.Text = "I owe you one." }, "time": func(s *proof.Statement) { s.SentAt = sent.Add(time.Millisecond) },
		"to": func(s *proof.Statement) { s.To = "carol@example.org" }, "id": func(s *proof.Statement) { s.ID[1]++ },
		"subject": func(s *proof.Statement) { s.Subject = "x" }, "reply": func(s *proof.Statement) { s.ReplyTo = make([]byte, 16) },
		"mentions": func(s *proof.Statement) { s.Mentions = []string{"bob12@example.org"} },
	} {
		x := *p
		change(&x.Statement)
		if _, err := x.Verify(); !errors.Is(err, proof.ErrSignature) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	mallory := newAccount(t, 9, "mallory@example.org")
	for name, c := range map[string]struct {
		want   error
		change func(x *proof.Proof)
	}{
		"the chain of another account": {proof.ErrChain, func(x *proof.Proof) { x.Chain = mallory.chain }},
		"another author":               {proof.ErrChain, func(x *proof.Proof) { x.Author = "mallory@example.org" }},
		"no chain":                     {proof.ErrChain, func(x *proof.Proof) { x.Chain = nil }},
		"a chain with a gap":           {proof.ErrChain, func(x *proof.Proof) { x.Chain = append([][]byte{}, a.chain[0], a.chain[0]) }},
		"another device":               {proof.ErrDevice, func(x *proof.Proof) { x.Device = 5 }},
		"another key":                  {proof.ErrSignature, func(x *proof.Proof) { x.Signature = x.Sign(mallory.devices[0]) }},
		"long before the device":       {proof.ErrDevice, func(x *proof.Proof) { *x = *a.proof(began.Add(-2 * time.Hour)) }},
		"one account under the name of another": {proof.ErrChain, func(x *proof.Proof) {
			*x = *mallory.proof(sent)
			x.Author, x.Account = "alice@example.org", a.public()
			x.Signature = x.Sign(mallory.devices[0])
		}},
	} {
		x := *p
		c.change(&x)
		if _, err := x.Verify(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// Revoked: what it says to have sent before holds, what it says to have sent
	// since does not.
	revoked := began.Add(48 * time.Hour)
	a.revoke(t, revoked)
	if r, err := a.proof(sent).Verify(); err != nil || !r.RevokedAt.Equal(revoked) || r.List != 2 {
		t.Errorf("revoked later: %+v, %v", r, err)
	}
	for _, at := range []time.Time{revoked, revoked.Add(time.Hour)} {
		if _, err := a.proof(at).Verify(); !errors.Is(err, proof.ErrRevoked) {
			t.Errorf("revoked before: %v", err)
		}
	}
	swapped := *a.proof(sent)
	swapped.Chain = [][]byte{a.chain[1], a.chain[0]}
	if _, err := swapped.Verify(); !errors.Is(err, proof.ErrChain) {
		t.Errorf("entries swapped: %v", err)
	}
}

// R-TRN-22: a proof is written in one way.
func TestR_TRN_22_File(t *testing.T) {
	a := newAccount(t, 1, "alice@example.org")
	file := a.proof(began).Encode()
	for n := range file {
		if _, err := proof.Parse(file[:n]); !errors.Is(err, proof.ErrMalformed) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := proof.Parse(append(bytes.Clone(file), 0)); !errors.Is(err, proof.ErrMalformed) {
		t.Error(err)
	}
	later := bytes.Replace(file, []byte{0xa4, 1, 1}, []byte{0xa4, 1, 2}, 1)
	if _, err := proof.Parse(later); !errors.Is(err, proof.ErrVersion) {
		t.Error(err)
	}
	for name, change := range map[string]func(p *proof.Proof){
		"no id": func(p *proof.Proof) { p.ID = [16]byte{} }, "no device": func(p *proof.Proof) { p.Device = 0 }, "no place": func(p *proof.Proof) { p.To = "bob" },
		"no author": func(p *proof.Proof) { p.Author = "Alice@example.org" }, "a short signature": func(p *proof.Proof) { p.Signature = p.Signature[:63] },
		"a long text":    func(p *proof.Proof) { p.Text = string(bytes.Repeat([]byte{'x'}, proof.MaxText+1)) },
		"a long subject": func(p *proof.Proof) { p.Subject = string(bytes.Repeat([]byte{'x'}, 513)) },
		"a short reply":  func(p *proof.Proof) { p.ReplyTo = []byte{1} }, "too long": func(p *proof.Proof) { p.Chain = [][]byte{make([]byte, proof.MaxProof)} },
	} {
		p := a.proof(began)
		change(p)
		if _, err := proof.Parse(p.Encode()); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	a := newAccount(f, 1, "alice@example.org")
	f.Add(a.proof(began).Encode())
	a.revoke(f, began.Add(time.Hour))
	f.Add(a.proof(began).Encode())
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := proof.Parse(file)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), file) {
			t.Fatal("a proof is written in two ways")
		}
		if r, err := p.Verify(); err == nil && r.Identity == "" {
			t.Fatal("a proof of nobody")
		}
	})
}
