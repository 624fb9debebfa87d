package devicelist

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"strings"
)

// Labels and cost of the safety number (spec/labels.md, spec/limits.md).
const (
	labelSafety      = "pawl/1 safety number"
	labelFingerprint = "pawl/1 fingerprint"
	safetyIterations = 5200
)

var upper = base32.StdEncoding.WithPadding(base32.NoPadding)

// SafetyNumber is what two people compare by voice: 60 decimal digits from
// both account keys and nothing else, the same on both sides (R-IDN-14). Each
// key gives 30 digits by 5,200 rounds of SHA-512, which makes a search for a
// key with a chosen half dearer; the smaller half comes first.
func SafetyNumber(a, b ed25519.PublicKey) string {
	x, y := safetyHalf(a), safetyHalf(b)
	if x > y {
		x, y = y, x
	}
	return x + y
}

func safetyHalf(key ed25519.PublicKey) string {
	h := sha512.Sum512(append([]byte(labelSafety), key...))
	var buf [sha512.Size + ed25519.PublicKeySize]byte
	for range safetyIterations - 1 {
		n := copy(buf[:], h[:])
		n += copy(buf[n:], key)
		h = sha512.Sum512(buf[:n])
	}
	digits := make([]byte, 0, 30)
	for i := range 6 {
		c := h[5*i : 5*i+5]
		n := (uint64(c[0])<<32 | uint64(c[1])<<24 | uint64(c[2])<<16 | uint64(c[3])<<8 | uint64(c[4])) % 100000
		for _, d := range []uint64{10000, 1000, 100, 10, 1} {
			digits = append(digits, byte('0'+n/d%10))
		}
	}
	return string(digits)
}

// QRText is what two devices compare by camera: both account keys in full,
// smaller first, in the alphanumeric alphabet of QR codes (R-IDN-15).
func QRText(a, b ed25519.PublicKey) string {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return "PAWL:1:" + upper.EncodeToString(a) + ":" + upper.EncodeToString(b)
}

// Fingerprint is a printable name of one account key (R-IDN-16): 32 lower-case base32
// characters, 160 bits of a hash.
func Fingerprint(key ed25519.PublicKey) string {
	h := sha256.Sum256(append([]byte(labelFingerprint), key...))
	return strings.ToLower(upper.EncodeToString(h[:20]))
}
