package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Labels of the key-encryption keys (spec/labels.md).
const (
	labelPassphrase = "pawl/1 vault passphrase"
	labelKeyFile    = "pawl/1 vault key file"
)

// Unlock is what opens a store: a passphrase, or the path of a file with 32
// random bytes. At most one is set; neither is the zero Unlock, which opens
// nothing and is answered with ErrLocked.
type Unlock struct {
	Passphrase []byte
	KeyFile    string
}

// Format prints a placeholder, whatever the verb.
func (Unlock) Format(f fmt.State, _ rune) { io.WriteString(f, "vault.Unlock(redacted)") }

// A Notice is something the person should see although the store works.
type Notice string

// NoticeKeyFileMode: others may read the key file.
const NoticeKeyFileMode Notice = "other users of this machine can read the key file"

// method is how the key-encryption key comes about; the numbers stand in the
// header.
type method uint64

const (
	byPassphrase method = 1
	byKeyFile    method = 2
)

// secret is an Unlock made ready: the normalised passphrase or the bytes of
// the key file.
type secret struct {
	method  method
	bytes   []byte
	notices []Notice
}

// prepare checks u and reads its key file. With create a key file that is
// absent is made.
func prepare(u Unlock, create bool) (*secret, error) {
	switch {
	case len(u.Passphrase) > 0 && u.KeyFile != "":
		return nil, fmt.Errorf("a passphrase and a key file at once: %w", ErrPassphrase)
	case u.KeyFile != "":
		if create {
			if err := makeKeyFile(u.KeyFile); err != nil {
				return nil, err
			}
		}
		return readKeyFile(u.KeyFile)
	case u.Passphrase != nil:
		// R-VLT-07
		if len(u.Passphrase) == 0 || len(u.Passphrase) > MaxPassphrase || !utf8.Valid(u.Passphrase) {
			return nil, ErrPassphrase
		}
		p, err := precis.OpaqueString.Bytes(u.Passphrase)
		if err != nil || len(p) > MaxPassphrase {
			return nil, ErrPassphrase
		}
		return &secret{method: byPassphrase, bytes: p}, nil
	default:
		return nil, ErrLocked
	}
}

// makeKeyFile writes 32 random bytes to path unless there is a file already.
func makeKeyFile(path string) error {
	// R-VLT-08
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making the key file: %w: %w", ErrKeyFile, err)
	}
	var key [KeyFileSize]byte
	rand.Read(key[:])
	_, err = f.Write(key[:])
	clear(key[:])
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("writing the key file: %w: %w", ErrKeyFile, err)
	}
	return syncDir(filepath.Dir(path))
}

func readKeyFile(path string) (*secret, error) {
	// R-VLT-08
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("finding the key file: %w: %w", ErrKeyFile, err)
	}
	if !info.Mode().IsRegular() || info.Size() != KeyFileSize {
		return nil, ErrKeyFile
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w: %w", ErrKeyFile, err)
	}
	if len(b) != KeyFileSize {
		clear(b)
		return nil, ErrKeyFile
	}
	s := &secret{method: byKeyFile, bytes: b}
	if info.Mode().Perm()&0o077 != 0 {
		s.notices = append(s.notices, NoticeKeyFileMode)
	}
	return s, nil
}

// kek derives the key-encryption key for the salt and cost of a header.
func (s *secret) kek(salt *[32]byte, c cost) [32]byte {
	// R-VLT-06
	label := labelKeyFile
	ikm := s.bytes
	if s.method == byPassphrase {
		label = labelPassphrase
		ikm = argon2.IDKey(s.bytes, salt[:], c.Time, c.Memory, uint8(c.Threads), 32)
		defer clear(ikm)
	}
	prk := kdf.Extract(salt, ikm)
	var out [32]byte
	kdf.Expand(&prk, label, &out)
	clear(prk[:])
	return out
}

func (s *secret) erase() { clear(s.bytes) }
