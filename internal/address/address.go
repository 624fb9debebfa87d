// Package address is how people and devices are named: user@host[:port] and a
// random 64-bit device id (R-IDN-01, R-IDN-02).
//
// An Address exists only in canonical form, so that equal people have equal
// addresses byte for byte: the user name under the PRECIS UsernameCaseMapped
// profile (RFC 8265), the host in lower case, the default port left out.
//
// Not its concern: whether the person exists, and which key is theirs.
package address

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Bounds of R-IDN-01 and the port that is left out of canonical addresses.
const (
	MaxUser     = 64  // bytes of UTF-8
	MaxHost     = 253 // bytes
	MaxAddress  = MaxUser + 1 + MaxHost + 1 + 5 + 2
	DefaultPort = 7295
)

// ErrAddress is wrapped by every refusal of Parse; the text says what is wrong
// without repeating the input.
var ErrAddress = errors.New("not an address of the form user@host or user@host:port")

// Address is a canonical user@host[:port]. The zero value names nobody.
type Address struct{ user, host string }

// Parse brings s into canonical form or says why it has none.
func Parse(s string) (Address, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, fmt.Errorf("%w: there is no @", ErrAddress)
	}
	return New(s[:at], s[at+1:])
}

// ParseCanonical accepts only what Address.String returns: for addresses that
// arrive inside signed or relayed objects.
func ParseCanonical(s string) (Address, error) {
	if len(s) > MaxAddress {
		return Address{}, fmt.Errorf("%w: too long", ErrAddress)
	}
	a, err := Parse(s)
	if err == nil && a.String() != s {
		return Address{}, fmt.Errorf("%w: not in canonical form", ErrAddress)
	}
	return a, err
}

// New makes an address of a user name and a host with an optional port.
func New(user, hostport string) (Address, error) {
	u, err := User(user)
	if err != nil {
		return Address{}, err
	}
	h, err := Host(hostport)
	if err != nil {
		return Address{}, err
	}
	return Address{user: u, host: h}, nil
}

// User returns the canonical form of a user name.
func User(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%w: the user name is empty", ErrAddress)
	}
	if len(s) > 4*MaxUser || !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: the user name is too long or not UTF-8", ErrAddress)
	}
	u, err := precis.UsernameCaseMapped.String(s)
	if err != nil {
		return "", fmt.Errorf("%w: the user name has a character that names may not have", ErrAddress)
	}
	if len(u) > MaxUser {
		return "", fmt.Errorf("%w: the user name is longer than %d bytes", ErrAddress, MaxUser)
	}
	if strings.ContainsAny(u, "@/:#?") {
		return "", fmt.Errorf("%w: the user name has one of @ / : # ?", ErrAddress)
	}
	return u, nil
}

// Host returns the canonical form of host, host:port, [v6] or [v6]:port.
func Host(s string) (string, error) {
	host, port := s, ""
	switch {
	case strings.HasPrefix(s, "["):
		if end := strings.IndexByte(s, ']'); end > 0 && end+1 < len(s) {
			if s[end+1] != ':' || end+2 == len(s) {
				return "", fmt.Errorf("%w: the host is malformed", ErrAddress)
			}
			host, port = s[1:end], s[end+2:]
		} else {
			host = strings.TrimSuffix(s[1:], "]")
		}
		// Brackets are for IPv6 addresses and come in pairs.
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() || !strings.Contains(s, "]") {
			return "", fmt.Errorf("%w: the host is malformed", ErrAddress)
		}
	case strings.Count(s, ":") == 1:
		host, port, _ = strings.Cut(s, ":")
		if port == "" {
			return "", fmt.Errorf("%w: the port is empty", ErrAddress)
		}
	}
	v6 := false
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		host, v6 = ip.String(), ip.Is6()
	} else if host, err = dnsName(host); err != nil {
		return "", err
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%w: the port is not a number from 1 to 65535", ErrAddress)
		}
		if n != DefaultPort {
			port = ":" + strconv.FormatUint(n, 10)
		} else {
			port = ""
		}
	}
	if v6 {
		host = "[" + host + "]"
	}
	return host + port, nil
}

// dnsName accepts host names in their ASCII form and lowers their case.
func dnsName(s string) (string, error) {
	if s == "" || len(s) > MaxHost {
		return "", fmt.Errorf("%w: the host is empty or too long", ErrAddress)
	}
	s = strings.ToLower(s)
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("%w: the host is malformed", ErrAddress)
		}
		for _, c := range []byte(label) {
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", fmt.Errorf("%w: the host has a character other than letters, digits, hyphens and dots", ErrAddress)
			}
		}
	}
	return s, nil
}

// String returns the canonical form.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.user + "@" + a.host
}

// User returns the canonical user name, Host the canonical host[:port].
func (a Address) User() string { return a.user }

// Host returns the canonical host[:port].
func (a Address) Host() string { return a.host }

// IsZero reports whether a names nobody.
func (a Address) IsZero() bool { return a == Address{} }

// Dial returns host:port for a canonical host, with the default port filled in.
func Dial(host string) string {
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":" + strconv.Itoa(DefaultPort)
}

// Device is a device id: random, unique within an account, never zero.
type Device uint64

// NewDevice draws a device id.
func NewDevice() Device {
	var b [8]byte
	for {
		rand.Read(b[:])
		if d := Device(binary.BigEndian.Uint64(b[:])); d != 0 {
			return d
		}
	}
}

// ParseDevice reads the form that String prints.
func ParseDevice(s string) (Device, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || n == 0 || len(s) != 16 {
		return 0, errors.New("not a device id of 16 hexadecimal digits")
	}
	return Device(n), nil
}

// String prints the id as 16 hexadecimal digits.
func (d Device) String() string { return fmt.Sprintf("%016x", uint64(d)) }
