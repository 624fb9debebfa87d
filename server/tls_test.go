package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// certFiles writes a certificate for 127.0.0.1 that no system knows.
func certFiles(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string][]byte{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A certificate from files works, pinned when the system's roots do not know
// it.
func TestCertificateFiles(t *testing.T) {
	cert, key := certFiles(t)
	w := serve(t, func(c *server.Config) { c.CertFile, c.KeyFile = cert, key })
	if len(w.invite.Pin) != relay.PinSize {
		t.Errorf("the invite has no pin")
	}
	w.person("alice").connect()
}

// ACME takes its host's name and needs no pin. No certificate is asked for
// before a client comes.
func TestACME(t *testing.T) {
	mem := memstore.New()
	defer mem.Close()
	s, err := server.New(server.Config{Stores: storesOf(mem), Listen: "127.0.0.1:0", Dir: t.TempDir(), ACMEHost: "chat.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	link, err := s.Invite(t.Context(), server.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := relay.ParseInvite(link)
	if err != nil || i.Host != "chat.example.org" || i.Pin != nil {
		t.Errorf("invite %+v, %v", i, err)
	}
}

// What cannot be honoured is an error at the start, and the address is free
// again afterwards.
func TestConfigRefused(t *testing.T) {
	cert, key := certFiles(t)
	mem := memstore.New()
	defer mem.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	ln.Close()
	for name, c := range map[string]server.Config{
		"no store":                 {},
		"a certificate and ACME":   {Stores: storesOf(mem), CertFile: cert, KeyFile: key, ACMEHost: "chat.example.org", Dir: t.TempDir()},
		"ACME without a directory": {Stores: storesOf(mem), ACMEHost: "chat.example.org"},
		"a certificate alone":      {Stores: storesOf(mem), CertFile: cert},
		"a key of nothing":         {Stores: storesOf(mem), CertFile: cert, KeyFile: cert},
		"a name that is none":      {Stores: storesOf(mem), Host: "not a name"},
	} {
		c.Listen = at
		if s, err := server.New(c); err == nil {
			s.Close()
			t.Errorf("%s is accepted", name)
		}
	}
	s, err := server.New(server.Config{Stores: storesOf(mem), Listen: at})
	if err != nil {
		t.Fatal(err)
	}
	if s.Host() != at || s.Addr() != at {
		t.Errorf("the server is %s at %s, not %s", s.Host(), s.Addr(), at)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Serve(t.Context()); err == nil {
		t.Error("a closed server serves")
	}
}
