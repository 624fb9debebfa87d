package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/sqlitestore"
)

// engine wires the commands to the packages that do the work.
func engine() Engine {
	return Engine{
		Register:     client.Register,
		Open:         client.Open,
		Link:         client.Link,
		Relink:       client.Relink,
		ParseLink:    client.ParseLink,
		VerifyBackup: client.VerifyBackup,
		Restore:      client.Restore,
		RestoreWords: client.RestoreWords,
		Serve:        func(c ServeConfig) (Server, error) { return newRelay(c) },
		Examine:      examine,
		Forge:        forge,
	}
}

// sealKeyName is the file in the server's directory that holds the key under
// which mailbox rows are sealed.
const sealKeyName = "seal.key"

// relay is a server on its embedded store.
type relay struct {
	*server.Server
	store  *sqlitestore.Store
	closed bool // nobody may register
}

func newRelay(c ServeConfig) (_ *relay, err error) {
	store, err := sqlitestore.Open(sqlitestore.Options{Dir: c.Data})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if c.Restored { // R-STO-18
		if _, err := store.Restored(context.Background()); err != nil {
			return nil, err
		}
	}
	key, err := sealKey(filepath.Join(c.Data, sealKeyName))
	if err != nil {
		return nil, err
	}
	mailbox := server.Sealed(store, key)
	clear(key[:])
	if c.Tap != nil {
		mailbox = tapped{mailbox, c.Tap}
	}
	s, err := server.New(server.Config{
		Stores: server.Stores{Directory: store, Mailbox: mailbox, Wake: store},
		Dir:    c.Data, Listen: c.Listen, Host: c.Host, Registration: server.Mode(c.Registration),
		CertFile: c.CertFile, KeyFile: c.KeyFile, ACMEHost: c.ACME, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	return &relay{s, store, server.Mode(c.Registration) == server.NoNew}, nil
}

// sealKey reads the key, and makes it for a new store.
func sealKey(path string) (key [32]byte, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyFile(path); err == nil {
			b, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return key, err
	}
	defer clear(b)
	if len(b) != len(key) {
		return key, fmt.Errorf("%w: %s is not a key", server.ErrDamaged, sealKeyName)
	}
	copy(key[:], b)
	return key, nil
}

func (r *relay) Invite(ctx context.Context) (string, error) {
	if r.closed {
		return "", nil
	}
	return r.Server.Invite(ctx, server.InviteOptions{})
}

func (r *relay) Serve(ctx context.Context) error {
	return errors.Join(r.Server.Serve(ctx), r.store.Close())
}

// tapped is a mailbox that shows what it is asked to keep.
type tapped struct {
	server.Mailbox
	show func(TappedRow)
}

func (t tapped) Append(ctx context.Context, envelopes []server.Envelope) ([]server.Result, error) {
	results, err := t.Mailbox.Append(ctx, envelopes)
	for i, e := range envelopes {
		if err == nil && !results[i].Duplicate {
			t.show(TappedRow{e.Device.User, e.Device.ID.String(), hex.EncodeToString(e.ID[:]), e.Body})
		}
	}
	return results, err
}

// burglar is client.Examination with "stays closed" as an answer.
type burglar struct{ *client.Examination }

func examine(c client.Config) (Examination, error) {
	x, err := client.Examine(c)
	if err != nil {
		return nil, err
	}
	return burglar{x}, nil
}

func (b burglar) TryOpen(ctx context.Context, envelope []byte) (string, bool, error) {
	text, err := b.Examination.TryOpen(ctx, envelope)
	if errors.Is(err, client.ErrStaysClosed) {
		return "", false, nil
	}
	return text, err == nil, err
}

func forge(ctx context.Context, r ForgeRequest) (_ Forgery, err error) {
	x, err := client.Examine(r.Home)
	if err != nil {
		return Forgery{}, err
	}
	parties, err := x.Parties(ctx)
	if err = errors.Join(err, x.Close()); err != nil {
		return Forgery{}, err
	}
	f, err := client.ForgeText(r.Envelopes, parties, r.OldText, r.NewText)
	return Forgery{f.Original, f.Forged, f.Seed[:], f.Verifies}, err
}
