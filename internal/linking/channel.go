package linking

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Pipe carries whole messages in order between two ends. Nothing about it is
// trusted.
type Pipe interface {
	Send([]byte) error
	// Receive returns the next message, or ErrTooLong when it is longer than
	// limit.
	Receive(limit int) ([]byte, error)
	Close() error
}

// Channel is a Pipe after the hello: what goes through it is sealed under keys
// that both sides export from the hello, one for each direction, and counted
// (R-LNK-08). Its methods are for one goroutine.
type Channel struct {
	pipe     Pipe
	out, in  cipher.AEAD
	sent     uint64
	received uint64
}

// message is what is sealed.
type message struct {
	_    struct{} `cbor:",toarray"`
	Kind Kind
	Body []byte
}

func newChannel(p Pipe, export func(string, int) ([]byte, error), out, in string) (*Channel, error) {
	c := &Channel{pipe: p}
	for _, d := range []struct {
		label string
		to    *cipher.AEAD
	}{{out, &c.out}, {in, &c.in}} {
		key, err := export(d.label, chacha20poly1305.KeySize)
		if err != nil {
			return nil, err
		}
		*d.to, err = chacha20poly1305.New(key)
		clear(key)
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Close closes the pipe.
func (c *Channel) Close() error { return c.pipe.Close() }

func nonce(n uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, chacha20poly1305.NonceSize), n)
}

// Send seals a message.
func (c *Channel) Send(m Message) error {
	if c.sent >= MaxMessages {
		return ErrTooLong
	}
	kind, body := m.encode()
	b := c.out.Seal(nil, nonce(c.sent), codec.Marshal(message{Kind: kind, Body: body}), nil)
	if len(b) > MaxSealed {
		return ErrTooLong
	}
	c.sent++
	return c.pipe.Send(b)
}

// Receive opens the next message, which must be of m's kind. When the other
// side gave up instead, the error is its *Refusal.
func (c *Channel) Receive(m Message) error {
	if c.received >= MaxMessages {
		return ErrTooLong
	}
	b, err := c.pipe.Receive(MaxSealed)
	if err != nil {
		return err
	}
	b, err = c.in.Open(nil, nonce(c.received), b, nil)
	if err != nil {
		return ErrChannel
	}
	c.received++
	var w message
	if err := codec.Unmarshal(b, MaxSealed, &w); err != nil {
		return ErrMalformed
	}
	if refused := new(Refusal); w.Kind == refused.kind() && m.kind() != w.Kind {
		if err := refused.decode(w.Body); err != nil {
			return err
		}
		return refused
	}
	if w.Kind != m.kind() {
		return ErrChannel
	}
	return m.decode(w.Body)
}
