package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// phrase is a store whose passphrase costs as little as a file may ask for.
func phrase(t *testing.T, dir, pass string) {
	t.Helper()
	v, err := create(dir, Unlock{Passphrase: []byte(pass)}, both, cheap)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

// listing is what a directory holds, with every file's content.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		m[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestR_VLT_04_WrongKeyIsNeverANewStore(t *testing.T) {
	dir := t.TempDir()
	phrase(t, dir, "right")
	before := listing(t, dir)
	good, bad := keyed(t), keyed(t)
	for _, u := range []Unlock{good, bad} {
		if err := makeKeyFile(u.KeyFile); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		u    Unlock
		want error
	}{
		{Unlock{Passphrase: []byte("wrong")}, ErrWrongKey},
		{Unlock{Passphrase: []byte("right ")}, ErrWrongKey},
		{good, ErrWrongKey},
		{Unlock{}, ErrLocked},
		{Unlock{Passphrase: []byte{}}, ErrPassphrase},
	} {
		if _, err := Open(dir, c.u, both); !errors.Is(err, c.want) {
			t.Errorf("want %v, got %v", c.want, err)
		}
	}
	if after := listing(t, dir); len(after) != len(before) || after[filepath.Join(dir, fileName)] != before[filepath.Join(dir, fileName)] {
		t.Error("a refused opening changed the store")
	}
	if _, err := Create(dir, Unlock{Passphrase: []byte("wrong")}, both); !errors.Is(err, ErrExists) {
		t.Errorf("create over a store: %v", err)
	}
	v, err := Open(dir, Unlock{Passphrase: []byte("right")}, both)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()

	other := t.TempDir()
	w, err := Create(other, good, both)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := Open(other, bad, both); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key file: %v", err)
	}
	if _, err := Open(other, Unlock{Passphrase: []byte("x")}, both); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a passphrase for a key file's store: %v", err)
	}
	if _, err := Open(filepath.Join(other, "none"), good, both); !errors.Is(err, ErrAbsent) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Open(t.TempDir(), good, both); !errors.Is(err, ErrAbsent) {
		t.Errorf("empty directory: %v", err)
	}
}

// One passphrase typed on two keyboards is one passphrase.
func TestR_VLT_07_Passphrases(t *testing.T) {
	dir := t.TempDir()
	phrase(t, dir, "caf\u00e9 \u00c5") // composed
	for _, p := range []string{"cafe\u0301 A\u030a", "caf\u00e9\u00a0\u212b"} {
		v, err := Open(dir, Unlock{Passphrase: []byte(p)}, both)
		if err != nil {
			t.Errorf("%+q: %v", p, err)
			continue
		}
		if !v.CheckPassphrase([]byte("caf\u00e9 \u00c5")) {
			t.Errorf("%+q does not check as the other spelling", p)
		}
		v.Close()
	}
	if _, err := Open(dir, Unlock{Passphrase: []byte("CAF\u00c9 \u00c5")}, both); !errors.Is(err, ErrWrongKey) {
		t.Errorf("capitals are another passphrase: %v", err)
	}
	for _, p := range []string{"", "a\x00b", "a\nb", "\xff\xfe", strings.Repeat("x", MaxPassphrase+1), strings.Repeat("\u1e9b\u0323", 300)} {
		if _, err := create(t.TempDir(), Unlock{Passphrase: []byte(p)}, both, cheap); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%.20q: %v", p, err)
		}
	}
	if _, err := create(t.TempDir(), Unlock{Passphrase: []byte("x"), KeyFile: "y"}, both, cheap); !errors.Is(err, ErrPassphrase) {
		t.Errorf("both at once: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s %x", Unlock{Passphrase: []byte("geheim")}, Unlock{Passphrase: []byte("geheim")},
		Unlock{Passphrase: []byte("geheim")}, Unlock{KeyFile: "geheim"}, Unlock{Passphrase: []byte("geheim")}); strings.Contains(s, "geheim") || strings.Contains(s, "67656865") {
		t.Errorf("printed %s", s)
	}
}

func TestR_VLT_08_KeyFiles(t *testing.T) {
	v, dir, u := made(t)
	if len(v.Notices()) != 0 {
		t.Errorf("notices %v", v.Notices())
	}
	v.Close()
	info, err := os.Stat(u.KeyFile)
	if err != nil || info.Size() != KeyFileSize || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	// A key file that exists is used, not replaced.
	before, _ := os.ReadFile(u.KeyFile)
	w, err := Create(t.TempDir(), u, both)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if after, _ := os.ReadFile(u.KeyFile); !bytes.Equal(before, after) {
		t.Error("the key file was replaced")
	}
	if runtime.GOOS != "windows" {
		os.Chmod(u.KeyFile, 0o644)
		if v, err = Open(dir, u, both); err != nil {
			t.Fatal(err)
		}
		if n := v.Notices(); len(n) != 1 || n[0] != NoticeKeyFileMode {
			t.Errorf("notices %v", n)
		}
		v.Close()
	}
	bad := filepath.Join(t.TempDir(), "bad")
	for _, size := range []int{0, 31, 33, 4096} {
		os.WriteFile(bad, make([]byte, size), 0o600)
		if _, err := Open(dir, Unlock{KeyFile: bad}, both); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := Create(t.TempDir(), Unlock{KeyFile: bad}, both); !errors.Is(err, ErrKeyFile) {
			t.Errorf("create with %d bytes: %v", size, err)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := Open(dir, Unlock{KeyFile: path}, both); !errors.Is(err, ErrKeyFile) {
			t.Errorf("no file: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("Open made a key file")
	}
}

func TestR_VLT_10_Check(t *testing.T) {
	dir := t.TempDir()
	v, err := create(dir, Unlock{Passphrase: []byte("right")}, both, cheap)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	start := time.Now()
	for _, c := range []struct {
		pass string
		want bool
	}{{"right", true}, {"wrong", false}, {"", false}, {"right\x00", false}, {"righ", false}} {
		if v.CheckPassphrase([]byte(c.pass)) != c.want {
			t.Errorf("%q: %v", c.pass, !c.want)
		}
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("five checks took %v", d)
	}
	w, _, u := made(t)
	if !w.Check(u) || w.Check(Unlock{}) || w.Check(Unlock{KeyFile: u.KeyFile + "x"}) {
		t.Error("check of a key file")
	}
	key, _ := os.ReadFile(u.KeyFile)
	if w.CheckPassphrase(key) {
		t.Error("a key file's bytes pass for a passphrase")
	}
	w.Close()
	if w.Check(u) {
		t.Error("a closed store checks")
	}
}

// R-VLT-12: a file with anything in it that is not ours is not opened.
func TestR_VLT_12_ForeignSchema(t *testing.T) {
	for _, sql := range []string{
		"CREATE TRIGGER x AFTER INSERT ON t_message BEGIN DELETE FROM t_outbox; END",
		"CREATE VIEW v AS SELECT * FROM t_message",
		"CREATE TABLE other (a)",
		"CREATE INDEX x ON t_message (v)",
		"DROP INDEX t_message_g",
		"ALTER TABLE t_message ADD COLUMN w BLOB",
		"DROP TABLE header",
		"DELETE FROM header",
		"UPDATE header SET b = x'00'",
	} {
		v, dir, u := made(t)
		path := v.path
		v.Close()
		raw(t, path, sql)
		if _, err := Open(dir, u, both); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// A table that only another version declares is no damage.
	v, dir, u := made(t)
	put(t, v, outbox, "k", "g", 1, "v")
	v.Close()
	v, err := Open(dir, u, []Table{messages, {"later"}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, Table{"later"}, "k", "g", 1, "v")
	v.Close()
	if v, err = Open(dir, u, both); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if s, ok := get(t, v, outbox, "k"); !ok || s != "v" {
		t.Errorf("%q, %v", s, ok)
	}
}

// Files that are not a store, or a part of one.
func TestR_VLT_12_DamagedFiles(t *testing.T) {
	v, dir, u := made(t)
	for i := range 300 {
		put(t, v, messages, fmt.Sprint(i), "g", int64(i), strings.Repeat("v", 300))
	}
	v.Close()
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte("not a database "), 1000)
	cases := map[string][]byte{"empty": {}, "one byte": {1}, "junk": junk, "zeros": make([]byte, len(whole))}
	for _, n := range []int{100, 511, 512, 4096, len(whole) / 2, len(whole) - 4096, len(whole) - 1} {
		cases[fmt.Sprint("cut to ", n)] = whole[:n]
	}
	for i := 0; i < 100; i++ {
		b := bytes.Clone(whole)
		b[i] ^= 0xff
		cases[fmt.Sprint("head byte ", i)] = b
	}
	for name, b := range cases {
		if err := os.WriteFile(v.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(v.path + logSuffix)
		os.Remove(v.path + indexSuffix)
		w, err := Open(dir, u, both)
		if err == nil {
			// Some bytes mean nothing, and some damage shows only when the
			// rows are read; then everything must be there, or an error.
			var keys []string
			keys, err = scanAll(w, messages)
			w.Close()
			if err == nil && len(keys) == 300 {
				continue
			}
			if err == nil {
				t.Errorf("%s: %d rows and no error", name, len(keys))
			}
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(v.path); err != nil {
			t.Fatalf("%s: the file is gone", name)
		}
	}
}

// R-VLT-13: whatever a creation that did not finish has left, there is no
// store, and the next creation makes one.
func TestR_VLT_13_UnfinishedCreation(t *testing.T) {
	whole, from, _ := made(t)
	put(t, whole, messages, "old", "g", 1, "v")
	log, err := os.ReadFile(filepath.Join(from, fileName+logSuffix))
	if err != nil || len(log) == 0 {
		t.Fatal("no log to leave behind", err)
	}
	whole.Close()
	store, err := os.ReadFile(whole.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, left := range map[string]map[string][]byte{
		"nothing":                 {},
		"an empty new file":       {unfinished: {}},
		"half a new file":         {unfinished: store[:len(store)/2]},
		"a whole new file":        {unfinished: store},
		"a new file and its log":  {unfinished: store, unfinished + "-wal": log, unfinished + "-shm": make([]byte, 32768)},
		"a journal":               {unfinished: {}, unfinished + "-journal": []byte("x")},
		"the log of a lost store": {fileName + "-wal": log, fileName + "-shm": make([]byte, 32768)},
	} {
		dir, u := t.TempDir(), keyed(t)
		for n, b := range left {
			if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(dir, u, both); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: open: %v", name, err)
		}
		v, err := Create(dir, u, both)
		if err != nil {
			t.Errorf("%s: create: %v", name, err)
			continue
		}
		if keys, err := scanAll(v, messages); err != nil || len(keys) != 0 {
			t.Errorf("%s: the new store has %v, %v", name, keys, err)
		}
		put(t, v, messages, "k", "g", 1, "v")
		v.Close()
		if v, err = Open(dir, u, both); err != nil {
			t.Errorf("%s: reopen: %v", name, err)
			continue
		}
		v.Close()
		if n := len(listing(t, dir)); n != 1 {
			t.Errorf("%s: %d files", name, n)
		}
	}
}

func TestR_VLT_19_LooseFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	v, dir, u := made(t)
	v.Close()
	os.Chmod(v.path, 0o666)
	v, err := Open(dir, u, both)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	put(t, v, messages, "k", "g", 1, "v")
	for _, suffix := range []string{"", logSuffix, indexSuffix} {
		if info, err := os.Stat(v.path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, info.Mode(), err)
		}
	}
	v.Close()
	os.Rename(v.path, v.path+".real")
	os.Symlink(v.path+".real", v.path)
	if _, err := Open(dir, u, both); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link: %v", err)
	}
	if _, err := Create(dir, u, both); !errors.Is(err, ErrExists) {
		t.Errorf("create over a link: %v", err)
	}
}

// Names that mean something to a URL or a shell are only names.
func TestOddDirectories(t *testing.T) {
	for _, name := range []string{"we?ird", "a#b", "per%20cent", "sp ace", "semi;colon", "am&p=1", "ümlaut", "'quote'"} {
		dir := filepath.Join(t.TempDir(), name, "home")
		u := keyed(t)
		v, err := Create(dir, u, both)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		put(t, v, messages, "k", "g", 1, "v")
		if _, err := os.Stat(filepath.Join(dir, fileName)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		v.Close()
	}
}

func TestPresentAndDestroy(t *testing.T) {
	v, dir, u := made(t)
	put(t, v, messages, "k", "g", 1, "v")
	if err := Present(dir); err != nil {
		t.Error(err)
	}
	if err := v.Destroy(); err != nil {
		t.Fatal(err)
	}
	if n := len(listing(t, dir)); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if err := Present(dir); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
	w, err := Create(dir, u, both)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}
