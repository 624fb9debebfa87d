package grouplog

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
)

// R-REL-53: the head binds the group, the number, the head before and the
// entry, and is computed as written down.
func TestR_REL_53_Head(t *testing.T) {
	var group [16]byte
	var prev [32]byte
	for i := range prev {
		prev[i] = byte(i)
	}
	copy(group[:], prev[16:])
	blob := []byte("sealed")
	inner := sha256.Sum256(blob)
	written := slices.Concat([]byte("pawl/1 group head"), group[:], []byte{0, 0, 0, 0, 0, 0, 1, 2}, prev[:], inner[:])
	want := sha256.Sum256(written)
	head := Head(group, 258, prev, blob)
	if head != want {
		t.Fatalf("head %x, want %x", head, want)
	}
	const pinned = "a6c46815259c054bb786565db63584ece9bade89c31bea6d8633bff12155c835"
	if got := hex.EncodeToString(head[:]); got != pinned {
		t.Errorf("head %s, want %s", got, pinned)
	}
	other := group
	other[0]++
	for name, h := range map[string][32]byte{
		"another group": Head(other, 258, prev, blob), "another number": Head(group, 259, prev, blob),
		"another head before": Head(group, 258, head, blob), "another entry": Head(group, 258, prev, []byte("Sealed")),
	} {
		if h == head {
			t.Errorf("%s has the same head", name)
		}
	}
}
