package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/memnet"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// Images are homes and accounts made once and copied for every schedule: the
// two hundred prekeys of a device cost more than all it does in a schedule.

// images is what all schedules begin with.
type images struct {
	serverDir string // holds the server's key
	keyFile   string // opens every home
	people    []accountImage
}

// accountImage is one person with a number of devices to choose from.
type accountImage struct {
	address address.Address
	account ed25519.PrivateKey
	pin     []byte
	first   []byte   // entry of the first device
	calls   []record // what the server does to its directory when a device joins
	homes   []homeImage
}

// homeImage is a device's home, as it is when the device has joined and, but
// for the first, as it is before.
type homeImage struct {
	id            address.Device
	joined, spare []byte
}

// record is a change of a directory that can be made again.
type record func(server.Directory) error

// recorder keeps the last change made.
type recorder struct {
	server.Directory
	last record
}

func (r *recorder) CreateAccount(ctx context.Context, reg server.Registration) error {
	if err := r.Directory.CreateAccount(ctx, reg); err != nil {
		return err
	}
	reg.Invite = nil
	r.last = func(d server.Directory) error { return d.CreateAccount(context.Background(), reg) }
	return nil
}

func (r *recorder) UpdateAccount(ctx context.Context, c server.Change) (server.Version, error) {
	v, err := r.Directory.UpdateAccount(ctx, c)
	if err == nil {
		r.last = func(d server.Directory) error {
			_, err := d.UpdateAccount(context.Background(), c)
			return err
		}
	}
	return v, err
}

// unlimited lets a schedule ask as often as it likes: what limits do is tested
// with the server.
var unlimited = server.Limits{
	Connects: server.Rate{Burst: -1}, Registrations: server.Rate{Burst: -1},
	BundlePair: server.Rate{Burst: -1}, BundleTarget: server.Rate{Burst: -1}, BundleRequester: server.Rate{Burst: -1},
	SendPair: server.Rate{Burst: -1}, SendRequester: server.Rate{Burst: -1}, SendBytes: server.Rate{Burst: -1},
	Lookups: server.Rate{Burst: -1}, ListChanges: server.Rate{Burst: -1}, Uploads: server.Rate{Burst: -1},
	GroupCreates: server.Rate{Burst: -1}, GroupAppends: server.Rate{Burst: -1}, GroupLog: server.Rate{Burst: -1},
	GroupCopies: server.Rate{Burst: -1}, GroupBytes: server.Rate{Burst: -1}, GroupPair: server.Rate{Burst: -1},
}

// newImages makes people with a number of devices each, on a synthetic clock
// that begins where those of the schedules do.
func newImages(t *testing.T, each int, names ...string) *images {
	dir := t.TempDir()
	img := &images{serverDir: filepath.Join(dir, "server"), keyFile: filepath.Join(dir, "key")}
	synctest.Test(t, func(t *testing.T) {
		m := memstore.New()
		dir := &recorder{Directory: m}
		at := memnet.Listen()
		srv, err := server.New(server.Config{
			Stores:   server.Stores{Directory: dir, Mailbox: m, Wake: m},
			Listener: at, Dir: img.serverDir, Limits: unlimited,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ctx) }()
		link, err := srv.Invite(ctx, server.InviteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Unlock: Unlock{KeyFile: img.keyFile},
			Dial:   func(ctx context.Context, _, _ string) (net.Conn, error) { return at.Dial(ctx) },
		}
		img.people = make([]accountImage, len(names))
		for i, name := range names {
			if err := img.people[i].make(t, cfg, dir, each, name, link); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
	})
	return img
}

// make registers a person and joins more devices, one after the other.
func (a *accountImage) make(t *testing.T, cfg Config, dir *recorder, each int, name, link string) error {
	a.calls, a.homes = make([]record, each), make([]homeImage, each)
	for i := range each {
		cfg.Home = filepath.Join(t.TempDir(), "home")
		v, err := vault.Create(cfg.Home, cfg.Unlock.vault(), tables())
		if err != nil {
			return err
		}
		h := &a.homes[i]
		if i == 0 {
			err = enroll(t.Context(), v, cfg, RegisterRequest{Name: name, Invite: link})
		} else {
			if err = a.newSpare(v, cfg, i); err != nil {
				return err
			}
			if h.spare, err = imageOf(v, cfg); err != nil {
				return err
			}
			if v, err = vault.Open(cfg.Home, cfg.Unlock.vault(), tables()); err != nil {
				return err
			}
			err = a.admit(t.Context(), v, cfg)
		}
		if err != nil {
			return err
		}
		s, err := readSelf(v)
		if err != nil {
			return err
		}
		if i == 0 {
			a.address, a.account, a.pin, a.first = s.address, s.account, s.record.Pin, s.record.Chain[0]
		}
		h.id, a.calls[i] = s.device, dir.last
		if h.joined, err = imageOf(v, cfg); err != nil {
			return err
		}
	}
	return nil
}

// imageOf closes a store and returns its file.
func imageOf(v *vault.Vault, cfg Config) ([]byte, error) {
	if err := v.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(v.Path())
}

// newSpare draws the keys of a device that is to join later.
func (a *accountImage) newSpare(v *vault.Vault, cfg Config, i int) error {
	sign := make([]byte, ed25519.SeedSize)
	rand.Read(sign)
	key, _ := dh.Generate()
	priv := key.Export()
	first, err := devicelist.Verify(a.first)
	if err != nil {
		return err
	}
	now := time.Now()
	r := accountRecord{
		Version: 1, Address: a.address.String(), Device: uint64(address.NewDevice()), DeviceName: "device " + string(rune('0'+i)),
		Account: first.Account, SignKey: sign, DHKey: priv[:], Host: a.address.Host(), Pin: a.pin, Created: now.Unix(), Chain: [][]byte{a.first},
	}
	up, private := prekeys.Generate(now, prekeys.Owner{Account: first.Account, Device: r.Device}, ed25519.NewKeyFromSeed(sign))
	r.Upload = up.Bytes()
	digest := up.Digest()
	return v.Update(context.Background(), func(tx *vault.Tx) error {
		if err := tx.Put(tableMeta, metaAccount, nil, 0, codec.Marshal(r)); err != nil {
			return err
		}
		return storePrekeys(tx, private, prekeyRecord{Digest: digest[:], Left: prekeys.OneTimeKeys})
	})
}

// admit joins a spare device: the account key signs a list that has it, and
// the server takes the list together with the device's prekeys.
func (a *accountImage) admit(ctx context.Context, v *vault.Vault, cfg Config) error {
	s, err := readSelf(v)
	if err != nil {
		return err
	}
	chain := s.record.Chain
	list, err := devicelist.VerifyChain(chain)
	if err != nil {
		return err
	}
	for {
		if _, there := list.Device(s.device); there { // an earlier attempt went through
			s.record.Chain, s.record.Registered, s.record.Upload = chain, true, nil
			return writeSelf(v, s.record)
		}
		now := time.Now()
		next := list.Next(now)
		d := devicelist.NewDevice(list.Account, s.address, s.device, s.sign, s.own.Identity, s.record.DeviceName, now)
		d.Caps = capabilities()
		next.Devices = append(next.Devices, d)
		entry, err := devicelist.Sign(next, a.account)
		if err != nil {
			return err
		}
		lacking, err := relayclient.Recover(ctx, s.target(cfg.Dial), relay.RecoverRequest{Entry: entry, Upload: s.record.Upload})
		if errors.Is(err, relay.Conflict) && len(lacking) > 0 {
			for _, e := range lacking {
				if list, err = devicelist.Extend(list, e); err != nil {
					return err
				}
				chain = append(chain, e)
			}
			continue
		}
		if err != nil {
			return err
		}
		s.record.Chain, s.record.Registered, s.record.Upload = append(chain, entry), true, nil
		return writeSelf(v, s.record)
	}
}
