package server_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
)

// next drafts and signs the list after p's with the change made.
func (p *person) next(change func(*devicelist.List)) []byte {
	p.w.t.Helper()
	l := p.list.Next(time.Now())
	change(&l)
	entry, err := devicelist.Sign(l, p.account)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return entry
}

func (p *person) held(entry []byte) {
	p.w.t.Helper()
	l, err := devicelist.Extend(p.list, entry)
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.list = l
}

// R-REL-10: the list changes by compare-and-swap and only to one that verifies
// and extends it.
func TestR_REL_10_DeviceList(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a := alice.connect()
	phone := key(t)
	entry := alice.next(func(l *devicelist.List) {
		l.Devices = append(l.Devices, alice.describe(address.NewDevice(), phone))
	})
	rival := alice.next(func(l *devicelist.List) {
		l.Devices = append(l.Devices, alice.describe(address.NewDevice(), key(t)))
	})
	wantCode(t, a.PutDeviceList(t.Context(), flip(entry)), relay.BadRequest)
	bobs := bob.next(func(*devicelist.List) {})
	wantCode(t, a.PutDeviceList(t.Context(), bobs), relay.BadRequest)
	for range 2 { // repeating is no conflict
		if err := a.PutDeviceList(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if e := wantCode(t, a.PutDeviceList(t.Context(), rival), relay.Conflict); e.Version != 2 {
		t.Errorf("the conflict names version %d", e.Version)
	}
	wantCode(t, a.PutDeviceList(t.Context(), alice.entry), relay.Conflict)
	alice.held(entry)

	chain, err := bob.connect().Account(t.Context(), "alice")
	if err != nil || len(chain) != 2 || !bytes.Equal(chain[0], alice.entry) || !bytes.Equal(chain[1], entry) {
		t.Fatalf("the chain has %d entries, %v", len(chain), err)
	}
	if _, err := devicelist.VerifyChain(chain); err != nil {
		t.Error(err)
	}
	_, err = a.Account(t.Context(), "nobody")
	wantCode(t, err, relay.NotFound)

	// The new device logs in and uploads; sends must now name both.
	second := relayclient.Login{User: "alice", Device: alice.list.Devices[1].ID, Key: phone}
	p, err := relayclient.Dial(t.Context(), w.target(), second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.PutPrekeys(t.Context(), alice.upload.Bytes()); err == nil {
		t.Error("another device's prekeys are accepted")
	}
	up, _ := prekeys.Generate(time.Now(), prekeys.Owner{Account: alice.accountKey(), Device: uint64(second.Device)}, phone)
	if err := p.PutPrekeys(t.Context(), up.Bytes()); err != nil {
		t.Error(err)
	}

	// Revoked, it is thrown out, gets nothing more and cannot come back.
	entry = alice.next(func(l *devicelist.List) { l.Devices[1].Status = devicelist.Revoked })
	if err := a.PutDeviceList(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	alice.held(entry)
	<-p.Done()
	if !errors.Is(p.Err(), relay.Unauthorized) {
		t.Errorf("the revoked device's connection ended with %v", p.Err())
	}
	_, err = relayclient.Dial(t.Context(), w.target(), second)
	wantCode(t, err, relay.Unauthorized)
	b := bob.connect()
	_, err = b.TakeBundle(t.Context(), "alice", second.Device)
	wantCode(t, err, relay.NotFound)
	send(t, b, to(alice, "to the first only"))
}

// A chain longer than a frame comes in pages.
func TestAccountPages(t *testing.T) {
	if testing.Short() {
		t.Log("shortened to 30 versions")
	}
	w := serve(t)
	alice := w.person("alice")
	a := alice.connect()
	versions := 150 // of growing lists: past one page
	if testing.Short() {
		versions = 30
	}
	for i := range versions {
		entry := alice.next(func(l *devicelist.List) {
			n := len(l.Devices)
			if n > 1 && l.Devices[n-1].Status == devicelist.Active {
				l.Devices[n-1].Status = devicelist.Revoked
			} else if n < devicelist.MaxDevices {
				l.Devices = append(l.Devices, alice.describe(address.NewDevice(), key(t)))
			}
		})
		if err := a.PutDeviceList(t.Context(), entry); err != nil {
			if i > 60 && errors.Is(err, relay.TooLarge) {
				versions = i
				break
			}
			t.Fatalf("version %d: %v", i+2, err)
		}
		alice.held(entry)
	}
	chain, err := a.Account(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if l, err := devicelist.VerifyChain(chain); err != nil || l.Version != uint64(versions+1) {
		t.Errorf("version %d, %v", l.Version, err)
	}
}

// R-REL-11: an upload is verified and stored once; both sides name it alike.
func TestR_REL_11_Prekeys(t *testing.T) {
	w := serve(t)
	alice, bob := w.person("alice"), w.person("bob")
	a, b := alice.connect(), bob.connect()
	if _, err := b.TakeBundle(t.Context(), "alice", alice.device); err != nil {
		t.Fatal(err)
	}
	// The upload that the registration made, again: the taken keys stay taken.
	if err := a.PutPrekeys(t.Context(), alice.upload.Bytes()); err != nil {
		t.Fatal(err)
	}
	status, err := a.PrekeyStatus(t.Context())
	if err != nil || status.EC != 99 || status.KEM != 99 || status.Digest != alice.upload.Digest() {
		t.Errorf("after a repetition: %+v, %v", status, err)
	}
	owner := prekeys.Owner{Account: alice.accountKey(), Device: uint64(alice.device)}
	rotated, _ := prekeys.Rotate(time.Now(), owner, alice.sign)
	if err := a.PutPrekeys(t.Context(), rotated.Bytes()); err != nil {
		t.Fatal(err)
	}
	status, err = a.PrekeyStatus(t.Context())
	if err != nil || status.EC != 99 || status.KEM != 99 || status.Digest != rotated.Digest() {
		t.Errorf("after a rotation: %+v, %v", status, err)
	}
	fresh, _ := prekeys.Generate(time.Now(), owner, alice.sign)
	if err := a.PutPrekeys(t.Context(), fresh.Bytes()); err != nil {
		t.Fatal(err)
	}
	status, err = a.PrekeyStatus(t.Context())
	if err != nil || status.EC != 100 || status.KEM != 100 || status.Digest != fresh.Digest() {
		t.Errorf("after a refill: %+v, %v", status, err)
	}
	forged, _ := prekeys.Rotate(time.Now(), owner, key(t))
	wantCode(t, a.PutPrekeys(t.Context(), forged.Bytes()), relay.BadRequest)
	old, _ := prekeys.Rotate(time.Now().Add(-60*24*time.Hour), owner, alice.sign)
	wantCode(t, a.PutPrekeys(t.Context(), old.Bytes()), relay.BadRequest)
	wantCode(t, a.PutPrekeys(t.Context(), flip(fresh.Bytes())), relay.BadRequest)
}

// R-REL-12: 32 takers at once get each one-time key at most once; when none is
// left the bundle has the last-resort key.
func TestR_REL_12_TakenOnce(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	const takers, each = 32, 5 // more than the 100 keys there are
	conns := make([]*relayclient.Conn, 4)
	for i := range conns {
		conns[i] = w.person(string(rune('b' + i))).connect()
	}
	var mu sync.Mutex
	var bundles [][]byte
	var all sync.WaitGroup
	for i := range takers {
		all.Go(func() {
			for range each {
				b, err := conns[i%len(conns)].TakeBundle(t.Context(), "alice", alice.device)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				bundles = append(bundles, b)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	ec, kem := 0, 0
	for i, row := range alice.upload.OneTimeEC {
		if n := holding(bundles, row); n > 1 {
			t.Fatalf("a one-time X25519 key went out %d times", n)
		} else {
			ec += n
		}
		n := holding(bundles, alice.upload.OneTimeKEM[i])
		if n > 1 {
			t.Fatalf("a one-time ML-KEM key went out %d times", n)
		}
		kem += n
	}
	if ec != 100 || kem != 100 || holding(bundles, alice.upload.LastResort) != takers*each-100 {
		t.Errorf("%d and %d one-time keys and %d last-resort keys went out", ec, kem, holding(bundles, alice.upload.LastResort))
	}
	for _, b := range bundles {
		if _, err := prekeys.ParseBundle(b); err != nil {
			t.Fatal(err)
		}
	}
}

// holding counts the bundles that contain the row.
func holding(bundles [][]byte, row []byte) int {
	n := 0
	for _, b := range bundles {
		if bytes.Contains(b, row) {
			n++
		}
	}
	return n
}
