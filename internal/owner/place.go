package owner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pawl-chat/pawl/internal/home"
)

// place is where an owner listens: in the home, or, when the system cannot
// take a name that long, in a private directory elsewhere that a file in the
// home names.
type place struct {
	home   string
	socket string
	dir    string // the directory elsewhere; empty when there is none
}

// listen binds the socket of the home. The caller holds the lock, so a socket
// that stands there is a dead owner's.
func listen(dir string) (*net.UnixListener, *place, error) {
	// R-OWN-05
	forget(dir)
	p := &place{home: dir, socket: filepath.Join(dir, socketName)}
	if len(p.socket) > maxSocketPath {
		if err := p.elsewhere(); err != nil {
			return nil, nil, err
		}
	}
	if err := removeSocket(p.socket); err != nil {
		return nil, nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("binding the socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // remove does it, while the lock is still held
	if err := os.Chmod(p.socket, 0o600); err != nil {
		l.Close()
		p.remove()
		return nil, nil, fmt.Errorf("making the socket private: %w", err)
	}
	if p.dir != "" {
		if err := p.record(); err != nil {
			l.Close()
			p.remove()
			return nil, nil, err
		}
	}
	return l, p, nil
}

// elsewhere picks a private directory with a short name.
func (p *place) elsewhere() error {
	sum := sha256.Sum256([]byte(p.home))
	name := "pawl-" + hex.EncodeToString(sum[:8])
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		dir := filepath.Join(base, name)
		if !filepath.IsAbs(base) || len(dir)+1+len(socketName) > maxSocketPath {
			continue
		}
		if info, err := os.Stat(base); err != nil || !info.IsDir() {
			continue
		}
		made, err := home.Prepare(dir)
		if err != nil {
			// Somebody sits on the name; no one can guess the next.
			if dir, err = os.MkdirTemp(base, "pawl-"); err != nil {
				continue
			}
			made = dir
		}
		if len(made)+1+len(socketName) > maxSocketPath {
			os.Remove(made)
			continue
		}
		p.dir, p.socket = made, filepath.Join(made, socketName)
		return nil
	}
	return fmt.Errorf("no directory with a name short enough for a socket: %w", ErrUnsupported)
}

// record writes the socket's path into the home, whole or not at all.
func (p *place) record() error {
	path := filepath.Join(p.home, placeName)
	temp := path + ".new"
	os.Remove(temp)
	err := os.WriteFile(temp, []byte(p.socket), 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("recording the socket's place: %w", err)
	}
	return nil
}

// remove takes everything away that listen made.
func (p *place) remove() {
	os.Remove(p.socket)
	if p.dir != "" {
		os.Remove(p.dir)
		os.Remove(filepath.Join(p.home, placeName))
	}
}

// forget removes what a dead owner recorded and bound elsewhere.
func forget(dir string) {
	socket, err := recorded(dir)
	if err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(socket)), "pawl-") && removeSocket(socket) == nil {
		os.Remove(filepath.Dir(socket))
	}
	os.Remove(filepath.Join(dir, placeName))
	os.Remove(filepath.Join(dir, placeName+".new"))
}

// recorded returns the path in the home's record.
func recorded(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, placeName))
	if err != nil {
		return "", err
	}
	s := string(b)
	if len(s) > maxSocketPath || !filepath.IsAbs(s) || filepath.Base(s) != socketName || strings.ContainsRune(s, 0) {
		return "", ErrFrame
	}
	return s, nil
}

// locate returns where the owner of the home listens.
func locate(dir string) (string, error) {
	s, err := recorded(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, socketName), nil
	}
	return s, err
}
