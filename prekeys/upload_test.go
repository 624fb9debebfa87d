package prekeys

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// R-PRE-08
func TestR_PRE_07_Upload(t *testing.T) {
	bob := newDevice("bob", 2)
	for name, make := range map[string]func() (Upload, []Private){
		"batch":    func() (Upload, []Private) { return Generate(now, bob.owner(), bob.signer) },
		"rotation": func() (Upload, []Private) { return Rotate(now, bob.owner(), bob.signer) },
	} {
		u, all := make()
		n := 0
		if name == "batch" {
			n = OneTimeKeys
		}
		if len(u.OneTimeEC) != n || len(u.OneTimeKEM) != n || len(all) != 2+2*n || len(u.Bytes()) > MaxUpload {
			t.Errorf("%s: %d and %d one-time rows, %d private halves, %d bytes", name, len(u.OneTimeEC), len(u.OneTimeKEM), len(all), len(u.Bytes()))
		}
		t.Logf("%s: %d bytes", name, len(u.Bytes()))
		p, err := ParseUpload(u.Bytes())
		if err != nil {
			t.Fatal(name, err)
		}
		if err := p.Verify(bob.owner(), bob.sign(), now); err != nil {
			t.Error(name, err)
		}
		if p.Digest() != u.Digest() || p.Digest() != Digest(u.Bytes()) || !bytes.Equal(p.Bytes(), u.Bytes()) {
			t.Error(name, "device and server see different digests")
		}
		other, _ := make()
		if other.Digest() == u.Digest() {
			t.Error(name, "two uploads have one digest")
		}
		if !bytes.Equal(p.Signed, u.Signed) || !bytes.Equal(p.LastResort, u.LastResort) || len(p.OneTimeKEM) != n {
			t.Error(name, "rows changed on their way")
		}
	}
}

func TestR_PRE_03_RandomIDs(t *testing.T) {
	bob := newDevice("bob", 2)
	seen := map[uint64]bool{}
	small := 0
	for range 2 {
		_, all := Generate(now, bob.owner(), bob.signer)
		for i := range all {
			id := all[i].Info().ID
			if id == 0 || seen[id] {
				t.Fatalf("id %d", id)
			}
			seen[id] = true
			if id < 1<<48 {
				small++
			}
		}
	}
	if small > 3 {
		t.Errorf("%d of 404 ids are below 2^48", small)
	}
}

func TestR_PRE_07_UploadRefusals(t *testing.T) {
	bob, eve := newDevice("bob", 2), newDevice("eve", 3)
	u, _ := bob.upload(3)
	good := wireUpload{u.Signed, u.LastResort, u.OneTimeEC, u.OneTimeKEM}
	b := codec.Marshal(good)
	for n := 0; n < len(b); n += 1 + n/50 {
		if _, err := ParseUpload(b[:n]); err == nil {
			t.Fatalf("prefix of %d bytes accepted", n)
		}
	}
	many := func(n int) (rows [][]byte) {
		for i := range n {
			rows = append(rows, ecRow{ID: uint64(i + 1), Public: row(t, u.Signed).Public}.encode())
		}
		return rows
	}
	for name, c := range map[string]struct {
		change func(*wireUpload)
		want   error
	}{
		"no signed key":          {func(w *wireUpload) { w.Signed = nil }, ErrMalformed},
		"no last-resort key":     {func(w *wireUpload) { w.LastResort = nil }, ErrMalformed},
		"one-time row twice":     {func(w *wireUpload) { w.OneTimeEC = [][]byte{u.OneTimeEC[0], u.OneTimeEC[0]} }, ErrMalformed},
		"one-time KEM row twice": {func(w *wireUpload) { w.OneTimeKEM = [][]byte{u.OneTimeKEM[0], u.OneTimeKEM[0]} }, ErrMalformed},
		"empty row":              {func(w *wireUpload) { w.OneTimeEC = [][]byte{{}} }, ErrMalformed},
		"101 rows":               {func(w *wireUpload) { w.OneTimeEC = many(OneTimeKeys + 1) }, ErrLimit},
		"100 rows":               {func(w *wireUpload) { w.OneTimeEC = many(OneTimeKeys) }, nil},
	} {
		w := good
		c.change(&w)
		if _, err := ParseUpload(codec.Marshal(w)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ParseUpload(make([]byte, MaxUpload+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("over-long: %v", err)
	}
	// One bad row among good ones spoils the upload.
	for name, change := range map[string]func(*Upload){
		"signed":      func(x *Upload) { x.Signed = forge(eve.signer, bob.owner(), row(t, u.Signed), Signed) },
		"last-resort": func(x *Upload) { x.LastResort = forge(eve.signer, bob.owner(), row(t, u.LastResort), KEMLastResort) },
		"one-time": func(x *Upload) {
			x.OneTimeKEM = [][]byte{u.OneTimeKEM[0], forge(bob.signer, eve.owner(), row(t, u.OneTimeKEM[1]), KEMOneTime)}
		},
	} {
		x := u
		change(&x)
		if err := x.Verify(bob.owner(), bob.sign(), now); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := u.Verify(eve.owner(), eve.sign(), now); !errors.Is(err, ErrSignature) {
		t.Errorf("upload of another: %v", err)
	}
	if err := u.Verify(bob.owner(), bob.sign(), now.Add(2*Lifetime)); !errors.Is(err, ErrExpired) {
		t.Errorf("old upload: %v", err)
	}
	if err := u.Verify(Owner{}, bob.sign(), now); !errors.Is(err, ErrOwner) {
		t.Errorf("no owner: %v", err)
	}
	if err := (&Upload{}).Verify(bob.owner(), bob.sign(), now); err == nil {
		t.Error("zero upload accepted")
	}
}

func TestR_PRE_12_Records(t *testing.T) {
	bob := newDevice("bob", 2)
	_, all := bob.upload(1)
	kinds := map[Kind]bool{}
	for i := range all {
		p := &all[i]
		kinds[p.kind] = true
		b := p.Record()
		q, err := ParsePrivate(b)
		if err != nil || q.Info() != p.Info() || !bytes.Equal(q.Record(), b) {
			t.Fatalf("kind %d: %v", p.kind, err)
		}
		if q.Info().Created != now.Unix() || q.Info().NotAfter != now.Add(Lifetime).Unix() {
			t.Errorf("kind %d: %+v", p.kind, q.Info())
		}
		for n := range b {
			if _, err := ParsePrivate(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("prefix of %d bytes: %v", n, err)
			}
		}
		if _, err := ParsePrivate(append(bytes.Clone(b), 0)); !errors.Is(err, ErrMalformed) {
			t.Error("trailing byte accepted")
		}
		for name, change := range map[string]func([]byte){
			"version": func(b []byte) { b[0]++ },
			"kind 0":  func(b []byte) { b[1] = 0 },
			"kind 5":  func(b []byte) { b[1] = 5 },
			"id 0":    func(b []byte) { clear(b[2:10]) },
		} {
			bad := bytes.Clone(b)
			change(bad)
			if _, err := ParsePrivate(bad); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, f := range []string{"%v", "%+v", "%#v", "%x"} {
			if got := fmt.Sprintf(f, p); got != "prekeys.Private(redacted)" {
				t.Errorf("%s prints %q", f, got)
			}
		}
		q.Erase()
		if secret := q.Record()[recordHead : recordHead+32]; !bytes.Equal(secret, make([]byte, 32)) {
			t.Error("Erase left the secret")
		}
	}
	if len(kinds) != 4 {
		t.Errorf("kinds: %v", kinds)
	}
}

func TestR_PRE_02_KeysOfTheRightKind(t *testing.T) {
	_, all := newDevice("bob", 2).upload(1)
	by := map[Kind]*Private{}
	for i := range all {
		by[all[i].kind] = &all[i]
	}
	for _, c := range []struct {
		signed, ec, kem *Private
		ok              bool
	}{
		{by[Signed], by[OneTimeEC], by[KEMOneTime], true},
		{by[Signed], nil, by[KEMLastResort], true},
		{by[OneTimeEC], nil, by[KEMLastResort], false},
		{by[Signed], by[Signed], by[KEMLastResort], false},
		{by[Signed], by[KEMOneTime], by[KEMLastResort], false},
		{by[Signed], nil, by[Signed], false},
		{by[KEMOneTime], nil, by[KEMOneTime], false},
		{nil, nil, by[KEMOneTime], false},
		{by[Signed], nil, nil, false},
	} {
		if _, err := Keys(c.signed, c.ec, c.kem); (err == nil) != c.ok || (!c.ok && !errors.Is(err, ErrKind)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzParseUpload(f *testing.F) {
	bob := newDevice("bob", 2)
	u, _ := bob.upload(1)
	f.Add(u.Bytes())
	r, _ := bob.upload(0)
	f.Add(r.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseUpload(b)
		if err != nil {
			return
		}
		if again := codec.Marshal(wireUpload{u.Signed, u.LastResort, u.OneTimeEC, u.OneTimeKEM}); !bytes.Equal(again, b) {
			t.Errorf("%x parses but encodes to %x", b, again)
		}
		u.Verify(bob.owner(), bob.sign(), now)
	})
}

func FuzzParsePrivate(f *testing.F) {
	_, all := newDevice("bob", 2).upload(1)
	for i := range all {
		f.Add(all[i].Record())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePrivate(b)
		if err == nil && !bytes.Equal(p.Record(), b) {
			t.Errorf("%x parses but encodes to %x", b, p.Record())
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	bob := newDevice("bob", 2)
	b.ReportAllocs()
	for b.Loop() {
		Generate(now, bob.owner(), bob.signer)
	}
}

func BenchmarkVerifyUpload(b *testing.B) {
	bob := newDevice("bob", 2)
	u, _ := Generate(now, bob.owner(), bob.signer)
	b.ReportAllocs()
	for b.Loop() {
		p, err := ParseUpload(u.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Verify(bob.owner(), bob.sign(), now); err != nil {
			b.Fatal(err)
		}
	}
}
