package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/sqlitestore"
	"github.com/pawl-chat/pawl/x3dh"
)

// multitude is a person in a group with many devices that exist in the server's
// directory only: she has steady sessions with all of them.
type multitude struct {
	b       *testing.B
	box     *emptied
	dir     server.Directory
	alice   *Client
	id      groups.ID
	devices []listener
}

// newMultitude makes a group of alice and accounts of two devices each, n devices in
// all, on the product's store. keep says whether mailboxes keep what is appended.
func newMultitude(b *testing.B, n int, keep bool) *multitude {
	store, err := sqlitestore.Open(sqlitestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	box := &emptied{Mailbox: store, waiting: map[server.Device][]server.Seq{}}
	stores := server.Stores{Directory: store, Mailbox: box, Wake: store}
	if !keep {
		stores.Mailbox = &bottomless{Mailbox: store}
	}
	free := server.Rate{Burst: -1}
	w := newBenchWith(b, server.Config{Stores: stores, Limits: server.Limits{
		SendPair: free, SendRequester: free, SendBytes: free, Lookups: free, GroupAppends: free, GroupLog: free, GroupCopies: free,
		GroupBytes: free, GroupPair: free,
	}})
	c := &multitude{b: b, box: box, dir: store}
	c.alice, _ = w.join("alice")
	b.Cleanup(func() { c.alice.Close() })
	bob, _ := w.join("bob")
	ctx := context.Background()
	for _, x := range []struct {
		from *Client
		to   string
	}{{c.alice, "bob"}, {bob, "alice"}, {c.alice, "bob"}, {bob, "alice"}} {
		if _, err := x.from.Send(ctx, x.to, "hello", SendOptions{}); err != nil {
			b.Fatal(err)
		}
		for _, y := range []*Client{c.alice, bob} {
			if err := y.Sync(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	bob.Close()
	c.gather(n)
	return c
}

// bottomless is a mailbox that takes everything and keeps nothing.
type bottomless struct{ server.Mailbox }

func (m *bottomless) Append(ctx context.Context, in []server.Envelope) ([]server.Result, error) {
	if len(in) > 0 && (in[0].Device.User == "alice" || in[0].Device.User == "bob") {
		return m.Mailbox.Append(ctx, in)
	}
	out := make([]server.Result, len(in))
	for i := range out {
		out[i].Seq = 1
	}
	return out, nil
}

// gather makes the people, their sessions with alice, and the group.
func (c *multitude) gather(n int) {
	ctx, e := context.Background(), c.alice.engine
	secret := groups.NewSecret()
	c.id = groups.NewID()
	roster := groups.Roster{
		Group: c.id, Name: "multitude", Seq: 1, Epoch: 1, EpochAt: time.Now().UTC().Truncate(time.Second), Commitment: secret.Commitment(c.id, 1),
	}
	roster.Head = groups.HeadOf(c.id, 1, groups.Head{}, []byte{1})
	me, account := e.self.record.Address, [32]byte(e.self.own.Account)
	roster.Members = append(roster.Members, groups.Member{Address: me, Account: account, Role: groups.Admin, Since: 1})
	var contacts []contactRecord
	sessions := map[peerKey]*session.Session{}
	for i := 0; len(c.devices) < n; i++ {
		addr, err := address.New(fmt.Sprintf("m%04d", i), e.self.address.Host())
		if err != nil {
			c.b.Fatal(err)
		}
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			c.b.Fatal(err)
		}
		describe := func() devicelist.Device {
			_, sign, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				c.b.Fatal(err)
			}
			_, identity := dh.Generate()
			d := devicelist.NewDevice(public, addr, address.NewDevice(), sign, identity, "", time.Now())
			k := peerKey{addr.String(), d.ID}
			sessions[k] = steady(c.b)
			c.devices = append(c.devices, listener{k, identity.Array()})
			return d
		}
		l := devicelist.First(public, addr, describe(), time.Now())
		entries := [][]byte{c.sign(l, private)}
		if l, err = devicelist.Verify(entries[0]); err != nil {
			c.b.Fatal(err)
		}
		l = l.Next(time.Now())
		l.Devices = append(l.Devices, describe())
		entries = append(entries, c.sign(l, private))
		record := codec.Marshal(struct {
			Entries [][]byte   `cbor:"1,keyasint"`
			Devices []struct{} `cbor:"2,keyasint"`
		}{Entries: entries})
		if err := c.dir.CreateAccount(ctx, server.Registration{User: addr.User(), Record: record}); err != nil {
			c.b.Fatal(err)
		}
		contacts = append(contacts, contactRecord{Address: addr.String(), Chain: entries, FirstSeen: time.Now().UnixMilli(), Known: true})
		roster.Members = append(roster.Members, groups.Member{Address: addr.String(), Account: [32]byte(public), Role: groups.RoleMember, Since: 1})
	}
	slices.SortFunc(roster.Members, func(a, b groups.Member) int {
		if a.Address < b.Address {
			return -1
		}
		return 1
	})
	l, err := e.connected(ctx)
	if err != nil {
		c.b.Fatal(err)
	}
	err = l.conn.GroupCreate(ctx, relay.GroupCreate{Group: c.id, Head: roster.Head, Blob: []byte{1}, Token: secret.Token(c.id, 1)})
	if err != nil {
		c.b.Fatal(err)
	}
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		for _, x := range contacts {
			if err := e.putContact(tx, x); err != nil {
				return err
			}
		}
		for k, s := range sessions {
			if err := tx.Put(tableSession, s.ID[:], k.bytes(), s.Rank, s.Head()); err != nil {
				return err
			}
			if err := tx.Put(tableSkipped, s.ID[:], nil, 0, s.Skipped()); err != nil {
				return err
			}
		}
		return putGroup(tx, &groupRecord{ID: c.id[:], Roster: roster.Encode(), Secret: secret[:], First: 1})
	})
	if err != nil {
		c.b.Fatal(err)
	}
}

func (c *multitude) sign(l devicelist.List, key ed25519.PrivateKey) []byte {
	e, err := devicelist.Sign(l, key)
	if err != nil {
		c.b.Fatal(err)
	}
	return e
}

// steady is a session in the middle of a conversation.
func steady(b *testing.B) *session.Session {
	var secret [32]byte
	rand.Read(secret[:])
	private, public := ratchet.GenerateKey()
	responder := secret
	a, err := ratchet.Initiate(&secret, public)
	if err != nil {
		b.Fatal(err)
	}
	other := ratchet.Respond(&responder, private)
	now := time.UnixMilli(time.Now().UnixMilli())
	s := &session.Session{Rank: 1, Initiator: true, Answered: true, Strength: x3dh.OneTime, Started: now, Heard: now, LastUsed: now}
	rand.Read(s.ID[:])
	rand.Read(s.AD[:])
	for range 2 {
		for _, way := range [][2]*ratchet.State{{&a, &other}, {&other, &a}} {
			sealed, err := way[0].Seal([]byte("hello"), s.AD[:])
			if err != nil {
				b.Fatal(err)
			}
			opened, err := way[1].Open(sealed.Message, s.AD[:], now)
			if err != nil {
				b.Fatal(err)
			}
			*way[0], *way[1] = sealed.Next, opened.Next
		}
	}
	s.State = a
	return s
}

// heapGrowth samples how much more memory than at the beginning is in use.
func heapGrowth(stop <-chan struct{}, most chan<- uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	metrics.Read(sample)
	first, peak := sample[0].Value.Uint64(), uint64(0)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			most <- peak
			return
		case <-tick.C:
			metrics.Read(sample)
			if n := sample[0].Value.Uint64(); n > first {
				peak = max(peak, n-first)
			}
		}
	}
}

func middle(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

// BenchmarkGroupRekey replaces the keys of a group of n devices: every one is
// handed its keys over its own session, durable here and at the server, and then
// the entry is placed. xsend is what that costs a device, in durable sends of one
// text to one device, which take turns with it; peak-KB is by how much memory
// grew, garbage included.
func BenchmarkGroupRekey(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("devices=%d", n), func(b *testing.B) {
			c := newMultitude(b, n, true)
			ctx, e := context.Background(), c.alice.engine
			var rekeys, sends []time.Duration
			var peak uint64
			for b.Loop() {
				_, roster, err := e.readGroup(ctx, c.id)
				if err != nil {
					b.Fatal(err)
				}
				stop, most := make(chan struct{}), make(chan uint64)
				go heapGrowth(stop, most)
				start := time.Now()
				if err := e.rekey(ctx, c.id, roster.Epoch); err != nil {
					b.Fatal(err)
				}
				rekeys = append(rekeys, time.Since(start))
				close(stop)
				peak = max(peak, <-most)
				for range 16 {
					start = time.Now()
					if _, err := c.alice.Send(ctx, "bob", fmt.Sprintf("%0100d", 1), SendOptions{}); err != nil {
						b.Fatal(err)
					}
					sends = append(sends, time.Since(start))
				}
				c.box.empty(b)
				r, roster, err := e.readGroup(ctx, c.id)
				if err != nil || r.Pending != nil || int(roster.Epoch) != len(rekeys)+1 {
					b.Fatal("no new epoch", err)
				}
				own, _, err := r.sending(roster.Epoch)
				if err != nil {
					b.Fatal(err)
				}
				if lacking, err := e.lackingChain(ctx, c.id, own.ID(), c.devices); err != nil || len(lacking) > 0 {
					b.Fatal(len(lacking), "devices lack the keys", err)
				}
			}
			device := float64(middle(rekeys)) / float64(n)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(device/float64(middle(sends)), "xsend")
			b.ReportMetric(device/1e3, "us/device")
			b.ReportMetric(float64(middle(rekeys))/1e6, "ms/rekey")
			b.ReportMetric(float64(peak)/1024, "peak-KB")
		})
	}
}

// BenchmarkGroupSay sends one text to a group of n devices, durable here, to a
// server whose mailboxes keep nothing, so that mostly the sender's work is
// measured.
func BenchmarkGroupSay(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("devices=%d", n), func(b *testing.B) {
			c := newMultitude(b, n, false)
			ctx, name := context.Background(), groupName(c.id)
			if _, err := c.alice.Send(ctx, name, "hello", SendOptions{}); err != nil { // hands out the keys
				b.Fatal(err)
			}
			var says, sends []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				if _, err := c.alice.Send(ctx, name, fmt.Sprintf("%0100d", 1), SendOptions{}); err != nil {
					b.Fatal(err)
				}
				says = append(says, time.Since(start))
				start = time.Now()
				if _, err := c.alice.Send(ctx, "bob", fmt.Sprintf("%0100d", 1), SendOptions{}); err != nil {
					b.Fatal(err)
				}
				sends = append(sends, time.Since(start))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(middle(says))/1e3, "us/message")
			b.ReportMetric(float64(middle(says))/float64(middle(sends)), "xsend")
		})
	}
}
