package braid

import "encoding/binary"

// A piece is what one message carries (spec/braid.md, "Piece"): the epoch the
// sender is in, which parts of the other side it holds, and runs of chunks.
//
//	epoch (4) ‖ status (1) ‖ run of the first part ‖ run of the second part
//
// A run is count (1, the high bit tells the second part) ‖ index (2) ‖ chunks.
// Both may be lacking (R-BRD-09).
const (
	epochLen  = 4
	statusLen = 1
	runLen    = 3
)

// Bits of the status: what the sender of a piece holds of the other's parts.
const (
	holdsFirst  = 1
	holdsSecond = 2
)

const secondRun = 0x80

// run is chunks of one part, with indices that follow each other.
type run struct {
	index  uint16
	chunks []byte // count times ChunkSize bytes
}

// piece is a piece taken apart.
type piece struct {
	epoch  uint32
	status byte
	runs   [2]run
}

func appendPiece(dst []byte, epoch uint32, status byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, epoch), status)
}

func appendRun(dst []byte, part int, index uint16, count int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, byte(part)<<7|byte(count)), index)
}

// parsePiece reads a piece and nothing else. The chunks point into b.
func parsePiece(b []byte) (p piece, err error) {
	if len(b) < MinPiece || len(b) > MaxPiece {
		return piece{}, ErrMalformed
	}
	p.epoch = binary.BigEndian.Uint32(b)
	p.status = b[epochLen]
	if p.epoch == 0 || p.status > holdsFirst|holdsSecond {
		return piece{}, ErrMalformed
	}
	b = b[MinPiece:]
	for part := 0; len(b) > 0; part++ {
		if len(b) < runLen {
			return piece{}, ErrMalformed
		}
		if part == 0 && b[0]&secondRun != 0 {
			part = 1
		}
		n := int(b[0]&^secondRun) * ChunkSize
		if part > 1 || int(b[0])>>7 != part || n == 0 || len(b) < runLen+n {
			return piece{}, ErrMalformed
		}
		p.runs[part] = run{binary.BigEndian.Uint16(b[1:]), b[runLen : runLen+n]}
		b = b[runLen+n:]
	}
	return p, nil
}
