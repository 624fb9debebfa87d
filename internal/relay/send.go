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
	n := 64 + len(s.To) + sizeOf(s.Messages)
	fields := byte(2)
	if s.Own != nil {
		n += 24 + sizeOf(s.Own.Messages)
		fields++
	}
	b := make([]byte, 0, n)
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
	b = appendMessages(append(b, 4), s.Messages)
	if s.Own != nil {
		b = append(b, 5, majorMap|2, 1)
		b = appendUint(b, majorUint, s.Own.ListVersion)
		b = appendMessages(append(b, 2), s.Own.Messages)
	}
	return b
}

// sizeOf returns what an encoding of the messages takes, or a little more.
func sizeOf(messages []Outgoing) int {
	n := 3
	for i := range messages {
		n += 40 + len(messages[i].Body)
	}
	return n
}

func appendMessages(b []byte, messages []Outgoing) []byte {
	b = appendUint(b, majorArray, uint64(len(messages)))
	for i := range messages {
		m := &messages[i]
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
	for key := uint64(1); key <= 5; key++ {
		if key == 2 || key == 3 || key == 5 { // optional
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
			s.Messages = c.messages()
		case 5:
			s.Own = c.own()
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

func (c *cutter) messages() []Outgoing {
	n := c.head(majorArray)
	if c.bad || n > MaxDevices {
		c.b, c.bad = nil, true
		return nil
	}
	messages := make([]Outgoing, n)
	for i := range messages {
		c.message(&messages[i])
	}
	return messages
}

func (c *cutter) own() *OwnCopies {
	var o OwnCopies
	c.bad = c.head(majorMap) != 2 || c.head(majorUint) != 1 || c.bad
	o.ListVersion = c.head(majorUint)
	c.bad = c.head(majorUint) != 2 || c.bad
	o.Messages = c.messages()
	return &o
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
