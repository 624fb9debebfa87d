package lab

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

// smallest is a trace of a run in which nothing happens to nobody.
func smallest(t *testing.T) [][]byte {
	t.Helper()
	s, err := Parse([]byte("name = \"nothing\"\nsteps = [ { do = \"wait\" } ]\n[people]\nalice = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{
		codec.Marshal(headerItem{Kind: kindHeader, Version: traceVersion, Scenario: string(text), Seed: 7}),
		codec.Marshal(stepItem{Kind: kindStep, Number: 1}),
		codec.Marshal(outcomeItem{Kind: kindOutcome, At: 3600}),
		codec.Marshal(endItem{Kind: kindEnd, Sum: make([]byte, 32)}),
	}
}

// R-LAB-24: the vectors of traces: one of each item, and whole traces.
func TestVectors(t *testing.T) {
	k := bytes.Repeat([]byte{7}, 32)
	disk := diskEntry{Sign: make([]byte, 64), Identity: k, Prekeys: []uint64{0}, Sessions: []sessionEntry{{Peer: 1, Head: 1, Skipped: 2}}, Replay: 3, Lists: []listEntry{{Address: "bob@lab.example", Entries: []uint64{4}}},
		Groups: []shelfEntry{{Group: k[:16], Roster: 5, Heads: []headEntry{{Seq: 1, Head: k}}, Secrets: []secretEntry{{Epoch: 1, Secret: k}}, Own: 6,
			Chains: []heldEntry{{From: 1, Used: true, Head: 7, Skipped: 8}}, Handed: []uint64{1}, Closing: []closingEntry{{Chain: k[:16], Seed: k}}}}}
	items := []struct {
		name, rule string
		item       any
	}{
		{"device", "lab-device", deviceItem{Kind: kindDevice, Name: "alice", Account: k, Address: "alice@lab.example", Device: 9, Identity: k}},
		{"blob", "lab-blob", blobItem{Kind: kindBlob, Bytes: k}},
		{"message", "lab-message", messageItem{Kind: kindMessage, Number: 1, To: "bob", At: 10}},
		{"letter", "lab-letter", letterItem{Kind: kindLetter, Message: 1, To: 1, At: 10, Session: k, Initial: k, Body: k, AD: k, Text: []byte("text"), Seed: k, Chain: 1, Number: 2}},
		{"spoken", "lab-letter", letterItem{Kind: kindLetter, Message: 1, To: 1, At: 10, Session: k, Body: k, AD: k, Text: []byte("text"), Seed: k, Said: []chainEntry{
			{Group: k[:16], Epoch: 1, Chain: k[:16], Index: 2, Key: k, Verify: k, Created: 1_800_000_000, Before: k[:16], BeforeCount: 3}}, Closed: []uint64{1}}},
		{"group", "lab-group", groupItem{Kind: kindGroup, ID: k[:16], Name: "walkers"}},
		{"entry", "lab-entry", entryItem{Kind: kindEntry, Seq: 1, Prev: k, Epoch: 1, Data: 2}},
		{"log", "lab-log", logItem{Kind: kindLog, Address: "bob@lab.example", Entries: []placedEntry{{Head: k, Data: 2}}}},
		{"quantum", "lab-quantum", quantumItem{Kind: kindQuantum, Theft: 1}},
		{"ratchet", "lab-ratchet", ratchetItem{Kind: kindRatchet, Public: k, Private: k}},
		{"prekey", "lab-prekey", prekeyItem{Kind: kindPrekey, Of: 1, Record: 9}},
		{"read", "lab-read", readItem{Kind: kindRead, Letter: 3}},
		{"refused", "lab-refused", refusedItem{Kind: kindRefused, By: 1, Why: "ratchet: message was opened before"}},
		{"crash", "lab-crash", crashItem{Kind: kindCrash, Of: 1, When: crashBefore}},
		{"theft", "lab-theft", theftItem{Kind: kindTheft, Name: "theft", Of: 1, Victim: "bob", Disk: disk}},
		{"later", "lab-later", laterItem{Kind: kindLater, Session: disk.Sessions[0]}},
		{"final", "lab-final", finalItem{Kind: kindFinal, Disk: disk, Doubts: []string{"bob@lab.example"}}},
		{"shown", "lab-shown", shownItem{Kind: kindShown, List: disk.Lists[0]}},
		{"value", "lab-value", valueItem{Kind: kindValue, Role: uint64(messageKey), Of: k, N: 4}},
		{"rule", "lab-rule", ruleItem{Kind: kindRule, Head: 1, Body: []uint64{0, 2}}},
		{"verdict", "lab-verdict", verdictItem{Kind: kindVerdict, At: "theft", Opened: "3-7 9", Before: 2, Read: 1, Public: 1, Oldest: 60, Healed: -1, Forges: []string{"alice"}, Agree: true}},
	}
	var vectors []vectorfile.Vector
	for _, i := range items {
		vectors = append(vectors, vectorfile.Positive("item: "+i.name, vectorfile.Fields{"item": vectorfile.Object("lab-item", codec.Marshal(i.item)), i.name: vectorfile.Object(i.rule, codec.Marshal(i.item))}))
	}
	all := smallest(t)
	whole := join(all)
	trace := func(b []byte) vectorfile.Fields { return vectorfile.Fields{"trace": hex.EncodeToString(b)} }
	fields := trace(whole)
	for i, item := range split(t, whole) {
		fields[[]string{"header", "step", "outcome", "end"}[i]] = vectorfile.Object("lab-item", item)
	}
	vectors = append(vectors, vectorfile.Positive("trace: nothing happens", fields))
	version := bytes.Clone(all[0])
	version[2]++
	for _, n := range []struct {
		why   string
		trace []byte
	}{
		{"another version", join([][]byte{version, all[1], all[2], all[3]})},
		{"no header", join(all[1:])},
		{"two headers", join([][]byte{all[0], all[0], all[1], all[2], all[3]})},
		{"a step that is not there", join([][]byte{all[0], all[1], codec.Marshal(stepItem{Kind: kindStep, Number: 2}), all[2], all[3]})},
		{"no outcome", join([][]byte{all[0], all[1], all[3]})},
		{"cut off", whole[:len(whole)-1]},
		{"something after the end", append(bytes.Clone(whole), 0)},
		{"another hash", append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1)},
	} {
		vectors = append(vectors, vectorfile.Negative("trace: "+n.why, "ErrTrace: "+n.why, trace(n.trace)))
	}
	vectorfile.Check(t, "../spec/vectors/lab.json", "lab", vectors)
	for _, v := range vectors {
		text, ok := v.Fields["trace"].(string)
		if !ok {
			continue
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Replay(t.Context(), bytes.NewReader(b))
		if v.Kind == "positive" && (err != nil || r.Seed != 7 || !r.Met) || v.Kind == "negative" && !errors.Is(err, ErrTrace) {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Kind == "negative" && !strings.HasPrefix(v.Reason, "ErrTrace") {
			t.Errorf("%s is refused for %q", v.Name, v.Reason)
		}
	}
}
