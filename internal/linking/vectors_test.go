package linking

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

// recorded is a hello as it was once made: sealing draws randomness, so this
// one can only be opened again.
const recorded = "testdata/hello.hex"

func recordedHello(t *testing.T, w *Waiting, l Link, h Hello) []byte {
	t.Helper()
	text, err := os.ReadFile(recorded)
	if errors.Is(err, os.ErrNotExist) {
		p := &record{}
		if _, err := Hail(p, l, w.parsed, h); err != nil {
			t.Fatal(err)
		}
		text = []byte(hex.EncodeToString(p.sent[0]) + "\n")
		if err := os.WriteFile(recorded, text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	hx := func(b []byte) string { return hex.EncodeToString(b) }
	w, a := waiting(t, 1), newAccount(t, "alice@example.org", 10)
	link := linkOf(t, w)
	var vectors []vectorfile.Vector
	positive := func(name string, f vectorfile.Fields) { vectors = append(vectors, vectorfile.Positive(name, f)) }
	negative := func(name string, got, want error, reason string, f vectorfile.Fields) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		vectors = append(vectors, vectorfile.Negative(name, reason, f))
	}

	sealing, sealSeed, dhKey := w.seal, seed(1), w.DH.Export()
	private, err := sealing.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	positive("offer", vectorfile.Fields{
		"hpke_ikm": hx(sealSeed[:]), "hpke_private": hx(private), "sign_seed": hx(w.Sign.Seed()), "dh_private": hx(dhKey[:]),
		"offer": vectorfile.Object("link-offer", w.offer), "sha256": hx(link.Offer[:]),
	})
	for _, c := range []struct {
		name string
		at   Meet
	}{{"direct", here}, {"server", Meet{Host: "example.org:99"}}, {"server with pin", Meet{Host: "example.org", Pin: sealSeed[:]}}} {
		l, err := w.Link(c.at)
		if err != nil {
			t.Fatal(err)
		}
		id := l.ID()
		f := vectorfile.Fields{
			"expires": l.Expires.Unix(), "secret": hx(l.Secret[:]), "offer_sha256": hx(l.Offer[:]), "payload": hx(l.encode()), "uri": l.URI(),
			"code": l.Code(), "meeting": hx(id[:]),
		}
		if c.at.Host != "" {
			f["host"], f["pin"] = c.at.Host, hx(c.at.Pin)
		} else {
			f["candidate"] = c.at.Candidates[0].String()
		}
		positive("URI "+c.name, f)
	}

	h := a.hello()
	h.History = true
	sealed := recordedHello(t, w, link, h)
	r, err := hpke.NewRecipient(sealed[:encSize], w.seal, kdf(), aead(), info(&link))
	if err != nil {
		t.Fatal(err)
	}
	var keys [2][]byte
	for i, label := range []string{labelToNew, labelToOld} {
		if keys[i], err = r.Export(label, chacha20poly1305.KeySize); err != nil {
			t.Fatal(err)
		}
	}
	p := &record{in: [][]byte{sealed}}
	g, err := w.Greet(p, at(start))
	if err != nil || !bytes.Equal(g.Hello.encode(), h.encode()) {
		t.Fatalf("the recorded hello: %v", err)
	}
	join := w.Join(g.List, 77, "desk", []uint64{1})
	p.sent = nil
	if err := g.Send(&join); err != nil {
		t.Fatal(err)
	}
	_, joinBody := join.encode()
	positive("hello, to be opened", vectorfile.Fields{
		"info": hx(info(&link)), "sealed": hx(sealed), "hello": vectorfile.Object("link-hello", h.encode()),
		"key_to_new": hx(keys[0]), "key_to_old": hx(keys[1]), "nonce": hx(nonce(0)),
		"first_message": vectorfile.Object("link-message", codec.Marshal(message{Kind: kindJoin, Body: joinBody})), "first_sealed": hx(p.sent[0]),
	})

	replacing := w.Join(g.List, 78, "", nil)
	w.Replace(&replacing, a.list.Devices[0].ID, signer(12))
	draft, err := Draft(a.list, w.parsed, join, start)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := Sign(draft, a.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, rule string
		m          Message
	}{
		{"join", "link-join", &join}, {"join in another's place", "link-join", &replacing}, {"entry", "link-entry", &Entry{Lacking: [][]byte{}, Entry: entry}},
		{"outcome", "link-outcome", &Outcome{Done}}, {"refusal", "link-refusal", &Refusal{Full}},
	} {
		_, body := c.m.encode()
		positive(c.name, vectorfile.Fields{"message": vectorfile.Object(c.rule, body)})
	}
	positive("entry that adds the device", vectorfile.Fields{"held": hx(a.chain[0]), "join": vectorfile.Object("link-join", joinBody), "entry": hx(entry)})

	u := link.URI()
	version := link.encode()
	version[0] = 2
	for _, c := range []struct{ name, uri string }{
		{"URI cut short", u[:len(u)-8]}, {"URI of another version", uriPrefix + base32Text.EncodeToString(version)},
		{"invite link", "pawl://example.org/invite/AAAAAAAAAAAAAAAAAAAAAA"},
	} {
		_, err := ParseURI(c.uri)
		negative(c.name, err, ErrURI, "linking.ErrURI", vectorfile.Fields{"uri": c.uri})
	}
	swapped := waiting(t, 5)
	_, err = Reach(&record{in: [][]byte{swapped.offer}}, link)
	negative("offer swapped on the way", err, ErrOffer, "linking.ErrOffer", vectorfile.Fields{"uri": u, "offer": hx(swapped.offer)})
	foreign := link
	foreign.Secret[0] ^= 1
	w.secret = foreign.Secret
	_, err = w.open(p, sealed)
	negative("hello under another secret", err, ErrHello, "linking.ErrHello", vectorfile.Fields{"info": hx(info(&foreign)), "sealed": hx(sealed)})
	lying := join
	lying.Proof = a.list.Devices[0].Proof
	draft, err = Draft(a.list, w.parsed, lying, start)
	if err != nil {
		t.Fatal(err)
	}
	_, lyingBody := lying.encode()
	_, err = Sign(draft, a.key)
	negative("proof of another device", err, ErrDevice, "linking.ErrDevice", vectorfile.Fields{"held": hx(a.chain[0]), "join": vectorfile.Object("link-join", lyingBody)})
	vectorfile.Check(t, "../../spec/vectors/linking.json", "linking", vectors)
}
