package braid

import "encoding/binary"

// A code cuts a message of k chunks into a stream of 65 536: the first k are
// the message itself, and any k of the stream restore it (R-BRD-02). It is the
// systematic Reed-Solomon code over GF(2^16) whose repair chunks are rows of a
// Cauchy matrix: with words of 16 bits, big-endian, chunk x >= k is the sum over
// i < k of chunk i divided by x + i. Every square part of a Cauchy matrix can be
// inverted, and the inverse has a closed form.
//
// What is coded here is public: nothing takes care of timing.
type code struct {
	k    int // chunks of the message, at most MaxChunks
	size int // bytes of one chunk, a multiple of 8
}

// length is how many bytes the message has.
func (c code) length() int { return c.k * c.size }

// append appends n chunks of message to dst, from index on. Indices count on
// from 65 535 to 0.
func (c code) append(dst, message []byte, index uint16, n int) []byte {
	var cauchy cauchy
	var coefficients [MaxChunks]uint16
	var sources [MaxChunks][]byte
	for ; n > 0; n-- {
		if i := int(index); i < c.k {
			dst = append(dst, message[i*c.size:(i+1)*c.size]...)
		} else {
			if sources[0] == nil {
				for i := range c.k {
					sources[i] = message[i*c.size : (i+1)*c.size]
				}
			}
			row := cauchy.row(index)
			for i := range c.k {
				coefficients[i] = row.at(uint16(i))
			}
			at := len(dst)
			dst = append(dst, message[:c.size]...) // room
			clear(dst[at:])
			combine(dst[at:], coefficients[:c.k], sources[:c.k])
		}
		index++
	}
	return dst
}

// restore gives the message back from k chunks with distinct indices, in any
// order; chunk j is chunks[j*size:(j+1)*size].
func (c code) restore(indices []uint16, chunks []byte) []byte {
	message := make([]byte, c.length())
	var present [MaxChunks]bool
	var known, missing, repair [MaxChunks]uint16 // known and missing rows of the message; indices of repair chunks
	var sums, rows, lost [MaxChunks][]byte       // of the repair chunks; known and missing rows, as places in message
	nKnown, nMissing, nRepair := 0, 0, 0
	for j, x := range indices {
		chunk := chunks[j*c.size : (j+1)*c.size]
		if i := int(x); i < c.k {
			row := message[i*c.size : (i+1)*c.size]
			copy(row, chunk)
			present[i] = true
			known[nKnown], rows[nKnown] = x, row
			nKnown++
		} else {
			repair[nRepair], sums[nRepair] = x, append([]byte(nil), chunk...)
			nRepair++
		}
	}
	if nRepair == 0 {
		return message
	}
	for i := range c.k {
		if !present[i] {
			missing[nMissing], lost[nMissing] = uint16(i), message[i*c.size:(i+1)*c.size]
			nMissing++
		}
	}

	// What the missing rows add to each repair chunk.
	var cauchy cauchy
	var coefficients [MaxChunks]uint16
	for j := range nRepair {
		row := cauchy.row(repair[j])
		for i := range nKnown {
			coefficients[i] = row.at(known[i])
		}
		combine(sums[j], coefficients[:nKnown], rows[:nKnown])
	}

	// The inverse of the Cauchy matrix 1/(x_j + y_i), x the repair indices and
	// y the missing rows, is u_j v_i / (x_j + y_i).
	u := ratios(repair[:nRepair], missing[:nMissing])
	v := ratios(missing[:nMissing], repair[:nRepair])
	var inverse [MaxChunks][MaxChunks]uint16
	for j := range nRepair {
		row := cauchy.row(repair[j])
		for i := range nMissing {
			inverse[i][j] = multiply(row.at(missing[i]), multiply(u[j], v[i]))
		}
	}
	for i := range nMissing {
		combine(lost[i], inverse[i][:nRepair], sums[:nRepair])
	}
	return message
}

// cauchy makes rows of the matrix. It keeps the inverses of the 64 numbers
// around the last index: x + i, with i below 64, is one of them.
type cauchy struct {
	block    uint16 // the index without its last six bits, plus 1; 0 for none
	inverses [MaxChunks]uint16
}

// row is one row of the matrix: that of the repair chunk x.
type row struct {
	x        uint16
	inverses *[MaxChunks]uint16
}

func (c *cauchy) row(x uint16) row {
	if base := x &^ (MaxChunks - 1); c.block != base+1 {
		c.block = base + 1
		for i := range c.inverses {
			c.inverses[i] = max(base+uint16(i), 1) // zero has none and is no x + i
		}
		invert(c.inverses[:])
	}
	return row{x, &c.inverses}
}

// at is 1/(x + i).
func (r row) at(i uint16) uint16 { return r.inverses[(r.x^i)%MaxChunks] }

// ratios returns for each x_j the product of x_j + y over all y, divided by the
// product of x_j + x_l over all other l.
func ratios(xs, ys []uint16) (out [MaxChunks]uint16) {
	for j, x := range xs {
		d := uint16(1)
		for l, other := range xs {
			if l != j {
				d = multiply(d, x^other)
			}
		}
		out[j] = d
	}
	invert(out[:len(xs)])
	for j, x := range xs {
		for _, y := range ys {
			out[j] = multiply(out[j], x^y)
		}
	}
	return out
}

// reduction is x^16 in GF(2^16), the integers modulo x^16 + x^12 + x^3 + x + 1.
const reduction = 0x100b

// multiply is the product in GF(2^16).
func multiply(a, b uint16) uint16 {
	var product uint32
	x := uint32(a)
	for i := range 16 {
		product ^= x << i & -(uint32(b) >> i & 1)
	}
	for range 4 { // each fold takes four bits off the degree, 30 at first
		high := product >> 16
		product = product&0xffff ^ high ^ high<<1 ^ high<<3 ^ high<<12
	}
	return uint16(product)
}

// invert replaces each of xs, none zero, with its inverse: one inversion, x to
// the power of 2^16 - 2, and three products each.
func invert(xs []uint16) {
	var before [MaxChunks]uint16
	all := uint16(1)
	for i, x := range xs {
		before[i] = all
		all = multiply(all, x)
	}
	inverse, power := uint16(1), all
	for range 15 {
		power = multiply(power, power)
		inverse = multiply(inverse, power)
	}
	for i := len(xs) - 1; i >= 0; i-- {
		x := xs[i]
		xs[i] = multiply(inverse, before[i])
		inverse = multiply(inverse, x)
	}
}

// combine adds to dst the sum of coefficient times source, word by word. Four
// words lie in a uint64, and all coefficients are gone through bit by bit, so
// that the sum is doubled 16 times and no product is made. Chunks of 32 bytes
// are held in registers.
func combine(dst []byte, coefficients []uint16, sources [][]byte) {
	be := binary.BigEndian
	at := 0
	for ; len(dst)-at >= 32; at += 32 {
		var s0, s1, s2, s3 uint64
		for bit := 15; bit >= 0; bit-- {
			s0, s1, s2, s3 = double(s0), double(s1), double(s2), double(s3)
			for i, c := range coefficients {
				mask := -(uint64(c) >> bit & 1)
				s := (*[32]byte)(sources[i][at:])
				s0 ^= be.Uint64(s[0:]) & mask
				s1 ^= be.Uint64(s[8:]) & mask
				s2 ^= be.Uint64(s[16:]) & mask
				s3 ^= be.Uint64(s[24:]) & mask
			}
		}
		d := (*[32]byte)(dst[at:])
		be.PutUint64(d[0:], be.Uint64(d[0:])^s0)
		be.PutUint64(d[8:], be.Uint64(d[8:])^s1)
		be.PutUint64(d[16:], be.Uint64(d[16:])^s2)
		be.PutUint64(d[24:], be.Uint64(d[24:])^s3)
	}
	for ; at < len(dst); at += 8 {
		var sum uint64
		for bit := 15; bit >= 0; bit-- {
			sum = double(sum)
			for i, c := range coefficients {
				sum ^= be.Uint64(sources[i][at:]) & -(uint64(c) >> bit & 1)
			}
		}
		be.PutUint64(dst[at:], be.Uint64(dst[at:])^sum)
	}
}

// double multiplies four words by x.
func double(words uint64) uint64 {
	high := words & 0x8000800080008000
	return (words^high)<<1 ^ high>>15*reduction
}
