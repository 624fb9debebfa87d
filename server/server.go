// Package server is the relay of pawl: it keeps accounts, device lists, prekeys
// and mailboxes, and carries envelopes that it cannot read (spec/relay.md). It
// is blind by construction: nothing it imports can open an envelope.
//
// Stores are interfaces owned here (store.go); server/sqlitestore is the
// embedded one and server/memstore the reference. Start with New:
//
//	s, err := server.New(server.Config{Stores: stores, Dir: dir, Listen: ":7295"})
//	link, err := s.Invite(ctx, server.InviteOptions{})
//	err = s.Serve(ctx) // until ctx ends
//
// Not its concern: sessions, conversations, content and what groups agree on,
// of which it keeps sealed entries only; and who opens and closes the stores.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/relay"
)

// Mode says who may make an account.
type Mode string

// Registration modes (R-REL-05). The zero value is ByInvite.
const (
	ByInvite Mode = "invite"
	Open     Mode = "open"
	NoNew    Mode = "closed"
)

// Config is what a server runs on. The zero value of every field but Stores
// has a meaning.
type Config struct {
	Stores

	// Dir holds the TLS key and the cache of ACME certificates. Empty keeps
	// them in memory: the pin changes with every start.
	Dir string
	// Listen is the address to listen on; empty is port 7295 of every address.
	Listen string
	// Listener, when set, is used instead of Listen. It carries what comes
	// before TLS.
	Listener net.Listener
	// Host is the host[:port] by which people reach this server: the part of
	// their addresses after the @, and of invite links. Empty derives it from
	// where the server listens. It cannot be changed once accounts exist.
	Host string

	// Registration says who may make an account.
	Registration Mode

	// CertFile and KeyFile are a certificate chain and its key in PEM; ACMEHost
	// is a host name for which a certificate is to be fetched and renewed by
	// ACME. With neither, the server makes a key of its own, which clients pin.
	CertFile, KeyFile, ACMEHost string

	// Log receives operational messages. Nothing that names a person is logged:
	// no user, address, device or IP (R-REL-25). Nil discards them.
	Log *slog.Logger
	// Now is the clock for what is stored and answered; nil is time.Now.
	Now func() time.Time
	// Limits are the limits of this server; zero fields have defaults.
	Limits Limits
	// Heartbeat is the mean time between pings; zero is relay.Heartbeat.
	Heartbeat time.Duration
	// Grace is how long a stop waits for requests in flight; zero is 10 s.
	Grace time.Duration
}

// Server is a relay that listens. Serve runs it.
type Server struct {
	conf     Config
	log      *slog.Logger
	now      func() time.Time
	host     string
	pin      []byte // nil: clients verify the certificate by the system's roots
	listener *gate
	http     *http.Server
	limits   *limiters
	accounts *accounts
	conns    conns
	meetings *meetings
	// audiences are those of groups; fan holds a place for each mailbox that a
	// message to a group is being written to.
	audiences *audiences
	fan       chan struct{}
	served    atomic.Bool

	// store is the context of store operations: it outlives a stop until what
	// is in flight has finished.
	store    context.Context
	storeEnd context.CancelFunc
}

// New prepares a server and listens. Nothing is answered until Serve.
func New(conf Config) (*Server, error) {
	if conf.Directory == nil || conf.Mailbox == nil || conf.Wake == nil {
		return nil, errors.New("server: a store is missing")
	}
	switch conf.Registration {
	case "":
		conf.Registration = ByInvite
	case ByInvite, Open, NoNew:
	default:
		return nil, fmt.Errorf("server: registration is %q, %q or %q", ByInvite, Open, NoNew)
	}
	conf.Limits.defaults()
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.Now == nil {
		conf.Now = time.Now
	}
	if conf.Heartbeat <= 0 {
		conf.Heartbeat = relay.Heartbeat
	}
	if conf.Grace <= 0 {
		conf.Grace = 10 * time.Second
	}
	s := &Server{conf: conf, log: conf.Log, now: conf.Now}
	listener := conf.Listener
	if listener == nil {
		at := conf.Listen
		if at == "" {
			at = fmt.Sprintf(":%d", address.DefaultPort)
		}
		var err error
		if listener, err = net.Listen("tcp", at); err != nil {
			return nil, fmt.Errorf("server: listen: %w", err)
		}
	}
	s.limits = newLimiters(conf.Limits)
	s.listener = newGate(listener, s.limits, conf.Limits)
	var err error
	if s.host, err = hostOf(conf.Host, conf.ACMEHost, listener.Addr()); err == nil {
		err = s.prepare()
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return s, nil
}

// prepare makes what needs the host.
func (s *Server) prepare() error {
	conf, pin, err := s.conf.tls(s.host)
	if err != nil {
		return err
	}
	s.pin = pin
	s.accounts = newAccounts(s.conf.Directory, s.conf.Limits.CachedAccounts)
	s.audiences = newAudiences(s.conf.Limits.CachedAudience)
	s.fan = make(chan struct{}, maxFan)
	s.meetings = newMeetings(s.limits, s.conf.Limits, s.now)
	s.conns.byDevice = make(map[Device]*conn)
	s.conns.all = make(map[*conn]struct{})
	s.store, s.storeEnd = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.route),
		TLSConfig:         conf,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 << 10,
		// Its lines name the peers' addresses.
		ErrorLog:     log.New(io.Discard, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ConnContext:  func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, under{}, c) },
	}
	return nil
}

// under is the key of the TLS connection in a request's context.
type under struct{}

// hostOf settles the name by which the server is reached.
func hostOf(host, acme string, at net.Addr) (string, error) {
	if host == "" {
		host = acme
	}
	if host == "" {
		name, port, err := net.SplitHostPort(at.String())
		if err != nil {
			name, port = "localhost", ""
		}
		if ip := net.ParseIP(name); ip != nil && ip.IsUnspecified() {
			if name, err = os.Hostname(); err != nil {
				name = "localhost"
			}
		}
		host = name
		if port != "" {
			host = net.JoinHostPort(name, port)
		}
	}
	canonical, err := address.Host(host)
	if err != nil {
		return "", fmt.Errorf("server: the name of this server: %w", err)
	}
	return canonical, nil
}

// Addr returns the address the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Host returns the host[:port] of this server's addresses.
func (s *Server) Host() string { return s.host }

// InviteOptions shape an invite. The zero value may be used any number of
// times for 24 hours.
type InviteOptions struct {
	Uses uint32        // registrations it allows; zero is no limit
	For  time.Duration // how long it is good; zero is 24 hours
}

// Invite makes an invite and returns its link. The store keeps a hash of the
// token only (R-REL-04).
func (s *Server) Invite(ctx context.Context, o InviteOptions) (link string, err error) {
	if o.Uses == 0 {
		o.Uses = math.MaxInt32
	}
	if o.For <= 0 {
		o.For = 24 * time.Hour
	}
	token := relay.NewToken()
	err = s.conf.Directory.PutInvite(ctx, Invite{
		Hash:    InviteHash(relay.TokenHash(token)),
		Expires: s.now().Add(o.For),
		Uses:    o.Uses,
	})
	if err != nil {
		return "", fmt.Errorf("server: store the invite: %w", err)
	}
	return relay.Invite{Host: s.host, Token: token, Pin: s.pin}.String(), nil
}

// route is the whole surface that needs no login (R-REL-01).
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == relay.PathRegister && r.Method == http.MethodPost:
		s.register(w, r)
	case r.URL.Path == relay.PathRecover && r.Method == http.MethodPost:
		s.recover(w, r)
	case r.URL.Path == relay.PathConnect && r.Method == http.MethodGet:
		s.connect(w, r)
	case r.URL.Path == relay.PathMeet && r.Method == http.MethodGet:
		s.meet(w, r)
	default:
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusNotFound)
	}
}

// Serve answers until ctx ends, then stops: it accepts nothing more, finishes
// the requests in flight, tells every device to come back later, and returns
// nil when nothing of it is left (R-REL-24). It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	if s.served.Swap(true) {
		return errors.New("server: Serve was called before")
	}
	defer s.storeEnd()
	var jobs sync.WaitGroup
	jobsCtx, stopJobs := context.WithCancel(ctx)
	jobs.Go(func() { s.expire(jobsCtx) })

	failed := make(chan error, 1)
	go func() { failed <- s.http.ServeTLS(s.listener, "", "") }()
	s.log.Info("serving", "registration", string(s.conf.Registration))
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("server: %w", err)
	}
	stopJobs()
	s.stop()
	jobs.Wait()
	s.log.Info("stopped")
	return err
}

// stop ends the listener, the requests and the connections.
func (s *Server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), s.conf.Grace)
	defer cancel()
	var all sync.WaitGroup
	all.Go(s.meetings.stop)
	all.Go(func() {
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
	})
	for _, c := range s.conns.drain() {
		all.Go(func() { c.goAway(ctx) })
	}
	all.Wait()
	s.storeEnd()
	s.conns.wait()
}

// Close releases a server that was never served.
func (s *Server) Close() error {
	if s.served.Swap(true) {
		return nil
	}
	s.storeEnd()
	return s.listener.Close()
}
