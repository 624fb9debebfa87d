package server_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

var (
	sealTime = time.UnixMilli(1_800_000_000_000)
	sealDev  = server.Device{User: "alice", ID: 7}
)

// tampered is a mailbox whose rows pass through change on the way out.
type tampered struct {
	server.Mailbox
	change func(*server.Message)
}

func (m tampered) Read(ctx context.Context, dev server.Device, after server.Seq, limit, maxBytes int) ([]server.Message, bool, error) {
	msgs, more, err := m.Mailbox.Read(ctx, dev, after, limit, maxBytes)
	for i := range msgs {
		m.change(&msgs[i])
	}
	return msgs, more, err
}

func TestR_STO_15_sealed(t *testing.T) {
	ctx := context.Background()
	store := memstore.New()
	m := server.Sealed(store, [32]byte{1})
	body := bytes.Repeat([]byte("what nobody else reads "), 20)
	envelopes := []server.Envelope{
		{Device: sealDev, ID: server.MessageID{1}, At: sealTime, Body: body},
		{Device: sealDev, ID: server.MessageID{2}, At: sealTime, Body: body},
		{Device: sealDev, ID: server.MessageID{3}, At: sealTime},
	}
	if _, err := m.Append(ctx, envelopes); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(envelopes[0].Body, []byte("what")) {
		t.Fatal("the caller's memory was changed")
	}
	rows, _, err := store.Read(ctx, sealDev, 0, 10, 1<<20)
	if err != nil || len(rows) != 3 {
		t.Fatal(len(rows), err)
	}
	for i, r := range rows {
		if bytes.Contains(r.Body, []byte("nobody")) {
			t.Fatal("plain text is stored")
		}
		if len(r.Body) != len(envelopes[i].Body)+server.SealOverhead {
			t.Fatalf("row of %d bytes", len(r.Body))
		}
	}
	if bytes.Equal(rows[0].Body[25:], rows[1].Body[25:]) {
		t.Fatal("equal bodies look equal")
	}
	msgs, _, err := m.Read(ctx, sealDev, 0, 10, 1<<20)
	if err != nil || len(msgs) != 3 {
		t.Fatal(len(msgs), err)
	}
	for i, got := range msgs {
		if got.Damaged || !bytes.Equal(got.Body, envelopes[i].Body) || got.ID != envelopes[i].ID {
			t.Fatalf("message %d: %+v", i, got)
		}
	}
	long := envelopes[0]
	long.ID, long.Body = server.MessageID{9}, make([]byte, server.MaxBody)
	if _, err := m.Append(ctx, []server.Envelope{long}); !errors.Is(err, server.ErrTooLarge) {
		t.Fatalf("%v, want ErrTooLarge", err)
	}
}

// R-STO-16: whoever can write the store can lose messages, not change them.
func TestR_STO_16_tampered(t *testing.T) {
	ctx := context.Background()
	store := memstore.New()
	m := server.Sealed(store, [32]byte{1})
	other := server.Device{User: "alice", ID: 8}
	body := []byte("body")
	for _, e := range []server.Envelope{
		{Device: sealDev, ID: server.MessageID{1}, At: sealTime, Body: body},
		{Device: other, ID: server.MessageID{1}, At: sealTime, Body: body},
		{Device: server.Device{User: "bob", ID: 7}, ID: server.MessageID{1}, At: sealTime, Body: body},
	} {
		if _, err := m.Append(ctx, []server.Envelope{e}); err != nil {
			t.Fatal(err)
		}
	}
	row := func(dev server.Device) []byte {
		rows, _, err := store.Read(ctx, dev, 0, 1, 1<<20)
		if err != nil || len(rows) != 1 {
			t.Fatal(len(rows), err)
		}
		return rows[0].Body
	}
	one, two, three := row(sealDev), row(other), row(server.Device{User: "bob", ID: 7})
	changes := map[string]func(*server.Message){
		"another device's row": func(m *server.Message) { m.Body = two },
		"another user's row":   func(m *server.Message) { m.Body = three },
		"another id":           func(m *server.Message) { m.ID[15]++ },
		"longer":               func(m *server.Message) { m.Body = append(m.Body, 0) },
	}
	for i := range one {
		changes["cut off at "+string(rune('0'+i))] = func(m *server.Message) { m.Body = m.Body[:i] }
		changes["flipped at "+string(rune('0'+i))] = func(m *server.Message) { m.Body[i] ^= 0x40 }
	}
	read := func(key [32]byte, change func(*server.Message)) server.Message {
		t.Helper()
		msgs, _, err := server.Sealed(tampered{store, change}, key).Read(ctx, sealDev, 0, 10, 1<<20)
		if err != nil || len(msgs) != 1 {
			t.Fatal(len(msgs), err)
		}
		return msgs[0]
	}
	for name, change := range changes {
		if got := read([32]byte{1}, change); !got.Damaged || got.Body != nil {
			t.Errorf("%s: not called damaged", name)
		}
	}
	if got := read([32]byte{2}, func(*server.Message) {}); !got.Damaged || got.Body != nil {
		t.Error("opened under another key")
	}
	if got := read([32]byte{1}, func(*server.Message) {}); got.Damaged || string(got.Body) != "body" {
		t.Error("the untouched row does not open")
	}
}

// FuzzSealedRow: whatever opens is what was sealed. Seeds of another process
// are sealed under the same key with another nonce, so they open too.
func FuzzSealedRow(f *testing.F) {
	ctx := context.Background()
	store := memstore.New()
	if _, err := server.Sealed(store, [32]byte{1}).Append(ctx, []server.Envelope{{Device: sealDev, ID: server.MessageID{1}, At: sealTime, Body: []byte("body")}}); err != nil {
		f.Fatal(err)
	}
	rows, _, err := store.Read(ctx, sealDev, 0, 1, 1<<20)
	if err != nil || len(rows) != 1 {
		f.Fatal(len(rows), err)
	}
	sealed := rows[0].Body
	f.Add(bytes.Clone(sealed))
	f.Add(bytes.Clone(sealed[:server.SealOverhead]))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, row []byte) {
		same := bytes.Equal(row, sealed)
		m := server.Sealed(tampered{store, func(m *server.Message) { m.Body = bytes.Clone(row) }}, [32]byte{1})
		msgs, _, err := m.Read(ctx, sealDev, 0, 1, 1<<20)
		if err != nil || len(msgs) != 1 {
			t.Fatal(len(msgs), err)
		}
		if same && msgs[0].Damaged {
			t.Fatal("the row does not open")
		}
		if !msgs[0].Damaged && (string(msgs[0].Body) != "body" || len(row) != len(sealed)) {
			t.Fatal("a row opened that nobody sealed")
		}
	})
}
