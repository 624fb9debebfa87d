package linking

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/pawl-chat/pawl/internal/address"
)

// uriPrefix begins every URI. All of a URI is in the alphanumeric set of QR codes.
const uriPrefix = "PAWL://DEVICE/LINK/"

// Sizes of parts of a URI.
const (
	SecretSize = 16
	IDSize     = 16
	pinSize    = sha256.Size
)

const (
	uriVersion = 1
	meetDirect = 1
	meetServer = 2
	maxExpires = 1<<40 - 1
)

// Link is what a URI says (R-LNK-01). It holds the secret that lets its holder
// greet the waiting device.
type Link struct {
	Expires time.Time // whole seconds
	Secret  [SecretSize]byte
	Offer   [32]byte // SHA-256 of the offer
	Meet    Meet
}

// Meet is where the two devices come together: at one of the addresses of the
// new device, or at a server. Exactly one of Candidates and Host is set.
type Meet struct {
	Candidates []netip.AddrPort
	Host       string // canonical host[:port]
	Pin        []byte // of the server's key; nil for the system's roots
}

// Format keeps the secret out of logs.
func (Link) Format(f fmt.State, _ rune) { io.WriteString(f, "linking.Link(redacted)") }

// URI returns what the person carries to the other device.
func (l Link) URI() string { return uriPrefix + base32Text.EncodeToString(l.encode()) }

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

func (l Link) encode() []byte {
	b := []byte{uriVersion}
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(l.Expires.Unix()))
	b = append(b, t[3:]...)
	b = append(b, l.Secret[:]...)
	b = append(b, l.Offer[:]...)
	if l.Meet.Host == "" {
		b = append(b, meetDirect, byte(len(l.Meet.Candidates)))
		for _, c := range l.Meet.Candidates {
			ip := c.Addr().AsSlice()
			b = append(b, byte(len(ip)))
			b = append(b, ip...)
			b = binary.BigEndian.AppendUint16(b, c.Port())
		}
		return b
	}
	b = append(b, meetServer, byte(len(l.Meet.Pin)))
	b = append(b, l.Meet.Pin...)
	return append(b, l.Meet.Host...)
}

// ParseURI parses a URI. It accepts exactly what URI returns for a valid link,
// with white space around it and lower case forgiven, because URIs are copied
// by hand.
func ParseURI(s string) (Link, error) {
	if len(s) > MaxURI+64 {
		return Link{}, ErrURI
	}
	s = strings.ToUpper(strings.TrimSpace(s))
	text, ok := strings.CutPrefix(s, uriPrefix)
	if !ok || len(s) > MaxURI || strings.ContainsAny(text, "\r\n") {
		return Link{}, ErrURI
	}
	b, err := base32Text.DecodeString(text)
	if err != nil {
		return Link{}, ErrURI
	}
	l, ok := decodeLink(b)
	if !ok || l.Meet.check() != nil || l.URI() != s {
		return Link{}, ErrURI
	}
	return l, nil
}

func decodeLink(b []byte) (l Link, ok bool) {
	const head = 1 + 5 + SecretSize + 32 + 2
	if len(b) < head || b[0] != uriVersion {
		return l, false
	}
	var t [8]byte
	copy(t[3:], b[1:6])
	l.Expires = time.Unix(int64(binary.BigEndian.Uint64(t[:])), 0).UTC()
	copy(l.Secret[:], b[6:])
	copy(l.Offer[:], b[6+SecretSize:])
	kind, n, rest := b[head-2], int(b[head-1]), b[head:]
	switch kind {
	case meetDirect:
		if n > MaxCandidates {
			return l, false
		}
		for range n {
			if len(rest) < 1 || len(rest) < 1+int(rest[0])+2 {
				return l, false
			}
			size := int(rest[0])
			ip, valid := netip.AddrFromSlice(rest[1 : 1+size])
			if !valid {
				return l, false
			}
			l.Meet.Candidates = append(l.Meet.Candidates, netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[1+size:])))
			rest = rest[1+size+2:]
		}
		return l, len(rest) == 0
	case meetServer:
		if len(rest) < n {
			return l, false
		}
		if n > 0 {
			l.Meet.Pin = bytes.Clone(rest[:n])
		}
		l.Meet.Host = string(rest[n:])
		return l, l.Meet.Host != ""
	}
	return l, false
}

func (m Meet) check() error {
	if m.Host != "" {
		if h, err := address.Host(m.Host); err != nil || h != m.Host || len(m.Candidates) != 0 || (len(m.Pin) != 0 && len(m.Pin) != pinSize) {
			return ErrURI
		}
		return nil
	}
	if len(m.Candidates) == 0 || len(m.Candidates) > MaxCandidates || m.Pin != nil {
		return ErrURI
	}
	for _, c := range m.Candidates {
		ip := c.Addr()
		if c.Port() == 0 || !ip.IsValid() || ip.Is4In6() || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return ErrURI
		}
	}
	return nil
}

// ID is under what the two devices meet at a server. It tells nothing of the
// secret (R-LNK-13).
func (l Link) ID() [IDSize]byte {
	h := sha256.New()
	h.Write([]byte(labelMeeting))
	h.Write(l.Secret[:])
	return [IDSize]byte(h.Sum(nil))
}

// CheckTime says whether the link may be used now by a device that received it
// (R-LNK-02). A link of the far future is refused too: codes of such links could
// be tried for as long as one likes.
func (l Link) CheckTime(now time.Time) error {
	switch {
	case now.After(l.Expires.Add(Skew)):
		return ErrExpired
	case l.Expires.After(now.Add(Life + Skew)):
		return fmt.Errorf("%w: it begins in the future; is one of the clocks wrong?", ErrURI)
	}
	return nil
}

// Code derives the short code that both devices show, of all that the URI says.
// It is slow on purpose (R-LNK-03).
func (l Link) Code() string {
	sum := argon2.IDKey(l.encode(), []byte(labelCode), codeTime, codeMemory, codeThreads, 16)
	// 64 of its bits: the remainder by 10^12 is even to one part in 10^7.
	n := binary.BigEndian.Uint64(sum) % 1_000_000_000_000
	return fmt.Sprintf("%04d %04d %04d", n/100_000_000, n/10_000%10_000, n%10_000)
}
