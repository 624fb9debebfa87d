package groups

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Secret is what the members of an epoch share: it opens the roster log and
// allows writing to it, and says nothing of messages (R-GRP-20).
type Secret [32]byte

// NewSecret draws a Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:])
	return s
}

// IsZero reports whether s is no secret.
func (s Secret) IsZero() bool { return kdf.Equal(s[:], make([]byte, len(s))) }

// Token is what shows the server that its holder may read the log up to the
// entry that ended the epoch, and write while it lasts (R-GRP-20).
func (s Secret) Token(g ID, epoch uint64) [32]byte { return s.derive(labelToken, g, epoch) }

// Commitment is what the roster says of the secret of its epoch: who is given
// a secret compares (R-GRP-20).
func (s Secret) Commitment(g ID, epoch uint64) [32]byte { return s.derive(labelCommitment, g, epoch) }

func (s Secret) logKey(g ID, epoch uint64) [32]byte { return s.derive(labelLogKey, g, epoch) }

func (s *Secret) derive(label string, g ID, epoch uint64) [32]byte {
	b := make([]byte, 0, 96)
	b = append(b, label...)
	b = append(b, g[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	return kdf.HMAC((*[32]byte)(s), b)
}

// Secrets print a placeholder whatever the verb (R-GRP-14). The structs that
// hold them need one too: fmt does not call methods of unexported fields.
func (Secret) Format(f fmt.State, _ rune)     { redacted(f) }
func (chainKey) Format(f fmt.State, _ rune)   { redacted(f) }
func (messageKey) Format(f fmt.State, _ rune) { redacted(f) }
func (skippedKey) Format(f fmt.State, _ rune) { redacted(f) }
func (ChainKey) Format(f fmt.State, _ rune)   { redacted(f) }
func (Sending) Format(f fmt.State, _ rune)    { redacted(f) }
func (Receiving) Format(f fmt.State, _ rune)  { redacted(f) }
func (Disclosed) Format(f fmt.State, _ rune)  { redacted(f) }
func (Key) Format(f fmt.State, _ rune)        { redacted(f) }
func (Signal) Format(f fmt.State, _ rune)     { redacted(f) }

func redacted(f fmt.State) { io.WriteString(f, "groups(redacted)") }
