package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectorFile = "../spec/vectors/client.json"

type vector struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Reason  string `json:"reason,omitempty"`
	CDDL    string `json:"cddl"`
	Encoded string `json:"encoded"`
}

type vectors struct {
	Area    string   `json:"area"`
	Vectors []vector `json:"vectors"`
}

// decoders reads each kind of record back.
var decoders = map[string]func([]byte) error{
	"client-account":  func(b []byte) error { r, err := decodeRecord[accountRecord](b); return second(r.live, err) },
	"client-contact":  func(b []byte) error { _, err := decodeRecord[contactRecord](b); return err },
	"client-message":  func(b []byte) error { _, err := decodeRecord[messageRecord](b); return err },
	"client-outbox":   func(b []byte) error { _, err := decodeRecord[outboxRecord](b); return err },
	"client-prekeys":  func(b []byte) error { _, err := decodeRecord[prekeyRecord](b); return err },
	"client-consumer": func(b []byte) error { _, err := decodeRecord[consumerRecord](b); return err },
	"client-count":    func(b []byte) error { _, err := decodeRecord[countRecord](b); return err },
	"client-owed":     func(b []byte) error { _, err := decodeRecord[owedRecord](b); return err },
	"client-settings": func(b []byte) error { _, err := decodeRecord[settingsRecord](b); return err },
	"client-relink":   func(b []byte) error { r, err := decodeRecord[relinkRecord](b); return second(r.Account.live, err) },
	"client-epoch":    func(b []byte) error { _, err := decodeRecord[epochRecord](b); return err },
	"client-repair":   func(b []byte) error { _, err := decodeRecord[repairRecord](b); return err },
	"client-held":     func(b []byte) error { _, err := decodeRecord[heldRecord](b); return err },
}

func second(live func() (*self, error), err error) error {
	if err == nil {
		_, err = live()
	}
	return err
}

func sample() vectors {
	id, key := bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 32)
	v := vectors{Area: "client"}
	add := func(name, rule string, r any) {
		v.Vectors = append(v.Vectors, vector{Name: name, Kind: "positive", CDDL: rule, Encoded: hex.EncodeToString(codec.Marshal(r))})
	}
	account := accountRecord{
		Version: 1, Address: "alice@example.org", Device: 1, DeviceName: "laptop", AccountKey: key, SignKey: key, DHKey: key,
		Host: "example.org", Pin: key, Created: 1700000000, Registered: true, Chain: [][]byte{{1, 2, 3}},
	}
	add("account", "client-account", account)
	add("contact", "client-contact", contactRecord{
		Address: "bob@example.org", Alias: "friend", Chain: [][]byte{{1}}, Pending: [][]byte{{2}}, FirstSeen: 1700000000000, Known: true,
	})
	add("message-own", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "alice@example.org", FromDevice: 1, To: "bob@example.org", Outgoing: true,
		Kind: string(KindText), Text: "hello", Subject: "s", ReplyTo: id, SentAt: 1700000000000, ExpiresAt: 1700000001000,
		Status: string(StatusAccepted), Devices: []deviceState{{Device: 2, Status: string(StatusAccepted)}},
	})
	add("message-unknown", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "bob@example.org", FromDevice: 2, To: "alice@example.org",
		Kind: string(KindUnknown), SentAt: 1700000000000, ReceivedAt: 1700000000500, Status: string(StatusReceived), RawKind: 99, RawBody: []byte{1},
	})
	add("outbox-waits", "client-outbox", outboxRecord{
		ID: id, To: "bob@example.org", List: 3, Sealed: []sealedCopy{{Device: 2, ID: id, Envelope: []byte{1}}},
		Created: 1700000000000, Attempts: 6, After: 1700000900000, Control: true, Demand: 1700000060000,
	})
	add("message-read", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "alice@example.org", FromDevice: 1, To: "bob@example.org", Outgoing: true,
		Kind: string(KindText), Text: "hello", SentAt: 1700000000000, Status: string(StatusRead),
		Devices: []deviceState{{Device: 2, Status: string(StatusRead)}}, SealedAt: 1700000000001, AcceptedAt: 1700000000002,
		Times: []deviceTimes{{Device: 2, Read: 1700000000003}},
	})
	add("message-told", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "bob@example.org", FromDevice: 2, To: "alice@example.org", Kind: string(KindText),
		Text: "hello", SentAt: 1700000000000, ReceivedAt: 1700000000500, Status: string(StatusReceived), Told: true, Original: id,
	})
	add("message-expired", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "bob@example.org", FromDevice: 2, To: "alice@example.org", Kind: string(KindText),
		SentAt: 1700000000000, ReceivedAt: 1700000000500, ExpiresAt: 1700000001000, Status: string(StatusReceived), Expired: true,
	})
	add("owed", "client-owed", owedRecord{Address: "bob@example.org", Device: 2, State: 1, IDs: id})
	add("settings", "client-settings", settingsRecord{NoReadReceipts: true})
	add("outbox", "client-outbox", outboxRecord{
		ID: id, To: "bob@example.org", Content: []byte{1}, List: 3, TTL: 60, Sealed: []sealedCopy{{Device: 2, ID: id, Envelope: []byte{1}}},
		Created: 1700000000000, Attempts: 1, After: 1700000002000,
	})
	add("prekeys", "client-prekeys", prekeyRecord{Digest: key, Pending: []byte{1}, Due: 1700000000000, Ticked: 1700000000000, Left: 99})
	add("consumer", "client-consumer", consumerRecord{Acked: 42})
	add("count", "client-count", countRecord{N: 42})
	add("epoch", "client-epoch", epochRecord{Current: id, Next: bytes.Repeat([]byte{8}, 16), Refused: 1700000000000})
	pending := account
	pending.Registered, pending.Upload = false, []byte{1}
	add("relink", "client-relink", relinkRecord{Account: pending, Private: [][]byte{bytes.Repeat([]byte{5}, 90)}, Digest: key})
	add("repair-none", "client-repair", repairRecord{Address: "bob@example.org", Device: 2})
	add("repair", "client-repair", repairRecord{
		Address: "bob@example.org", Device: 2, Lost: 3, Fresh: true, Since: 1700000000000, Tombs: [][]byte{id}, Asked: 1700000000001,
		Open: true, About: [][]byte{id}, Came: 2, New: 1, Done: true, Expect: 2, Missing: 4, GapNext: 1700000000002, GapAsked: 5, Owed: true,
		OwedSince: 1700000000003, Answered: 1700000000004, After: 1700000000005,
	})
	add("message-lost", "client-message", messageRecord{
		ID: id, Conversation: "bob@example.org", From: "bob@example.org", FromDevice: 2, To: "alice@example.org", Kind: string(KindUndecryptable),
		Cause: CauseNoSession, SentAt: 1700000000000, ReceivedAt: 1700000000500, Status: string(StatusReceived), Repair: repairDone,
	})
	add("held", "client-held", heldRecord{At: 1700000000000, Body: []byte{1}})
	account.AccountKey = key[:31]
	v.Vectors = append(v.Vectors,
		vector{"account-short-key", "negative", "ErrStoreDamaged: an account key of 31 bytes", "client-account", hex.EncodeToString(codec.Marshal(account))},
		vector{"message-trailing-byte", "negative", "ErrStoreDamaged: a byte after the record", "client-count", hex.EncodeToString(append(codec.Marshal(countRecord{N: 1}), 0))},
	)
	return v
}

// TestVectors pins the stored forms: a released record stays readable.
func TestVectors(t *testing.T) {
	want, err := json.MarshalIndent(sample(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("the records do not encode as pinned")
	}
	var pinned vectors
	if err := json.Unmarshal(have, &pinned); err != nil {
		t.Fatal(err)
	}
	for _, v := range pinned.Vectors {
		b, err := hex.DecodeString(v.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		err = decoders[v.CDDL](b)
		if (v.Kind == "positive") != (err == nil) || (err != nil && !errors.Is(err, ErrStoreDamaged)) {
			t.Errorf("%s: %v", v.Name, err)
		}
		for n := range len(b) {
			if v.Kind == "positive" && decoders[v.CDDL](b[:n]) == nil {
				t.Errorf("%s: a prefix of %d bytes is accepted", v.Name, n)
			}
		}
	}
}

func FuzzRecords(f *testing.F) {
	for _, v := range sample().Vectors {
		b, err := hex.DecodeString(v.Encoded)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range decoders {
			if decode(b) != nil {
				continue
			}
			if name == "client-message" {
				m, err := decodeRecord[messageRecord](b)
				if err == nil && !bytes.Equal(codec.Marshal(m), b) {
					t.Error("a message record has two encodings")
				}
			}
		}
	})
}
