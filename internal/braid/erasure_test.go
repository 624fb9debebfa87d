package braid

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// slow is the product in GF(2^16) as it is taught: shift, add, reduce.
func slow(a, b uint16) (p uint16) {
	for ; b != 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a >> 15
		a = a<<1 ^ carry*reduction
	}
	return p
}

func TestFieldArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b := uint16(r.Uint32()), uint16(r.Uint32())
		if got := multiply(a, b); got != slow(a, b) {
			t.Fatalf("%x * %x = %x, want %x", a, b, got, slow(a, b))
		}
	}
	// x generates the whole multiplicative group: the polynomial is primitive,
	// so this is a field.
	x, order := uint16(2), 1
	for ; x != 1; order++ {
		x = multiply(x, 2)
	}
	if order != 65535 {
		t.Errorf("x has order %d", order)
	}
	all := make([]uint16, MaxChunks)
	for i := range all {
		all[i] = uint16(i*997 + 1)
	}
	inverses := append([]uint16(nil), all...)
	invert(inverses)
	for i, x := range all {
		if multiply(x, inverses[i]) != 1 {
			t.Errorf("%d: wrong inverse", x)
		}
	}
}

// naive is the definition of the code, word by word.
func (c code) naive(message []byte, index uint16) []byte {
	if int(index) < c.k {
		return message[int(index)*c.size:][:c.size]
	}
	out := make([]byte, c.size)
	for w := 0; w < c.size; w += 2 {
		var sum uint16
		for i := range c.k {
			inverse := []uint16{index ^ uint16(i)}
			invert(inverse)
			sum ^= slow(inverse[0], binary.BigEndian.Uint16(message[i*c.size+w:]))
		}
		binary.BigEndian.PutUint16(out[w:], sum)
	}
	return out
}

// R-BRD-02: any k chunks restore the message, whatever the sizes.
func TestR_BRD_02_AnySufficientSetRestores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := code{rapid.IntRange(1, MaxChunks).Draw(t, "k"), 8 * rapid.IntRange(1, 8).Draw(t, "size/8")}
		message := rapid.SliceOfN(rapid.Byte(), c.length(), c.length()).Draw(t, "message")
		indices := rapid.SliceOfNDistinct(rapid.Uint16(), c.k, c.k, rapid.ID[uint16]).Draw(t, "indices")
		// Half of the time the smallest, so that message chunks are among them.
		if rapid.Bool().Draw(t, "low") {
			for i := range indices {
				indices[i] = uint16(2 * i)
			}
		}
		var chunks []byte
		for _, x := range indices {
			chunks = c.append(chunks, message, x, 1)
			if want := c.naive(message, x); !bytes.Equal(chunks[len(chunks)-c.size:], want) {
				t.Fatalf("chunk %d differs from its definition", x)
			}
		}
		if got := c.restore(indices, chunks); !bytes.Equal(got, message) {
			t.Fatalf("%v restore something else", indices)
		}
	})
}

// A run of chunks is the chunks one by one, past the end of the indices too.
func TestRunsOfChunks(t *testing.T) {
	message := pattern(vectorLen)
	for _, from := range []uint16{0, 30, 65530} {
		run := offered[1].append(nil, message, from, 20)
		var single []byte
		for i := range 20 {
			single = offered[1].append(single, message, from+uint16(i), 1)
		}
		if !bytes.Equal(run, single) {
			t.Errorf("a run from %d differs", from)
		}
	}
}

// pattern is n bytes that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>3 + i)
	}
	return b
}

// FuzzErasure takes bytes as the message and as the indices that arrive.
func FuzzErasure(f *testing.F) {
	f.Add([]byte("any sufficient set of chunks will do"), []byte{0, 0, 0, 9, 0, 2, 0, 200, 255, 255}, uint8(3))
	f.Add(pattern(100), pattern(200), uint8(40))
	f.Fuzz(func(t *testing.T, message, order []byte, k uint8) {
		c := code{int(k)%MaxChunks + 1, 8}
		message = append(message, make([]byte, c.length())...)[:c.length()]
		var indices []uint16
		var chunks []byte
		seen := map[uint16]bool{}
		for ; len(order) >= 2 && len(indices) < c.k; order = order[2:] {
			if x := binary.BigEndian.Uint16(order); !seen[x] {
				seen[x] = true
				indices = append(indices, x)
				chunks = c.append(chunks, message, x, 1)
			}
		}
		for x := uint16(1000); len(indices) < c.k; x++ {
			if !seen[x] {
				indices = append(indices, x)
				chunks = c.append(chunks, message, x, 1)
			}
		}
		if !bytes.Equal(c.restore(indices, chunks), message) {
			t.Fatal("restored something else")
		}
	})
}

func BenchmarkErasure(b *testing.B) {
	c := offered[1]
	message := pattern(c.length())
	b.Run("message chunk", func(b *testing.B) {
		dst := make([]byte, 0, c.size)
		for b.Loop() {
			c.append(dst, message, 5, 1)
		}
	})
	b.Run("repair chunk", func(b *testing.B) {
		dst := make([]byte, 0, c.size)
		for b.Loop() {
			c.append(dst, message, 500, 1)
		}
	})
	for name, first := range map[string]int{"restore all received": 0, "restore 4 lost": 4, "restore 12 lost": 12, "restore all lost": 36} {
		b.Run(name, func(b *testing.B) {
			var indices []uint16
			for i := range c.k {
				indices = append(indices, uint16(first+i))
			}
			chunks := c.append(nil, message, uint16(first), c.k)
			for b.Loop() {
				c.restore(indices, chunks)
			}
		})
	}
}
