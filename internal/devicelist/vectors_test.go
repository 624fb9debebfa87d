package devicelist

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

func TestVectors(t *testing.T) {
	p, q := newPerson(t, "alice@example.org", 50), newPerson(t, "alice@example.org", 51)
	entries, lists := history(t, p)
	hx := func(b []byte) string { return hex.EncodeToString(b) }
	chain := vectorfile.Fields{"account_seed": hx(p.account.Seed()), "address": p.addr.String()}
	for i, e := range entries {
		h := Hash(e)
		chain[fmt.Sprintf("entry_%d", i+1)], chain[fmt.Sprintf("hash_%d", i+1)] = vectorfile.Object("device-list-entry", e), hx(h[:])
	}
	vectors := []vectorfile.Vector{vectorfile.Positive("device list of four versions", chain)}
	vectors = append(vectors, vectorfile.Positive("safety number", vectorfile.Fields{
		"account_a": hx(p.key()), "account_b": hx(q.key()), "number": SafetyNumber(p.key(), q.key()),
		"qr_text": QRText(p.key(), q.key()), "fingerprint_a": Fingerprint(p.key()),
	}))
	for _, in := range []string{"ALICE@Example.ORG", "cafe\u0301@example.org:7295", "bob@[2001:DB8:0::1]:99"} {
		a, err := address.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, vectorfile.Positive("address "+a.String(), vectorfile.Fields{"input": in, "canonical": a.String()}))
	}

	held := lists[1]
	next := func(change func(*List)) Entry {
		n := held.Next(start.Add(2 * time.Hour))
		change(&n)
		return p.force(toWire(&n))
	}
	for _, c := range []struct {
		name, reason string
		entry        Entry
		want         error
	}{
		{"truncated", "devicelist.ErrMalformed", entries[2][:len(entries[2])-1], ErrMalformed},
		{"signature altered", "devicelist.ErrSignature", append(entries[2][:len(entries[2])-1:len(entries[2])-1], entries[2][len(entries[2])-1]^1), ErrSignature},
		{"proof of another device", "devicelist.ErrProof", next(func(l *List) { l.Devices[1].Proof = l.Devices[0].Proof }), ErrProof},
		{"bidirectional override in a name", "devicelist.ErrMalformed", next(func(l *List) { l.Devices[0].Name = "a\u202eb" }), ErrMalformed},
		{"name of 65 bytes", "devicelist.ErrLimit", next(func(l *List) { l.Devices[0].Name = strings.Repeat("x", 65) }), ErrLimit},
		{"key used twice", "devicelist.ErrKey", next(func(l *List) { l.Devices[1].DH = l.Devices[0].DH }), ErrKey},
		{"fork", "devicelist.ErrFork", next(func(l *List) { l.Prev[0] ^= 1 }), ErrFork},
		{"rollback", "devicelist.ErrRollback", entries[0], ErrRollback},
		{"version skipped", "devicelist.ErrNotExtending", next(func(l *List) { l.Version++ }), ErrNotExtending},
		{"device vanished", "devicelist.ErrNotExtending", next(func(l *List) { l.Devices = l.Devices[:1] }), ErrNotExtending},
		{"dated earlier", "devicelist.ErrTime", next(func(l *List) { l.Time = held.Time - 1 }), ErrTime},
	} {
		if _, err := Extend(held, c.entry); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		vectors = append(vectors, vectorfile.Negative(c.name, c.reason, vectorfile.Fields{"held": hx(entries[1]), "entry": hx(c.entry)}))
	}
	vectorfile.Check(t, "../../spec/vectors/identity.json", "identity", vectors)
}
