package relay

import (
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
)

// SendRequest is the one message on the hot path, so its codec is written out.
// It accepts and produces exactly the bytes that the codec package would; a
// fuzz test holds the two together.

// Encode returns the body of the request.
func (s *SendRequest) Encode() []byte {
	n := 64 + len(s.To)
	for i := range s.Messages {
		n += 40 + len(s.Messages[i].Body)
	}
	b := make([]byte, 0, n)
	fields := byte(2)
	if s.ListVersion != 0 {
		fields++
	}
	if s.TTL != 0 {
		fields++
	}
	b = append(b, majorMap|fields, 1)
	b = append(appendUint(b, majorText, uint64(len(s.To))), s.To...)
	if s.ListVersion != 0 {
		b = appendUint(append(b, 2), majorUint, s.ListVersion)
	}
	if s.TTL != 0 {
		major, v := byte(majorUint), uint64(s.TTL)
		if s.TTL < 0 {
			major, v = majorNegative, ^v
		}
		b = appendUint(append(b, 3), major, v)
	}
	b = appendUint(append(b, 4), majorArray, uint64(len(s.Messages)))
	for i := range s.Messages {
		m := &s.Messages[i]
		b = append(b, arrayOf3)
		b = appendUint(b, majorUint, uint64(m.Device))
		b = append(appendUint(b, majorBytes, uint64(len(m.ID))), m.ID[:]...)
		b = append(appendUint(b, majorBytes, uint64(len(m.Body))), m.Body...)
	}
	return b
}

// DecodeSend decodes the body of a request, as Decode would. The bodies of its
// messages alias it.
func DecodeSend(body []byte) (SendRequest, error) {
	var s SendRequest
	c := cutter{b: body}
	fields := c.head(majorMap)
	for key := uint64(1); key <= 4; key++ {
		if key == 2 || key == 3 { // optional
			if len(c.b) == 0 || c.b[0] != byte(key) {
				continue
			}
		}
		if c.head(majorUint) != key {
			return s, ErrMalformed
		}
		fields--
		switch key {
		case 1:
			s.To = string(c.string(majorText))
		case 2:
			s.ListVersion = c.head(majorUint)
			c.bad = c.bad || s.ListVersion == 0
		case 3:
			ttl := c.head(majorUint)
			s.TTL = int64(ttl)
			c.bad = c.bad || ttl == 0 || s.TTL < 0
		case 4:
			n := c.head(majorArray)
			if c.bad || n > MaxDevices {
				return s, ErrMalformed
			}
			s.Messages = make([]Outgoing, n)
			for i := range s.Messages {
				c.message(&s.Messages[i])
			}
		}
	}
	if c.bad || fields != 0 || len(c.b) != 0 || !utf8.ValidString(s.To) {
		return s, ErrMalformed
	}
	return s, s.check()
}

// cutter cuts CBOR items off b. Once something was not as expected, bad is set
// and everything is empty.
type cutter struct {
	b   []byte
	bad bool
}

func (c *cutter) head(major byte) uint64 {
	v, rest, err := cutUint(c.b, major)
	if err != nil {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = rest
	return v
}

func (c *cutter) string(major byte) []byte {
	n := c.head(major)
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	s := c.b[:n:n]
	c.b = c.b[n:]
	return s
}

func (c *cutter) message(m *Outgoing) {
	if c.head(majorArray) != 3 {
		c.bad = true
		return
	}
	m.Device = address.Device(c.head(majorUint))
	id := c.string(majorBytes)
	m.Body = c.string(majorBytes)
	if len(id) != len(m.ID) {
		c.bad = true
		return
	}
	m.ID = MessageID(id)
}
