package server

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pawl-chat/pawl/internal/kdf"
)

// Labels (spec/labels.md).
const (
	labelSealKey = "pawl/1 server mailbox seal key"
	labelSealRow = "pawl/1 server mailbox row"
)

// sealVersion is the first byte of every sealed body.
const sealVersion = 1

// SealOverhead is what sealing adds to a body: version, nonce and tag.
const SealOverhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// Sealed returns a Mailbox that keeps bodies in m sealed with
// XChaCha20-Poly1305 under a key derived from the server's, so that a copy of
// the store without the key file shows sizes and times only (R-STO-15).
// Recipient and message id are the associated data: a row moved to another
// mailbox or id does not open. A body that does not open is returned as
// Damaged, never as bytes (R-STO-16).
//
// Nonces are random, 24 bytes; no count of messages makes a repetition likely.
func Sealed(m Mailbox, key [32]byte) Mailbox {
	var k [32]byte
	kdf.Expand(&key, labelSealKey, &k)
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		panic("server: " + err.Error()) // only for keys that are not 32 bytes
	}
	clear(k[:])
	return &sealed{Mailbox: m, aead: aead}
}

type sealed struct {
	Mailbox
	aead cipher.AEAD
}

// appendRowAD appends label ‖ id ‖ device ‖ user: all but the last are of fixed
// length, so no two rows share it.
func appendRowAD(b []byte, dev Device, id MessageID) []byte {
	b = append(b, labelSealRow...)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(dev.ID))
	return append(b, dev.User...)
}

func (s *sealed) seal(e *Envelope) []byte {
	var ad [160]byte
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, len(e.Body)+SealOverhead)
	out[0] = sealVersion
	rand.Read(out[1:])
	return s.aead.Seal(out, out[1:], e.Body, appendRowAD(ad[:0], e.Device, e.ID))
}

func (s *sealed) open(dev Device, id MessageID, row []byte) ([]byte, bool) {
	if len(row) < SealOverhead || row[0] != sealVersion {
		return nil, false
	}
	var ad [160]byte
	nonce, box := row[1:1+chacha20poly1305.NonceSizeX], row[1+chacha20poly1305.NonceSizeX:]
	body, err := s.aead.Open(box[:0], nonce, box, appendRowAD(ad[:0], dev, id))
	return body, err == nil
}

// Append implements Mailbox.
func (s *sealed) Append(ctx context.Context, envelopes []Envelope) ([]Result, error) {
	if err := ValidEnvelopes(envelopes); err != nil {
		return nil, err
	}
	rows := make([]Envelope, len(envelopes))
	for i := range envelopes {
		rows[i] = envelopes[i]
		rows[i].Body = s.seal(&envelopes[i])
	}
	return s.Mailbox.Append(ctx, rows)
}

// Read implements Mailbox; maxBytes counts bodies as stored.
func (s *sealed) Read(ctx context.Context, dev Device, after Seq, limit, maxBytes int) ([]Message, bool, error) {
	msgs, more, err := s.Mailbox.Read(ctx, dev, after, limit, maxBytes)
	for i := range msgs {
		m := &msgs[i]
		if m.Damaged {
			continue
		}
		body, ok := s.open(dev, m.ID, m.Body)
		if !ok {
			body = nil
		}
		m.Body, m.Damaged = body, !ok
	}
	return msgs, more, err
}
