package linking

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// piece is the longest single write, so that carriers with small messages of
// their own pass it on.
const piece = 32 << 10

// Frames makes a Pipe of a stream: each message has its length in front, four
// bytes, the highest first (R-LNK-11).
func Frames(rw io.ReadWriteCloser) Pipe { return frames{rw} }

type frames struct{ io.ReadWriteCloser }

// Send implements Pipe.
func (f frames) Send(m []byte) error {
	b := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(m)), uint32(len(m))), m...)
	for len(b) > 0 {
		n, err := f.Write(b[:min(piece, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Receive implements Pipe. It takes memory as bytes arrive, not as they are
// announced.
func (f frames) Receive(limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 {
		return nil, ErrMalformed
	}
	if uint64(n) > uint64(limit) {
		return nil, ErrTooLong
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b.Bytes(), nil
}
