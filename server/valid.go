package server

import (
	"fmt"
	"time"
)

// Valid reports whether a store may take the set (R-STO-05).
func (s OneTimeSet) Valid() error {
	if s.Device == 0 || s.Kind != OneTimeEC && s.Kind != OneTimeKEM {
		return fmt.Errorf("%w: one-time prekeys without a device or of no known kind", ErrInvalid)
	}
	if len(s.Keys) > MaxOneTime {
		return fmt.Errorf("%w: more than %d one-time prekeys", ErrTooLarge, MaxOneTime)
	}
	seen := make(map[uint64]bool, len(s.Keys))
	for _, k := range s.Keys {
		if len(k.Public) > MaxOneTimeKey {
			return fmt.Errorf("%w: a one-time prekey of more than %d bytes", ErrTooLarge, MaxOneTimeKey)
		}
		if k.ID == 0 || seen[k.ID] {
			return fmt.Errorf("%w: a one-time prekey id is zero or stands twice", ErrInvalid)
		}
		seen[k.ID] = true
	}
	return nil
}

func validSets(sets []OneTimeSet) error {
	for _, s := range sets {
		if err := s.Valid(); err != nil {
			return err
		}
	}
	return nil
}

func validRecord(user string, record []byte) error {
	if user == "" {
		return fmt.Errorf("%w: no user name", ErrInvalid)
	}
	if len(record) > MaxRecord {
		return fmt.Errorf("%w: an account record of more than %d bytes", ErrTooLarge, MaxRecord)
	}
	return nil
}

// Valid reports whether a store may take the registration.
func (r Registration) Valid() error {
	if err := validRecord(r.User, r.Record); err != nil {
		return err
	}
	return validSets(r.OneTime)
}

// Valid reports whether a store may take the change.
func (c Change) Valid() error {
	if err := validRecord(c.User, c.Record); err != nil {
		return err
	}
	return validSets(c.OneTime)
}

// ValidEnvelopes reports whether a store may take the envelopes in one Append:
// at most MaxEnvelopes for devices of at most two users, each within its limits.
func ValidEnvelopes(envelopes []Envelope) error {
	if len(envelopes) > MaxEnvelopes {
		return fmt.Errorf("%w: more than %d envelopes at once", ErrTooLarge, MaxEnvelopes)
	}
	second := ""
	for i := range envelopes {
		e := &envelopes[i]
		if second == "" && e.Device.User != envelopes[0].Device.User {
			second = e.Device.User
		}
		switch {
		case e.Device.User == "" || e.Device.ID == 0 || e.ID == MessageID{}:
			return fmt.Errorf("%w: an envelope without a device or an id", ErrInvalid)
		case e.Device.User != envelopes[0].Device.User && e.Device.User != second:
			return fmt.Errorf("%w: envelopes for more than two users at once", ErrInvalid)
		case len(e.Body) > MaxBody:
			return fmt.Errorf("%w: a body of more than %d bytes", ErrTooLarge, MaxBody)
		}
	}
	return nil
}

// Due is when the envelope expires: Expires, but at most At + MessageLife.
func (e *Envelope) Due() time.Time {
	last := e.At.Add(MessageLife)
	if e.Expires.IsZero() || e.Expires.After(last) {
		return last
	}
	return e.Expires
}
