package groups

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

const vectorFile = "../spec/vectors/groups.json"

// draw makes bytes that no other number has.
func draw[T any](n byte) (out T) {
	var b bytes.Buffer
	for block := byte(0); b.Len() < 64; block++ {
		b.Write(refHMAC([]byte("pawl group vectors"), []byte{n, block}))
	}
	if err := binary.Read(&b, binary.BigEndian, &out); err != nil {
		panic(err)
	}
	return out
}

// vectorChain is a chain of drawn keys.
func vectorChain(t *testing.T, g ID, epoch uint64, s Sender, before Before, n byte) Sending {
	r := draw[[64]byte](n)
	c, err := newSending(g, epoch, s, testNow, before, &r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type fields = vectorfile.Fields

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func senderFields(s Sender) fields {
	return fields{"address": s.Address, "device": fmt.Sprint(s.Device), "identity": hexOf(s.Identity[:])}
}

// chainFields is a chain as it is handed out.
func chainFields(k ChainKey) fields {
	return fields{
		"group": hexOf(k.Group[:]), "epoch": k.Epoch, "chain": hexOf(k.Chain[:]), "index": k.Index, "key": hexOf(k.Key[:]), "verify": hexOf(k.Verify[:]),
		"created": k.Created, "before": hexOf(k.Before.Chain[:]), "before_count": k.Before.Count,
	}
}

// messageVectors: a chain, what it seals, and what a receiver refuses.
func messageVectors(t *testing.T) (out []vectorfile.Vector) {
	g := draw[ID](1)
	c := vectorChain(t, g, 3, bob, Before{draw[ChainID](2), 41}, 3)
	drawn := draw[[64]byte](3)
	k, seed := c.Key(), c.Seed()
	base := func(f fields) fields {
		f["sender"], f["key_at_start"] = senderFields(bob), chainFields(k)
		return f
	}
	out = append(out, vectorfile.Positive("chain", base(fields{"function": "chain", "chain_key": hexOf(drawn[:32]), "seed": hexOf(drawn[32:]), "record": hexOf(c.AppendRecord(nil))})))
	r := accept(t, c)
	var all [][]byte
	for i, text := range []string{"first", "", "third, which is longer than one block of the cipher"} {
		x, err := c.Seal(uint64(20+i), Head(draw[[32]byte](byte(10+i))), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c = x.Next
		all = append(all, x.Message)
		w, _ := ParseMessage(x.Message)
		out = append(out, vectorfile.Positive(fmt.Sprint("message-", i), base(fields{"function": "seal", "seed": hexOf(seed[:]), "index": i, "seq": 20 + i,
			"head": hexOf(w.Head[:]), "plaintext": hexOf([]byte(text)), "message": hexOf(x.Message)})))
	}
	start := r
	open(t, &r, all[2], testNow)
	late := r
	open(t, &late, all[0], testNow)
	out = append(out, vectorfile.Positive("received-out-of-order", base(fields{"function": "open", "record": hexOf(start.AppendRecord(nil)), "now": testNow.Unix(),
		"messages": []string{hexOf(all[2]), hexOf(all[0])}, "records": []string{hexOf(r.AppendRecord(nil)), hexOf(late.AppendRecord(nil))}})))
	closed, _ := late.Close(&seed)
	forged, err := Forge(seed, k, bob, 1, 20, Head{}, []byte("never said"))
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, vectorfile.Positive("disclosed", base(fields{"function": "forge", "seed": hexOf(seed[:]), "index": 1, "seq": 20, "head": hexOf(make([]byte, 32)),
		"plaintext": hexOf([]byte("never said")), "message": hexOf(forged), "record": hexOf(closed.AppendRecord(nil))})))

	refuse := func(name, reason string, r Receiving, m []byte, now time.Time) {
		out = append(out, vectorfile.Negative(name, reason, fields{"function": "open", "record": hexOf(r.AppendRecord(nil)), "message": hexOf(m), "now": now.Unix()}))
	}
	change := func(m []byte, at int) []byte { m = slices.Clone(m); m[at] ^= 1; return m }
	refuse("version", "ErrMalformed", start, change(all[0], 0), testNow)
	refuse("short", "ErrMalformed", start, all[1][:Overhead-1], testNow)
	refuse("another-chain", "ErrUnknownChain", start, change(all[0], chainAt), testNow)
	for name, at := range map[string]int{"index": indexAt + 3, "seq": seqAt, "head": headAt, "body": bodyAt, "signature": len(all[0]) - 1} {
		refuse("forged-"+name, "ErrForged", start, change(all[0], at), testNow)
	}
	refuse("duplicate", "ErrDuplicate", late, all[2], testNow)
	refuse("late-twice", "ErrDuplicate", late, all[0], testNow)
	refuse("skipped-key-expired", "ErrTooOld", late, all[1], testNow.Add(SkippedLife+time.Second))
	refuse("chain-too-old", "ErrTooOld", start, all[0], testNow.Add(ChainLife+time.Second))
	refuse("closed", "ErrClosed", closed, all[1], testNow)
	refuse("closed-forged", "ErrClosed", closed, forged, testNow)
	far, err := Forge(seed, k, bob, MaxJump+1, 1, Head{}, []byte("far"))
	if err != nil {
		t.Fatal(err)
	}
	refuse("too-far-ahead", "ErrTooFarAhead", start, far, testNow)
	handed := c
	rr := accept(t, handed)
	refuse("before-it-was-handed-out", "ErrTooOld", rr, all[2], testNow)
	out = append(out, vectorfile.Negative("chain-of-another-device", "ErrMalformed: the id binds the device", fields{"function": "accept", "sender": senderFields(alice), "key_at_start": chainFields(k)}))
	return out
}

// logVectors: a log of four entries, and entries that are void.
func logVectors(t *testing.T) (out []vectorfile.Vector) {
	g := draw[ID](50)
	s1, s2 := draw[Secret](51), draw[Secret](52)
	a, b := vectorChain(t, g, 1, alice, Before{}, 53), vectorChain(t, g, 1, bob, Before{}, 54)
	a2 := vectorChain(t, g, 2, alice, Before{a.ID(), 0}, 55)
	token, logKey, commitment := s1.Token(g, 1), s1.logKey(g, 1), s1.Commitment(g, 1)
	out = append(out, vectorfile.Positive("epoch-secret", fields{"function": "secret", "group": hexOf(g[:]), "epoch": 1, "secret": hexOf(s1[:]),
		"token": hexOf(token[:]), "log_key": hexOf(logKey[:]), "commitment": hexOf(commitment[:])}))

	r := Roster{Group: g}
	secret := s1
	step := func(name string, by Sending, c Change, next *Secret) {
		salt := draw[[saltLen]byte](byte(60 + r.Seq))
		p, err := propose(r, secret, by, by.Sender().author(), c, next, testNow.Add(time.Duration(r.Seq)*time.Hour), &salt)
		if err != nil {
			t.Fatal(name, err)
		}
		e, err := Read(g, r.Seq+1, r.Head, secret, r.writtenIn(), p.Blob)
		if err != nil {
			t.Fatal(name, err)
		}
		plain := codec.Marshal(entryWire{Body: e.signed, Signature: e.signature[:]})
		f := fields{"function": "entry", "group": hexOf(g[:]), "seq": r.Seq + 1, "prev": hexOf(r.Head[:]), "secret": hexOf(secret[:]), "epoch": r.writtenIn(), "salt": hexOf(salt[:]),
			"sender": senderFields(by.Sender()), "seed": hexOf(by.private.Seed()), "entry": vectorfile.Object("group-entry", plain), "blob": hexOf(p.Blob), "head": hexOf(p.Head[:]),
			"roster": vectorfile.Object("group-roster", p.Roster.Encode()), "change": vectorfile.Object("group-change", e.Change.encode()), "before": hexOf(nil)}
		if r.Seq > 0 {
			f["before"] = hexOf(r.Encode())
		}
		if next != nil {
			f["next_secret"] = hexOf(next[:])
		}
		out = append(out, vectorfile.Positive(name, f))
		if r, err = r.Apply(e, by.Key().Verify, by.Sender()); err != nil || r.Hash() != p.Roster.Hash() {
			t.Fatal(name, err)
		}
		if next != nil {
			secret = *next
		}
	}
	step("entry-create", a, Change{Kind: Create, Name: "Wanderung", Policy: Policy{AddByMembers: true}, Members: []Member{member(alice.Address, Admin), member(bob.Address, RoleMember)}}, nil)
	first := r
	step("entry-add", b, Change{Kind: Add, Members: []Member{member(cleo, RoleMember)}}, nil)
	step("entry-role", a, Change{Kind: SetRole, Members: []Member{{Address: cleo, Role: Admin}}}, nil)
	step("entry-policy", a, Change{Kind: SetPolicy}, nil)
	step("entry-leave", b, Change{Kind: Leave}, nil)
	step("entry-rekey", a, Change{Kind: Rekey}, &s2)
	step("entry-rename", a2, Change{Kind: Rename, Name: "walks"}, nil)
	s3 := draw[Secret](56)
	step("entry-remove", a2, Change{Kind: Remove, Members: named(cleo)}, &s3)

	void := func(name, reason string, by Sending, verify Sending, f func(*bodyWire)) {
		blob := forgeEntry(t, first, s1, by, f)
		verifyKey := verify.Key().Verify
		out = append(out, vectorfile.Negative(name, reason, fields{"function": "entry", "group": hexOf(g[:]), "seq": 2, "prev": hexOf(first.Head[:]), "secret": hexOf(s1[:]), "epoch": 1,
			"sender": senderFields(verify.Sender()), "verify": hexOf(verifyKey[:]), "blob": hexOf(blob), "before": hexOf(first.Encode())}))
	}
	rename := Change{Kind: Rename, Name: "x"}
	void("void-not-allowed", "ErrNotAllowed", b, b, func(w *bodyWire) { w.Change = rename.wire() })
	void("void-state", "ErrState", a, a, func(w *bodyWire) { w.Change = rename.wire() })
	void("void-insider", "ErrForged: signed by another member", b, a, func(w *bodyWire) {
		id := a.ID()
		w.Author, w.Device, w.Chain, w.Change = alice.Address, alice.Device, id[:], rename.wire()
	})
	void("void-chain-of-another-epoch", "ErrForged", a2, a2, func(w *bodyWire) { w.Change = rename.wire() })
	void("unread-kind-9", "ErrMalformed", a, a, func(w *bodyWire) { w.Change = changeWire{Kind: 9} })
	void("unread-rekey-without-commitment", "ErrMalformed", a, a, func(w *bodyWire) { w.Change = changeWire{Kind: 8} })
	for name, c := range map[string]string{"change-kind-9": "a10109", "change-two-shapes": "a20108036178", "change-remove-nobody": "a1010a"} {
		b, _ := hex.DecodeString(c)
		out = append(out, vectorfile.Negative(name, "ErrMalformed", fields{"function": "change", "object": map[string]any{"cddl": "group-change", "encoded": c, "cddl_refuses": true}}))
		var w changeWire
		if codec.Unmarshal(b, 100, &w) == nil {
			if _, err := w.change(); err == nil {
				t.Error(name)
			}
		}
	}
	return out
}

// signalVectors: one of each form, and the refusals.
func signalVectors(t *testing.T) (out []vectorfile.Vector) {
	g := draw[ID](100)
	a := vectorChain(t, g, 2, alice, Before{draw[ChainID](101), 7}, 102)
	key, id, s := a.Key(), a.ID(), draw[Secret](103)
	r := created(t, Policy{})
	positive := func(name string, s Signal) {
		out = append(out, vectorfile.Positive(name, fields{"function": "signal", "signal": vectorfile.Object("group-signal", s.Encode())}))
	}
	positive("signal-key", Signal{Group: g, Key: &Key{Seq: 5, Head: Head{5}, Epoch: 2, Secret: s, Roster: r.Encode(), Chain: &key}})
	positive("signal-key-chain-only", Signal{Group: g, Key: &Key{Seq: 5, Head: Head{5}, Epoch: 2, Chain: &key}})
	positive("signal-ask", Signal{Group: g, Ask: &Ask{Chain: id, Indexes: []uint32{2, 3}}})
	positive("signal-ask-welcome", Signal{Group: g, Ask: &Ask{Welcome: true}})
	positive("signal-again", Signal{Group: g, Again: &Again{Chain: id, Index: 3, Content: []byte("a content object")}})
	positive("signal-disclosed", Signal{Group: g, Disclosed: &Disclosed{Chain: id, Seed: a.Seed()}})
	positive("signal-join", Signal{Group: g, Join: &Join{Token: draw[[16]byte](104)}})
	positive("signal-history", Signal{Group: g, History: &History{Messages: []Retold{{ben, 3, []byte("a content object")}}, Last: true}})
	positive("signal-branch", Signal{Group: g, Branch: &Branch{Seq: 6, Head: Head{6}, Answer: true, Entries: []BranchEntry{
		{Seq: 5, Head: Head{5}}, {Seq: 6, Head: Head{6}, Author: bob.author(), Change: Change{Kind: Remove, Members: named(ben)}}}}})
	positive("signal-gone", Signal{Group: g, Gone: &Gone{}})
	// What the CDDL cannot say is refused by the code alone.
	codeOnly := []string{"of no chain", "of zeros", "after none", "in disorder", "twice", "ask for nothing", "without an id", "another end", "another head", "a gap", "longer than the log",
		"without author", "without device", "without change", "by nobody", "of nobody", "of nothing", "welcome without a secret", "long roster", "of the far future", "with something"}
	for _, r := range refusals() {
		b := codec.Marshal(map[int]any{1: g[:], r.key: r.object})
		o := map[string]any{"cddl": "group-signal", "encoded": hexOf(b)}
		if !slices.ContainsFunc(codeOnly, func(s string) bool { return strings.Contains(r.name, s) }) || r.name == "gone with something" || r.name == "chain of the far future" || r.name == "branch of nothing" || r.name == "key with a long roster" {
			o["cddl_refuses"] = true
		}
		out = append(out, vectorfile.Negative("signal-"+strings.ReplaceAll(strings.ReplaceAll(r.name, ",", ""), " ", "-"), "ErrMalformed: "+r.name, fields{"function": "signal", "signal": o}))
	}
	i := Invite{Host: "example.org:7000", Group: g, By: "jürgen&co@example.org", Token: draw[[16]byte](105)}
	out = append(out, vectorfile.Positive("invite", fields{"function": "invite", "link": i.String(), "host": i.Host, "group": g.String(), "by": i.By, "token": hexOf(i.Token[:])}))
	out = append(out, vectorfile.Negative("invite-escaped-otherwise", "ErrInvite", fields{"function": "invite", "link": strings.Replace(i.String(), "@", "%40", 1)}))
	out = append(out, vectorfile.Negative("invite-without-token", "ErrInvite", fields{"function": "invite", "link": i.String()[:len(i.String())-22]}))
	return out
}

// R-GRP-03, R-GRP-06, R-GRP-07, R-GRP-08, R-GRP-12, R-GRP-15, R-GRP-18, R-GRP-20,
// R-GRP-21, R-GRP-22, R-GRP-23, R-GRP-26, R-GRP-30, R-GRP-35
func TestVectors(t *testing.T) {
	made := slices.Concat(messageVectors(t), logVectors(t), signalVectors(t))
	slices.SortStableFunc(made, func(a, b vectorfile.Vector) int {
		return strings.Compare(b.Kind, a.Kind)*2 + strings.Compare(a.Name, b.Name)
	})
	// Package internal/conform plays the file, as another implementation's.
	vectorfile.Check(t, vectorFile, "groups", made)
}
