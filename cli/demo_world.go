package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pawl-chat/pawl/client"
)

// demoWorld is the server and the people of the demonstration.
type demoWorld struct {
	env    *Env
	dir    string
	listen string
	invite string

	stopServer func() error
	alice, bob *demoPerson
	carol      *demoPerson // joins for the group
	phone      *demoPerson // Alice's second device; nil before it is linked
	tap        tap
	texts      []string // everything that was said
	// before is a copy of Bob's home from when missed was under way to him,
	// missed the text and missedRow what the server held of it.
	before, missed string
	missedRow      TappedRow
	// stolen is a copy of Bob's home from the end.
	stolen string
}

// demoPerson is somebody with a device.
type demoPerson struct {
	name    string
	config  client.Config
	api     client.API // nil while the program does not run
	address string
}

func (p *demoPerson) open(ctx context.Context, env *Env) (err error) {
	p.api, err = env.Engine.Open(ctx, p.config)
	return err
}

func (p *demoPerson) close() error {
	if p.api == nil {
		return nil
	}
	err := p.api.Close()
	p.api = nil
	return err
}

// tap records what the server is asked to keep.
type tap struct {
	mu   sync.Mutex
	rows []TappedRow
}

func (t *tap) record(row TappedRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row.Body = bytes.Clone(row.Body)
	t.rows = append(t.rows, row)
}

func (t *tap) all() []TappedRow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]TappedRow(nil), t.rows...)
}

func newDemoWorld(a *app, dir string) (*demoWorld, error) {
	w := &demoWorld{env: a.env, dir: dir}
	person := func(name, passphrase string) (*demoPerson, error) {
		file := w.path(name + ".passphrase")
		if err := os.WriteFile(file, []byte(passphrase+"\n"), 0o600); err != nil {
			return nil, err
		}
		return &demoPerson{name: name, config: client.Config{
			Home: w.path(name), Unlock: client.Unlock{Passphrase: []byte(passphrase)}, Log: a.log(), Now: a.env.Now,
		}}, nil
	}
	var errAlice, errBob, errCarol error
	w.alice, errAlice = person("alice", "Alice walks along the river")
	w.bob, errBob = person("bob", "Bob counts the swans at noon")
	w.carol, errCarol = person("carol", "Carol paints the boats green")
	return w, errors.Join(errAlice, errBob, errCarol)
}

func (w *demoWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *demoWorld) close() error {
	err := errors.Join(w.alice.close(), w.bob.close(), w.carol.close())
	if w.phone != nil {
		err = errors.Join(err, w.phone.close())
	}
	if w.stopServer != nil {
		err = errors.Join(err, w.stopServer())
	}
	return err
}

// say sends a text and waits until the server has it.
func (w *demoWorld) say(ctx context.Context, from, to *demoPerson, text string) (client.Message, error) {
	w.texts = append(w.texts, text)
	m, err := from.api.Send(ctx, to.address, text, client.SendOptions{})
	if err != nil {
		return m, fmt.Errorf("%s to %s: %w", from.name, to.name, err)
	}
	return m, nil
}

// hear takes what waits for a person, as pawl recv does.
func (w *demoWorld) hear(ctx context.Context, p *demoPerson) ([]client.Message, error) {
	if err := p.api.Sync(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	list, err := p.api.Receive(ctx, "", recvBatch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.ID
	}
	if len(ids) > 0 {
		err = p.api.Ack(ctx, "", ids...)
	}
	return list, err
}

// carry sends one text and shows it as it arrives.
func (w *demoWorld) carry(ctx context.Context, s *shown, from, to *demoPerson, text string) error {
	if _, err := w.say(ctx, from, to, text); err != nil {
		return err
	}
	got, err := w.hear(ctx, to)
	if err != nil {
		return err
	}
	if len(got) == 1 && got[0].Text == text {
		s.line("%-5s → %-5s  %s", from.name, to.name, text)
		return nil
	}
	s.claim(false, "%s received what %s sent", to.name, from.name)
	return nil
}

// foundBelow returns one of the texts that stands in some file below dir.
func foundBelow(dir string, texts []string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal that came and went
		}
		for _, t := range texts {
			if bytes.Contains(b, []byte(t)) {
				found = t
			}
		}
		return err
	})
	return found, err
}

// copyHome copies the files of a home whose program does not run.
func copyHome(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case !d.Type().IsRegular():
			return nil // a socket
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
}

func splitLines(s string) []string { return strings.Split(s, "\n") }

// shellWord quotes a word for a POSIX shell when it has to be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
