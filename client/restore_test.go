package client_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

var sealedUnder = client.BackupOptions{Passphrase: []byte("a passphrase of its own")}

func backedUp(t *testing.T, c client.API) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.Backup(ctx(t), &b, sealedUnder); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restoreTo(t *testing.T, cfg client.Config, b []byte, revoke bool) (client.API, error) {
	t.Helper()
	c, _, err := client.Restore(ctx(t), cfg, bytes.NewReader(b), client.RestoreRequest{BackupOptions: sealedUnder, DeviceName: "new", RevokeOld: revoke})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func texts(t *testing.T, c client.API, with string) (all []string) {
	t.Helper()
	list, err := c.History(ctx(t), with, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		all = append(all, m.Text)
	}
	return all
}

// R-BAK-06, R-RCV-01, R-RCV-04: alice loses her home and takes the account back on another: the history is
// there, she is a new device, bob's next message reaches her, and the old home
// learns that it is out.
func TestR_BAK_06_ARestoredDeviceIsANewOne(t *testing.T) {
	w := newWorld(t)
	old := config(t, "alice")
	a := w.join(old, "alice")
	b := w.join(config(t, "bob"), "bob")
	alice, bob := a.Account().Address, b.Account().Address
	send(t, a, bob, "one")
	take(t, b)
	send(t, b, alice, "two")
	take(t, a)
	if err := a.Confirm(ctx(t), bob); err != nil {
		t.Fatal(err)
	}
	if err := a.SetAlias(ctx(t), bob, "bobby"); err != nil {
		t.Fatal(err)
	}
	send(t, b, alice, "not taken yet")
	if err := a.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	sealed := backedUp(t, a)
	before := a.Account()
	a.Close()

	fresh := config(t, "fresh")
	c, err := restoreTo(t, fresh, sealed, true)
	if err != nil {
		t.Fatal(err)
	}
	now := c.Account()
	if now.Address != before.Address || now.Identity != before.Identity || now.Device == before.Device || now.DeviceName != "new" {
		t.Errorf("%+v after %+v", now, before)
	}
	if got := texts(t, c, bob); strings.Join(got, ",") != "one,two,not taken yet" {
		t.Errorf("history: %q", got)
	}
	contact, err := c.Contact(ctx(t), "bobby")
	if err != nil || contact.Trust != client.TrustVerified || contact.Address != bob {
		t.Errorf("contact: %+v, %v", contact, err)
	}
	if s, err := c.Status(ctx(t)); err != nil || s.Sessions != 0 {
		t.Errorf("sessions: %+v, %v", s, err)
	}
	send(t, b, alice, "three")
	if got := take(t, c); strings.Join(got, ",") != "not taken yet,three" {
		t.Errorf("received %q", got)
	}
	send(t, c, bob, "four")
	if got := take(t, b); strings.Join(got, ",") != "notice:account_recovered,four" {
		t.Errorf("bob received %q", got)
	}
	seen, err := b.Contact(ctx(t), alice)
	if err != nil || seen.Trust != client.TrustFirstUse || len(seen.Devices) != 2 || !seen.Devices[0].Revoked || seen.Devices[1].Revoked {
		t.Errorf("bob sees %+v, %v", seen, err)
	}
	again, err := client.Open(ctx(t), old)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Sync(ctx(t)); !errors.Is(err, client.ErrRevoked) {
		t.Errorf("the old device: %v", err)
	}
}

// Without revocation both devices are listed, and a second restore of the same
// backup brings the list up to date first.
func TestR_RCV_04_AnOldBackupCatchesUp(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	b := w.join(config(t, "bob"), "bob")
	sealed := backedUp(t, a)
	for range 3 {
		if _, err := restoreTo(t, config(t, "more"), sealed, false); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := b.Contact(ctx(t), a.Account().Address)
	if err != nil || len(seen.Devices) != 4 {
		t.Errorf("bob sees %+v, %v", seen, err)
	}
	if err := a.Sync(ctx(t)); err != nil {
		t.Errorf("the first device: %v", err)
	}
}

// Cut short by a server that is gone, a restore goes on where it was.
func TestR_BAK_07_ARestoreCanBeRepeated(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	send(t, a, "me", "a note")
	sealed := backedUp(t, a)
	fresh := config(t, "fresh")
	conf := server.Config{Stores: w.stores, Dir: w.dir, Listen: w.server.Addr()}
	w.stop()
	if _, err := restoreTo(t, fresh, sealed, false); !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("without a server: %v", err)
	}
	if _, err := client.Open(ctx(t), fresh); !errors.Is(err, client.ErrNotRegistered) {
		t.Errorf("a half-restored home: %v", err)
	}
	other := backedUp(t, a)
	w.serve(conf)
	if _, err := restoreTo(t, fresh, other, false); !errors.Is(err, client.ErrAlreadyHere) {
		t.Errorf("another backup: %v", err)
	}
	c, err := restoreTo(t, fresh, sealed, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(t, c, "me"); strings.Join(got, ",") != "a note" {
		t.Errorf("history: %q", got)
	}
	if _, err := restoreTo(t, fresh, sealed, false); !errors.Is(err, client.ErrAlreadyHere) {
		t.Errorf("over an account: %v", err)
	}
}

// A wrong passphrase or a damaged file makes no home, and a server that does
// not have the account neither.
func TestR_BAK_07_NothingIsMadeOfABadBackup(t *testing.T) {
	w := newWorld(t)
	alice := config(t, "alice")
	a := w.join(alice, "alice")
	sealed := backedUp(t, a)
	summary, err := client.VerifyBackup(ctx(t), bytes.NewReader(sealed), sealedUnder)
	if err != nil || summary.Address != a.Account().Address || summary.Identity != a.Account().Identity {
		t.Errorf("%+v, %v", summary, err)
	}
	fresh := config(t, "fresh")
	absent := func() {
		t.Helper()
		if _, err := os.Stat(fresh.Home); !os.IsNotExist(err) {
			t.Errorf("a home was made: %v", err)
		}
	}
	_, _, err = client.Restore(ctx(t), fresh, bytes.NewReader(sealed), client.RestoreRequest{BackupOptions: client.BackupOptions{Passphrase: []byte("wrong")}})
	if !errors.Is(err, client.ErrBackupPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	absent()
	broken := bytes.Clone(sealed)
	broken[len(broken)-1] ^= 1
	if _, err := restoreTo(t, fresh, broken, false); !errors.Is(err, client.ErrBackupDamaged) {
		t.Errorf("damaged: %v", err)
	}
	absent()
	if _, err := restoreTo(t, alice, sealed, false); !errors.Is(err, client.ErrAlreadyHere) {
		t.Errorf("over an account: %v", err)
	}
}

// R-BAK-08: the local socket alone does not give the account key away.
func TestR_BAK_08_TheAccountKeyNeedsTheStoresSecret(t *testing.T) {
	w := newWorld(t)
	alice := config(t, "alice")
	w.join(alice, "alice")
	beside, err := client.Open(ctx(t), client.Config{Home: alice.Home})
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	var b bytes.Buffer
	if _, err := beside.Backup(ctx(t), &b, sealedUnder); !errors.Is(err, client.ErrLocked) || b.Len() != 0 {
		t.Errorf("without the secret: %v, %d bytes", err, b.Len())
	}
	knowing, err := client.Open(ctx(t), alice)
	if err != nil {
		t.Fatal(err)
	}
	defer knowing.Close()
	if _, err := knowing.Backup(ctx(t), &b, sealedUnder); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// R-BAK-09: who lost every device takes the account back with the recovery file alone,
// and may remove all that are left.
func TestR_BAK_09_TheRecoveryFileAlone(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	b := w.join(config(t, "bob"), "bob")
	send(t, a, b.Account().Address, "one")
	take(t, b)
	o := sealedUnder
	o.Recovery = true
	var file bytes.Buffer
	s, err := a.Backup(ctx(t), &file, o)
	if err != nil || s.Messages != 0 || s.Contacts != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := restoreTo(t, config(t, "wrong"), file.Bytes(), false); !errors.Is(err, client.ErrBackupDamaged) {
		t.Errorf("as a whole backup: %v", err)
	}
	if _, err := restoreTo(t, config(t, "second"), backedUp(t, a), false); err != nil {
		t.Fatal(err)
	}
	c, _, err := client.Restore(ctx(t), config(t, "fresh"), bytes.NewReader(file.Bytes()), client.RestoreRequest{BackupOptions: o, RevokeAll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Account().Identity != a.Account().Identity {
		t.Error("another identity")
	}
	send(t, b, a.Account().Address, "two")
	if got := take(t, c); strings.Join(got, ",") != "two" {
		t.Errorf("received %q", got)
	}
	seen, err := b.Contact(ctx(t), a.Account().Address)
	if err != nil || len(seen.Devices) != 3 || !seen.Devices[0].Revoked || !seen.Devices[1].Revoked || seen.Devices[2].Revoked {
		t.Errorf("bob sees %+v, %v", seen, err)
	}
}

// A server that put back an older list, or shows a fork of it, gets no device
// onto it: what the backup holds is where the list must go on from.
func TestR_RCV_04_AServerThatForgotOrForked(t *testing.T) {
	w := newWorld(t)
	a := w.join(config(t, "alice"), "alice")
	early := backedUp(t, a)
	first, err := w.stores.Directory.Account(ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	second, err := restoreTo(t, config(t, "second"), early, false)
	if err != nil {
		t.Fatal(err)
	}
	late := backedUp(t, second)
	a.Close()
	second.Close()
	listen := w.server.Addr()
	w.stop()

	m := memstore.New()
	if err := m.CreateAccount(ctx(t), server.Registration{User: "alice", Record: first.Record, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.serve(server.Config{Stores: server.Stores{Directory: m, Mailbox: m, Wake: m}, Dir: w.dir, Listen: listen})
	for range 3 { // it forgot, then forked once and twice
		fresh := config(t, "fresh")
		if _, err := restoreTo(t, fresh, late, true); !errors.Is(err, client.ErrRefused) {
			t.Errorf("restored: %v", err)
		}
		if _, err := os.Stat(filepath.Join(fresh.Home, "store.db")); !os.IsNotExist(err) {
			t.Errorf("a store is left: %v", err)
		}
		if _, err := restoreTo(t, config(t, "fork"), early, false); err != nil {
			t.Fatal(err)
		}
	}
	// It never heard of the account, or has another of that name.
	w.stop()
	none := memstore.New()
	w.serve(server.Config{Stores: server.Stores{Directory: none, Mailbox: none, Wake: none}, Dir: w.dir, Listen: listen})
	if _, err := restoreTo(t, config(t, "fresh"), early, false); !errors.Is(err, client.ErrRefused) {
		t.Errorf("without the account: %v", err)
	}
	w.join(config(t, "other"), "alice")
	if _, err := restoreTo(t, config(t, "fresh"), early, false); !errors.Is(err, client.ErrRefused) {
		t.Errorf("another account: %v", err)
	}
}
