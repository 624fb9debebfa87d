package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
)

func (w *world) tryRegister(r relay.RegisterRequest) error {
	_, err := relayclient.Register(w.t.Context(), w.target(), r)
	return err
}

func TestR_REL_05_RegistrationModes(t *testing.T) {
	open := serve(t, func(c *server.Config) { c.Registration = server.Open })
	r := open.somebody("alice").request()
	r.Invite = ""
	if err := open.tryRegister(r); err != nil {
		t.Errorf("open: %v", err)
	}
	closed := serve(t, func(c *server.Config) { c.Registration = server.NoNew })
	wantCode(t, closed.tryRegister(closed.somebody("alice").request()), relay.Closed)
	byInvite := serve(t)
	r = byInvite.somebody("alice").request()
	r.Invite = ""
	wantCode(t, byInvite.tryRegister(r), relay.InviteInvalid)
	if _, err := server.New(server.Config{Stores: open.stores, Registration: "anybody", Listen: "127.0.0.1:0"}); err == nil {
		t.Error("a registration mode that does not exist is accepted")
	}
}

// R-REL-04: invites end by time and by use, unknown ones are refused, and the
// store does not know the token.
func TestR_REL_04_Invites(t *testing.T) {
	clock := time.Now()
	w := serve(t, func(c *server.Config) { c.Now = func() time.Time { return clock } })
	invite := func(o server.InviteOptions) string {
		link, err := w.srv.Invite(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		i, err := relay.ParseInvite(link)
		if err != nil {
			t.Fatal(err)
		}
		return i.Token
	}
	with := func(name, token string) error {
		r := w.somebody(name).request()
		r.Invite = token
		return w.tryRegister(r)
	}
	wantCode(t, with("a", relay.NewToken()), relay.InviteInvalid)

	once := invite(server.InviteOptions{Uses: 1})
	if err := with("b", once); err != nil {
		t.Fatal(err)
	}
	wantCode(t, with("c", once), relay.InviteInvalid)

	// A registration that fails uses nothing up.
	once = invite(server.InviteOptions{Uses: 1})
	wantCode(t, with("b", once), relay.Exists)
	if err := with("d", once); err != nil {
		t.Fatal(err)
	}

	short := invite(server.InviteOptions{For: time.Minute})
	day := invite(server.InviteOptions{})
	clock = clock.Add(2 * time.Minute)
	wantCode(t, with("e", short), relay.InviteInvalid)
	for _, name := range []string{"f", "g", "h"} {
		if err := with(name, day); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(24 * time.Hour)
	wantCode(t, with("i", day), relay.InviteInvalid)

	if _, err := w.stores.Directory.Invite(t.Context(), server.InviteHash(relay.TokenHash(day))); err != nil {
		t.Errorf("the hash is not what the store knows: %v", err)
	}
}

// R-REL-06: a registration is verified in full and stored whole; repeating one
// whose answer was lost succeeds and uses the invite once.
func TestR_REL_06_Registration(t *testing.T) {
	w := serve(t)
	link, err := w.srv.Invite(t.Context(), server.InviteOptions{Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	once, err := relay.ParseInvite(link)
	if err != nil {
		t.Fatal(err)
	}
	alice := w.somebody("alice")
	r := alice.request()
	r.Invite = once.Token
	for range 3 {
		if err := w.tryRegister(r); err != nil {
			t.Fatal(err)
		}
	}
	a := alice.connect()
	status, err := a.PrekeyStatus(t.Context())
	if err != nil || status.EC != prekeys.OneTimeKeys || status.KEM != prekeys.OneTimeKeys || status.Digest != alice.upload.Digest() {
		t.Errorf("PrekeyStatus = %+v, %v", status, err)
	}
	entries, err := a.Account(t.Context(), "alice")
	if err != nil || len(entries) != 1 || !bytes.Equal(entries[0], alice.entry) {
		t.Errorf("Account = %d entries, %v", len(entries), err)
	}

	other := w.somebody("alice")
	wantCode(t, w.tryRegister(other.request()), relay.Exists)

	for name, spoil := range map[string]func(p *person, r *relay.RegisterRequest){
		"altered entry":     func(_ *person, r *relay.RegisterRequest) { r.Entry = flip(r.Entry) },
		"altered upload":    func(_ *person, r *relay.RegisterRequest) { r.Upload = flip(r.Upload) },
		"another's prekeys": func(_ *person, r *relay.RegisterRequest) { r.Upload = other.upload.Bytes() },
		"another host": func(p *person, r *relay.RegisterRequest) {
			p.addr, _ = address.New("mallory", "elsewhere.example")
			p.list = devicelist.First(p.accountKey(), p.addr, p.describe(p.device, p.sign), time.Now())
			p.publish()
			r.Entry = p.entry
		},
		"two devices": func(p *person, r *relay.RegisterRequest) {
			p.list.Devices = append(p.list.Devices, p.describe(address.NewDevice(), key(t)))
			p.publish()
			r.Entry = p.entry
		},
		"version 2": func(p *person, r *relay.RegisterRequest) {
			p.list = p.list.Next(time.Now())
			p.publish()
			r.Entry = p.entry
		},
	} {
		p := w.somebody("mallory")
		r := p.request()
		spoil(p, &r)
		var refused *relay.Error
		if err := w.tryRegister(r); !errors.As(err, &refused) || refused.Code != relay.BadRequest {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.stores.Directory.Account(t.Context(), "mallory"); !errors.Is(err, server.ErrNotFound) {
			t.Fatalf("%s: an account was made", name)
		}
	}
}

// flip returns b with a bit in its middle changed.
func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// plain returns an HTTP client that speaks to the server as anybody could.
func (w *world) plain() *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// R-REL-01: without a login there are two things and nothing else, over TLS 1.3
// only.
func TestR_REL_01_Surface(t *testing.T) {
	w := serve(t)
	base := "https://" + w.srv.Addr()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404}, {"GET", "/v1", 404}, {"GET", "/metrics", 404}, {"GET", "/debug/pprof/", 404},
		{"GET", relay.PathRegister, 404}, {"PUT", relay.PathRegister, 404}, {"POST", relay.PathConnect, 404},
		{"POST", relay.PathRegister + "/", 404}, {"POST", "/v1/../v1/x", 404},
		{"GET", relay.PathConnect, 426}, {"POST", relay.PathRegister, 400},
	} {
		req, err := http.NewRequest(c.method, base+c.path, strings.NewReader("garbage"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.plain().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, resp.StatusCode, c.status)
		}
		if c.status == 404 && len(body) != 0 {
			t.Errorf("%s %s says %q", c.method, c.path, body)
		}
		if s := resp.Header.Get("Server"); s != "" {
			t.Errorf("the server calls itself %q", s)
		}
	}
	if c, err := tls.Dial("tcp", w.srv.Addr(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		c.Close()
		t.Error("TLS 1.2 is accepted")
	}
}

// R-REL-23: a registration over the limit is refused before it is decoded.
func TestR_REL_23_RegistrationTooLong(t *testing.T) {
	w := serve(t)
	body := codec.Marshal(&relay.RegisterRequest{Entry: make([]byte, 1), Upload: make([]byte, relay.MaxRegister)})
	resp, err := w.plain().Post("https://"+w.srv.Addr()+relay.PathRegister, relay.ContentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// R-REL-02: another key than the pinned one is an error, at registration and at
// login, and nothing is sent to it.
func TestR_REL_02_Pin(t *testing.T) {
	w := serve(t)
	alice := w.person("alice")
	target := w.target()
	target.Pin = flip(target.Pin)
	if _, err := relayclient.Dial(t.Context(), target, alice.login()); !errors.Is(err, relayclient.ErrPin) {
		t.Errorf("Dial with an altered pin: %v", err)
	}
	if _, err := relayclient.Register(t.Context(), target, alice.request()); !errors.Is(err, relayclient.ErrPin) {
		t.Errorf("Register with an altered pin: %v", err)
	}
	target.Pin = []byte{}
	if _, err := relayclient.Dial(t.Context(), target, alice.login()); !errors.Is(err, relayclient.ErrPin) {
		t.Errorf("Dial with an empty pin: %v", err)
	}
	target.Pin = nil // the system's roots do not know the server
	if _, err := relayclient.Dial(t.Context(), target, alice.login()); !errors.Is(err, relayclient.ErrPin) {
		t.Errorf("Dial without a pin: %v", err)
	}
}

// R-REL-28: the key is kept across restarts with mode 0600, so the pin stays; a
// damaged key is an error and never replaced.
func TestR_REL_28_Key(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	inDir := func(c *server.Config) { c.Dir = dir }
	first := serve(t, inDir)
	second := serve(t, inDir)
	if !bytes.Equal(first.invite.Pin, second.invite.Pin) || len(first.invite.Pin) != relay.PinSize {
		t.Errorf("pins %x and %x", first.invite.Pin, second.invite.Pin)
	}
	path := filepath.Join(dir, "tls.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files in the directory, %v", len(files), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{{}, good[:len(good)/2], append(bytes.Clone(good), "more"...)} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := server.New(server.Config{Stores: first.stores, Listen: "127.0.0.1:0", Dir: dir}); err == nil {
			s.Close()
			t.Errorf("a key file of %d bytes is accepted", len(bad))
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, bad) {
			t.Error("the damaged key was replaced")
		}
	}
}
