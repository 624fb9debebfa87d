package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/pawl-chat/pawl/internal/address"
)

// Files in Config.Dir.
const (
	keyFile = "tls.key"
	acmeDir = "acme"
)

// tls returns the TLS configuration and the pin of invite links, nil when the
// certificate is one that the system's roots verify.
func (c *Config) tls(host string) (*tls.Config, []byte, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	switch {
	case c.ACMEHost != "" && (c.CertFile != "" || c.KeyFile != ""):
		return nil, nil, errors.New("server: certificate files and ACME exclude each other")
	case c.ACMEHost != "":
		if c.Dir == "" {
			return nil, nil, errors.New("server: ACME needs a data directory for its certificates")
		}
		m := &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(filepath.Join(c.Dir, acmeDir)),
			HostPolicy: autocert.HostWhitelist(c.ACMEHost),
		}
		conf.GetCertificate = m.GetCertificate
		conf.NextProtos = append(conf.NextProtos, acme.ALPNProto)
		return conf, nil, nil
	case c.CertFile != "" || c.KeyFile != "":
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("server: certificate files: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
		return conf, pinUnlessPublic(&cert, host), nil
	}
	key, err := c.ownKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := selfSigned(key, host)
	if err != nil {
		return nil, nil, fmt.Errorf("server: make a certificate: %w", err)
	}
	conf.Certificates = []tls.Certificate{cert}
	return conf, pinOf(cert.Leaf), nil
}

// pinOf is the SHA-256 of the certificate's public key (R-REL-02).
func pinOf(cert *x509.Certificate) []byte {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return sum[:]
}

// pinUnlessPublic returns the pin of a certificate that the system's roots do
// not verify for host.
func pinUnlessPublic(cert *tls.Certificate, host string) []byte {
	name, _, err := net.SplitHostPort(address.Dial(host))
	if err != nil {
		name = host
	}
	chain := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain.AddCert(c)
		}
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Intermediates: chain}); err == nil {
		return nil
	}
	return pinOf(cert.Leaf)
}

// ownKey loads the server's own key, or makes it on the first start. A key that
// is there and cannot be used is an error: a new one would break every pin.
func (c *Config) ownKey() (*ecdsa.PrivateKey, error) {
	if c.Dir == "" {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	path := filepath.Join(c.Dir, keyFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeKey(c.Dir, path)
	case err != nil:
		return nil, fmt.Errorf("server: TLS key: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("server: TLS key: the file is damaged")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("server: TLS key: the file is damaged")
	}
	return key, nil
}

// makeKey makes a key and returns once it is durable: file and directory are
// synced before anybody can pin it (R-REL-28).
func makeKey(dir, path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("server: make a TLS key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("server: make a TLS key: %w", err)
	}
	err = writeDurably(dir, path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, fmt.Errorf("server: keep the TLS key: %w", err)
	}
	return key, nil
}

func writeDurably(dir, path string, b []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// Linking, unlike renaming, fails when another start was first.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// selfSigned makes a certificate for the key. It may differ from start to
// start: clients look at the key alone.
func selfSigned(key *ecdsa.PrivateKey, host string) (tls.Certificate, error) {
	name, _, err := net.SplitHostPort(address.Dial(host))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "pawl"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
