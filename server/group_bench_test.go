package server_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

const benchDevices = 1000

// settle stores an account without registering it: what counts in a benchmark
// is its list.
func (w *world) settle(b *testing.B, name string) *person {
	b.Helper()
	p := w.somebody(name)
	record := codec.Marshal(struct {
		Entries [][]byte   `cbor:"1,keyasint"`
		Devices []struct{} `cbor:"2,keyasint"`
	}{Entries: [][]byte{p.entry}})
	if err := w.stores.Directory.CreateAccount(b.Context(), server.Registration{User: name, Record: record}); err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkGroupSend measures one message of 1 KiB to 1 000 devices of 1 000
// accounts: copied into every mailbox, sealed and durable before the answer, on
// the product's store. Its peer is BenchmarkAccept's plain send, 64 devices that
// each send to one device and wait; both take turns in the same run.
// xaccept is the median of copies per second over accepts per second of
// neighbouring turns.
func BenchmarkGroupSend(b *testing.B) {
	st, err := sqlitestore.Open(sqlitestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	stores := storesOf(st)
	stores.Mailbox = server.Sealed(st, [32]byte{1})
	w := serve(b, func(c *server.Config) { c.Stores = stores })
	defer w.stop()

	alice := w.person("alice")
	a := alice.connect()
	members := make([]*person, benchDevices)
	for i := range members {
		members[i] = w.settle(b, fmt.Sprintf("member%d", i))
	}
	g := newTeam(b, a, members...)
	audience := relay.NewAudience(g.audience(alice.device))
	senders := make([]*relayclient.Conn, benchSenders)
	people := make([]*person, benchSenders)
	for i := range senders {
		people[i] = w.person(fmt.Sprintf("p%d", i))
		senders[i] = w.person(fmt.Sprintf("s%d", i)).connect()
	}
	body := make([]byte, benchBody)
	rand.Read(body)

	const messages = benchRound / benchDevices
	fan := func() time.Duration {
		began := time.Now()
		for range messages {
			m := relay.GroupSend{Group: g.group, Seq: g.seq, Head: g.head, Token: g.token, Body: body, Prepared: audience}
			rand.Read(m.ID[:])
			if got := g.say(a, m); got.Full != nil {
				b.Fatalf("left out: %d", len(got.Full))
			}
		}
		return time.Since(began)
	}
	accept := func() time.Duration {
		began := time.Now()
		share(messages*benchDevices, func(i int) error {
			r := relay.SendRequest{To: people[i].addr.User(), ListVersion: 1,
				Messages: []relay.Outgoing{{Device: people[i].device, Body: body}}}
			rand.Read(r.Messages[0].ID[:])
			_, err := senders[i].Send(b.Context(), r)
			return err
		}, b)
		return time.Since(began)
	}
	fan()
	accept()
	w.empty(b, people)
	var copies, accepts, ratios []float64
	rounds := 1
	for b.Loop() {
		through := fan()
		b.StopTimer()
		plain := accept()
		const n = messages * benchDevices
		copies = append(copies, n/through.Seconds())
		accepts = append(accepts, n/plain.Seconds())
		ratios = append(ratios, plain.Seconds()/through.Seconds())
		if rounds++; rounds%benchFill == 0 {
			w.empty(b, people)
		}
		if rounds%(server.MailboxMessages/messages-1) == 0 {
			w.empty(b, members)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op") // of a turn: says nothing
	b.ReportMetric(median(copies), "copies/s")
	b.ReportMetric(median(accepts), "accepts/s")
	b.ReportMetric(median(ratios), "xaccept")
	b.ReportMetric(benchDevices/median(copies)*1e3, "ms/message")
}

// BenchmarkGroupRequest is the sender's part of a message to 1 000 devices
// besides the network: the body by the audience's hash, which does not grow
// with the group, and the making of an audience, once for each change of it.
func BenchmarkGroupRequest(b *testing.B) {
	for _, devices := range []int{10, benchDevices} {
		members := make([]relay.GroupAudience, devices)
		for i := range members {
			members[i] = relay.GroupAudience{User: fmt.Sprintf("member%06d", i), Version: 1, Devices: []address.Device{address.NewDevice()}}
		}
		audience := relay.NewAudience(members)
		m := relay.GroupSend{Seq: 1, Body: make([]byte, benchBody)}
		b.Run(fmt.Sprintf("message/devices=%d", devices), func(b *testing.B) {
			for b.Loop() {
				m.Request(audience, false)
			}
		})
		b.Run(fmt.Sprintf("audience/devices=%d", devices), func(b *testing.B) {
			for b.Loop() {
				relay.NewAudience(members)
			}
		})
	}
}
