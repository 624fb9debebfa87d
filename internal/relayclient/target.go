// Package relayclient is a device's side of the relay protocol (spec/relay.md):
// it registers accounts, and keeps one connection on which requests and
// deliveries run side by side.
//
// The server is not trusted: whatever it sends, or fails to send, a call ends
// at the latest with its context, answers are bounded, and a server that breaks
// the protocol loses the connection (R-REL-27).
//
// Not its concern: reconnecting, what the bytes inside mean, and verifying
// device lists and bundles.
package relayclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
)

// Errors beside *relay.Error, one for each thing a caller does differently.
var (
	// ErrUnreachable: there is no connection to the server, or there no longer
	// is. Try again later.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrPin: whoever answers does not have the key that was pinned. Nothing was
	// sent to them.
	ErrPin = errors.New("the server does not have the key that was pinned")
	// ErrReplaced: a newer connection of this device took over.
	ErrReplaced = fmt.Errorf("%w: another connection of this device took over", ErrUnreachable)
	// ErrProtocol: the server sent what is not the protocol.
	ErrProtocol = fmt.Errorf("%w: it does not keep to the protocol", ErrUnreachable)
	// ErrClosed: Close was called.
	ErrClosed = fmt.Errorf("%w: the connection was closed here", ErrUnreachable)
)

// Target is the server to reach.
type Target struct {
	// Host is the canonical host[:port].
	Host string
	// Pin is the SHA-256 of the server key's SubjectPublicKeyInfo; nil verifies
	// the certificate by the system's roots.
	Pin []byte
	// Dial opens the transport below TLS; nil is a plain TCP dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Heartbeat is the mean time between pings; zero is relay.Heartbeat.
	Heartbeat time.Duration
}

// patience bounds what a call without a deadline waits for a connection.
const patience = 30 * time.Second

// connect opens a TLS connection and holds the server to its pin (R-REL-01,
// R-REL-02).
func (t Target) connect(ctx context.Context) (*tls.Conn, error) {
	host, err := address.Host(t.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: its name is malformed", ErrUnreachable)
	}
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	at := address.Dial(host)
	raw, err := dial(ctx, "tcp", at)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	name, _, err := net.SplitHostPort(at)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: its name is malformed", ErrUnreachable)
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: name,
		NextProtos: []string{"http/1.1"},
	}
	if t.Pin != nil {
		pin := bytes.Clone(t.Pin)
		// The pin replaces the chain of certificates, and VerifyConnection runs on
		// every handshake, resumed ones included.
		conf.InsecureSkipVerify = true
		conf.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || len(pin) != relay.PinSize {
				return ErrPin
			}
			sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if !bytes.Equal(sum[:], pin) {
				return ErrPin
			}
			return nil
		}
	}
	c := tls.Client(raw, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		var cert *tls.CertificateVerificationError
		if errors.Is(err, ErrPin) || errors.As(err, &cert) {
			return nil, ErrPin
		}
		return nil, unreachable(ctx, err)
	}
	return c, nil
}

// onConn returns an HTTP client that speaks on c only, follows nothing and reads
// bounded headers.
func onConn(c net.Conn) *http.Client {
	used := false
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
				if used {
					return nil, net.ErrClosed
				}
				used = true
				return c, nil
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// url returns the address of a path at the target.
func (t Target) url(path string) string { return "https://" + address.Dial(t.Host) + path }

// unreachable wraps why there is no connection; a context that ended is told as
// such, since that is what the caller did.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
