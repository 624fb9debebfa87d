//go:build !race

package kdf

import "testing"

// The race detector inlines less and puts on the heap what belongs on the stack.
func TestNoAllocations(t *testing.T) {
	key, in := [Size]byte{1}, pattern(medium)
	var x, y [Size]byte
	for name, f := range map[string]func(){
		"HMAC":   func() { x = HMAC(&key, in[:short]) },
		"Pair":   func() { x, y = Pair(&key, 1, 2) },
		"Tag":    func() { x = Tag(&key, in[:32], in[:medium-36]) },
		"Expand": func() { Expand(&key, "label", &x, &y) },
	} {
		if n := testing.AllocsPerRun(10, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
