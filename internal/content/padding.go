package content

import "math/bits"

// pad appends 0x80 and zeros up to the next Padmé length, at least 256 bytes
// (R-CNT-04). Padmé (Nikitin et al., PETS 2019) hides all but O(log log n)
// bits of a length n and adds at most 12 percent.
func pad(b []byte) []byte {
	n := padme(max(len(b)+1, minPadded))
	out := make([]byte, n)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

func padme(n int) int {
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// unpad accepts exactly what pad returns (R-CNT-04): another amount of padding
// is refused, so that one content has one encoding.
func unpad(b []byte) ([]byte, error) {
	if len(b) > MaxPadded {
		return nil, ErrTooLong
	}
	i := len(b) - 1
	for i >= 0 && b[i] == 0 {
		i--
	}
	if i < 0 || b[i] != 0x80 || len(b) != padme(max(i+1, minPadded)) {
		return nil, ErrPadding
	}
	return b[:i], nil
}
