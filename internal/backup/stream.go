package backup

import (
	"bufio"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// The payload is a STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online
// Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance): chunks
// sealed under one key, each nonce made of the header's prefix, the chunk's
// number and whether it is the last (R-BAK-03).

// sealer encrypts what is written to it.
type sealer struct {
	to     io.Writer
	aead   cipher.AEAD
	ad     []byte
	nonce  [chacha20poly1305.NonceSizeX]byte
	number uint64
	buf    []byte // plaintext of the chunk under way
	out    []byte
}

func payloadAEAD(key *[32]byte, header []byte) (cipher.AEAD, []byte, [chacha20poly1305.NonceSizeX]byte) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("backup: unreachable: key length")
	}
	var nonce [chacha20poly1305.NonceSizeX]byte
	copy(nonce[:], header[atPrefix:atCheck])
	ad := append([]byte(labelChunk), 0)
	return aead, append(ad, header...), nonce
}

func chunkNonce(nonce *[chacha20poly1305.NonceSizeX]byte, number uint64, last bool) []byte {
	binary.BigEndian.PutUint64(nonce[prefixSize:], number)
	nonce[prefixSize+8] = 0
	if last {
		nonce[prefixSize+8] = 1
	}
	return nonce[:]
}

func newSealer(to io.Writer, key *[32]byte, header []byte) *sealer {
	s := &sealer{to: to, buf: make([]byte, 0, ChunkSize)}
	s.aead, s.ad, s.nonce = payloadAEAD(key, header)
	return s
}

func (s *sealer) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		// A full chunk leaves only when there is more: it may be the last.
		if len(s.buf) == ChunkSize {
			if err := s.flush(false); err != nil {
				return n, err
			}
		}
		take := min(len(b), ChunkSize-len(s.buf))
		s.buf = append(s.buf, b[:take]...)
		b, n = b[take:], n+take
	}
	return n, nil
}

func (s *sealer) flush(last bool) error {
	s.out = s.aead.Seal(s.out[:0], chunkNonce(&s.nonce, s.number, last), s.buf, s.ad)
	clear(s.buf)
	s.buf = s.buf[:0]
	s.number++
	_, err := s.to.Write(s.out)
	return err
}

// Close seals the last chunk.
func (s *sealer) Close() error { return s.flush(true) }

// opener decrypts what a sealer wrote. Nothing is handed out that was not
// authenticated in its place; io.EOF comes only after the last chunk.
type opener struct {
	from   *bufio.Reader
	aead   cipher.AEAD
	ad     []byte
	nonce  [chacha20poly1305.NonceSizeX]byte
	number uint64
	in     []byte
	plain  []byte // what is left of the chunk at hand
	last   bool
	err    error
}

func newOpener(from *bufio.Reader, key *[32]byte, header []byte) *opener {
	o := &opener{from: from, in: make([]byte, ChunkSize+chacha20poly1305.Overhead)}
	o.aead, o.ad, o.nonce = payloadAEAD(key, header)
	return o
}

func (o *opener) Read(b []byte) (int, error) {
	for len(o.plain) == 0 {
		if o.err == nil {
			o.err = o.next()
		}
		if o.err != nil {
			return 0, o.err
		}
	}
	n := copy(b, o.plain)
	o.plain = o.plain[n:]
	return n, nil
}

func (o *opener) next() error {
	if o.last {
		return io.EOF
	}
	n, err := io.ReadFull(o.from, o.in)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		o.last = true
	case err != nil:
		return fmt.Errorf("reading the backup: %w", err)
	default:
		_, err := o.from.Peek(1)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the backup: %w", err)
		}
		o.last = err != nil
	}
	if n <= chacha20poly1305.Overhead { // no chunk is empty
		return ErrDamaged
	}
	o.plain, err = o.aead.Open(o.in[:0], chunkNonce(&o.nonce, o.number, o.last), o.in[:n], o.ad)
	if err != nil {
		return ErrDamaged
	}
	o.number++
	return nil
}
