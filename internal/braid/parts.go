package braid

import "slices"

// How the parts that each side sends are cut, which nothing changes: the one that offers a key its header, with a
// MAC, and its vector; the one that answers both parts of the ciphertext, the
// second with a MAC.
var (
	offered  = [2]code{{headerChunks, ChunkSize}, {vectorChunks, ChunkSize}}
	answered = [2]code{{firstChunks, ChunkSize}, {secondChunks, ChunkSize}}
)

// outgoing is what a side sends in an epoch. The parts never change, so states
// share them; a part that cannot be made yet is nil.
type outgoing struct {
	parts [2][]byte
	next  [2]uint16 // index of the next chunk
	held  byte      // the peer's status, as last heard
}

// pending reports whether a part is to be sent: it exists and the peer, as far
// as is known, lacks it.
func (o *outgoing) pending(part int) bool {
	return o.parts[part] != nil && o.held>>part&1 == 0
}

// fill appends runs to dst that together take at most room bytes. Of the shorter
// part all chunks go out in each message until the peer has it, and the rest of
// the room is the longer one's: the other side can begin nothing before it has
// the header, and end nothing before it has the second part of the ciphertext
// (R-BRD-10).
func (o *outgoing) fill(dst []byte, shapes *[2]code, room int) []byte {
	order := [2]int{0, 1}
	if shapes[1].k < shapes[0].k {
		order = [2]int{1, 0}
	}
	var counts [2]int
	for _, part := range order {
		if n := min((room-runLen)/ChunkSize, shapes[part].k); n > 0 && room > runLen && o.pending(part) {
			counts[part] = n
			room -= runLen + n*ChunkSize
		}
	}
	for part, n := range counts {
		if n > 0 {
			dst = appendRun(dst, part, o.next[part], n)
			dst = shapes[part].append(dst, o.parts[part], o.next[part], n)
			o.next[part] += uint16(n)
		}
	}
	return dst
}

// collected is what has arrived of one part: chunks until enough are there, then
// the part itself.
type collected struct {
	part    []byte // nil until restored
	indices []uint16
	chunks  []byte
}

// add takes the chunks of a run, leaves out what is there already, and restores
// the part once that is possible. It changes no memory that another state
// shares.
func (c *collected) add(s code, r run) {
	if c.part != nil || len(r.chunks) == 0 {
		return
	}
	c.indices = slices.Clone(c.indices)
	c.chunks = append(make([]byte, 0, min(len(c.chunks)+len(r.chunks), s.length())), c.chunks...)
	for i := 0; len(r.chunks) > 0; i++ {
		if x := r.index + uint16(i); !slices.Contains(c.indices, x) {
			c.indices = append(c.indices, x)
			c.chunks = append(c.chunks, r.chunks[:ChunkSize]...)
			if len(c.indices) == s.k {
				*c = collected{part: s.restore(c.indices, c.chunks)}
				return
			}
		}
		r.chunks = r.chunks[ChunkSize:]
	}
}

// incoming is what has arrived of both parts.
type incoming [2]collected

// add takes the runs of a piece.
func (in *incoming) add(shapes *[2]code, p *piece) {
	for i := range in {
		in[i].add(shapes[i], p.runs[i])
	}
}

// whole reports whether both parts are there.
func (in *incoming) whole() bool { return in[0].part != nil && in[1].part != nil }
