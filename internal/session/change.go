package session

import "slices"

// Change says what a step did to a pair, for its storage: first the sessions
// to erase, then those to write, with whether their skipped keys changed too.
// Every session whose rank changed is in Write (R-SES-13).
type Change struct {
	Write   []*Session
	Skipped []ID // of Write: their skipped keys changed
	Erase   []ID
	// Farewells are the last messages of sessions in Erase that gave way to
	// newer ones, to be sent once the erasure is durable.
	Farewells []Farewell
}

// Farewell is the last message of a session that was wiped: it discloses the
// MAC keys of what was received.
type Farewell struct {
	Session ID
	Message []byte
}

// erase wipes s with a farewell, if it ever received anything to disclose. The
// farewell makes public what s would still accept, so it exists only where s is
// erased by the same change, and leaves after that is durable (R-SES-15).
func (c *Change) erase(s *Session) {
	c.Erase = append(c.Erase, s.ID)
	if !s.Answered {
		return
	}
	if m, err := s.State.Farewell(s.AD[:]); err == nil {
		c.Farewells = append(c.Farewells, Farewell{s.ID, m})
	}
}

// Merge adds a later change to an earlier one, so that a batch of steps is
// written once: of each session the last state, and nothing of one erased
// (R-SES-14). A session that is erased and then begun again is erased and
// written.
func (c *Change) Merge(later Change) {
	c.Write = slices.DeleteFunc(c.Write, func(s *Session) bool {
		return slices.Contains(later.Erase, s.ID) || slices.ContainsFunc(later.Write, func(l *Session) bool { return l.ID == s.ID })
	})
	c.Skipped = slices.DeleteFunc(c.Skipped, func(id ID) bool { return slices.Contains(later.Erase, id) })
	c.Write = append(c.Write, later.Write...)
	c.Skipped = union(c.Skipped, later.Skipped)
	c.Erase = union(c.Erase, later.Erase)
	c.Farewells = append(c.Farewells, later.Farewells...)
}

func union(ids, more []ID) []ID {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
