package session

// Prefer makes the session id active when a peer asks on it for what it could
// not open (R-SES-16): if the active session is this device's own start and
// was never answered, the peer may be unable to take it, and what is sent again
// must not go the same way. In every other case the pair stays as it is.
func (p Pair) Prefer(id ID) (Pair, Change) {
	active := p.Active()
	if active == nil || active.ID == id || !active.Initiator || active.Answered {
		return p, Change{}
	}
	for _, s := range p.sessions {
		if s.ID == id && s.Answered {
			next := *s
			out := p.promote(&next)
			return out, Change{Write: []*Session{&next}}
		}
	}
	return p, Change{}
}
