package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pawl-chat/pawl/client"
)

const (
	// keyFileName is the key file that register makes inside the home when it
	// has nobody to ask for a passphrase.
	keyFileName = "key"
	keyFileSize = 32
	// maxPassphrase bounds what is read of a passphrase file.
	maxPassphrase = 4096
	// promptTries is how often a person may mistype.
	promptTries = 3
)

// unlock finds what opens the store without asking anybody, in the order of
// R-CLI-09. The zero Unlock means that nothing was given.
func (a *app) unlock(home string) (client.Unlock, error) {
	if a.keyFile != "" && a.passphraseFile != "" {
		return client.Unlock{}, usagef("a store is opened by one of them", "--key-file and --passphrase-file exclude each other")
	}
	if a.keyFile != "" {
		path, err := filepath.Abs(a.keyFile)
		if err != nil {
			return client.Unlock{}, err
		}
		return client.Unlock{KeyFile: path}, nil
	}
	if a.passphraseFile != "" {
		return passphraseFile("--passphrase-file", a.passphraseFile)
	}
	if path := a.env.Getenv("PAWL_PASSPHRASE_FILE"); path != "" {
		return passphraseFile("PAWL_PASSPHRASE_FILE", path)
	}
	if dir := a.env.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		path := filepath.Join(dir, "pawl.passphrase")
		if _, err := os.Stat(path); err == nil {
			return passphraseFile("the credential pawl.passphrase", path)
		}
	}
	if path := filepath.Join(home, keyFileName); isFile(path) {
		return client.Unlock{KeyFile: path}, nil
	}
	return client.Unlock{}, nil
}

func given(u client.Unlock) bool { return u.KeyFile != "" || len(u.Passphrase) > 0 }

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// passphraseFile reads a passphrase and takes one line end off its end. Names
// of files are shown, contents never.
func passphraseFile(source, path string) (client.Unlock, error) {
	f, err := os.Open(path)
	if err != nil {
		return client.Unlock{}, usagef("", "%s cannot be read: %s", source, reason(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return client.Unlock{}, usagef("", "%s cannot be read: %s", source, reason(err))
	}
	if len(b) > maxPassphrase {
		return client.Unlock{}, usagef("", "%s is longer than %d bytes", source, maxPassphrase)
	}
	if rest, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		b = bytes.TrimSuffix(rest, []byte("\r"))
	}
	if len(b) == 0 {
		return client.Unlock{}, usagef("write a passphrase into it, or use --key-file", "%s holds an empty passphrase", source)
	}
	return client.Unlock{Passphrase: b}, nil
}

// reason is the short text of an error about a file, without its path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// checkKeyFile says early and clearly what is wrong with a key file.
func checkKeyFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return usagef("`pawl register` makes it", "the key file cannot be read: %s", reason(err))
	case !info.Mode().IsRegular() || info.Size() != keyFileSize:
		return usagef("a key file is 32 random bytes made by `pawl register --key-file F`", "that is not a key file")
	}
	return nil
}

// makeKeyFile writes 32 random bytes that only the owner may read. It never
// overwrites.
func makeKeyFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	key := make([]byte, keyFileSize)
	defer clear(key)
	rand.Read(key)
	_, err = f.Write(key)
	return errors.Join(err, f.Sync(), f.Close())
}

// unlockNew finds or makes what will open a new store. undo takes back a key
// file that was made, for a registration that came to nothing.
func (a *app) unlockNew(ctx context.Context, home string) (u client.Unlock, undo func(), err error) {
	undo = func() {}
	u, err = a.unlock(home)
	if err != nil || len(u.Passphrase) > 0 {
		return u, undo, err
	}
	if u.KeyFile == "" {
		u.Passphrase, err = a.newSecret(ctx, "passphrase for the new store: ")
		if !errors.Is(err, ErrNoTerminal) {
			return u, undo, err
		}
		u, err = client.Unlock{KeyFile: filepath.Join(home, keyFileName)}, nil
	}
	if isFile(u.KeyFile) {
		return u, undo, checkKeyFile(u.KeyFile)
	}
	before := filled(home)
	if err := makeKeyFile(u.KeyFile); err != nil {
		return u, undo, fmt.Errorf("the key file cannot be made: %w", err)
	}
	undo = func() {
		after := filled(home)
		if filepath.Dir(u.KeyFile) == home {
			after--
		}
		if after == before { // no store was begun that would need the key
			os.Remove(u.KeyFile)
			os.Remove(home) // only if empty
		}
	}
	return u, undo, nil
}

// warnKeyFile says that a store has no other protection than the permissions
// of the key file that was made for it.
func (a *app) warnKeyFile(home string, u client.Unlock) {
	if u.KeyFile == filepath.Join(home, keyFileName) && a.keyFile == "" {
		a.out.warn("no passphrase was given and there is no terminal: the store opens with %s, so file permissions alone protect it", clean(u.KeyFile))
	}
}

// filled counts the files in a directory that hold anything: not a lock or a
// socket.
func filled(dir string) int {
	list, _ := os.ReadDir(dir)
	n := 0
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			n++
		}
	}
	return n
}

// open opens the account of the home. A running owner process needs no
// passphrase, so the person is asked only when the engine asks.
func (a *app) open(ctx context.Context) (client.API, error) {
	return a.opening(ctx, a.env.Engine.Open)
}

// opening finds what opens the home's store and hands it to do, again for each
// answer of the person.
func (a *app) opening(ctx context.Context, do func(context.Context, client.Config) (client.API, error)) (client.API, error) {
	home, err := a.homeDir()
	if err != nil {
		return nil, err
	}
	cfg := client.Config{Home: home, Log: a.log(), Now: a.env.Now}
	if cfg.Unlock, err = a.unlock(home); err != nil {
		return nil, err
	}
	if cfg.Unlock.KeyFile != "" {
		if err := checkKeyFile(cfg.Unlock.KeyFile); err != nil {
			return nil, err
		}
	}
	api, err := do(ctx, cfg)
	for try := 0; try < promptTries && !given(cfg.Unlock) && (errors.Is(err, client.ErrLocked) || errors.Is(err, client.ErrWrongPassphrase)); try++ {
		if errors.Is(err, client.ErrWrongPassphrase) {
			a.out.note("that passphrase does not open the store")
		}
		secret, asked := a.env.ReadSecret(ctx, "passphrase: ")
		if errors.Is(asked, ErrNoTerminal) {
			return nil, err
		}
		if asked != nil {
			return nil, asked
		}
		with := cfg
		with.Unlock.Passphrase = secret
		api, err = do(ctx, with)
	}
	return api, err
}

// with runs f on the opened account and closes it.
func (a *app) with(ctx context.Context, f func(client.API) error) error {
	api, err := a.open(ctx)
	if err != nil {
		return err
	}
	a.labels.me = api.Account().Address
	err = f(api)
	if closing := api.Close(); err == nil && closing != nil {
		a.out.warn("the store did not close cleanly: %s", clean(closing.Error())) // what was printed stands
	}
	return err
}
