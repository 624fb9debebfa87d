package lab

import (
	"encoding/hex"
	"time"
)

// Letter is one sealed copy as it went over the wire, with what became of it:
// what a drawing or a replay of a run starts from.
type Letter struct {
	Message  int           // number of the message that it is a copy of; 0: a heartbeat, a farewell, or a thief's
	From, To string        // names of devices
	After    time.Duration // when it left, from the beginning of the run
	Group    string        // the group that it is said to, if any; there is no session then
	Session  string        // the beginning of the session's id, hexadecimal; of a group message, of its chain's
	Chain    uint64        // of the session, as ratchet.Position counts; 0 for a farewell
	Number   uint32        // within the chain
	First    bool          // it carries the session's first message
	Farewell bool          // it ends its session
	Thief    bool          // a thief sealed it
	Opened   bool          // its device opened it
}

// wire lists everything that went over the wire, in order.
func (w *world) wire() []Letter {
	names := map[peer]string{}
	for _, d := range w.devices {
		names[d.peer()] = d.name
	}
	out := make([]Letter, len(w.letters))
	for i, l := range w.letters {
		out[i] = Letter{
			Message: l.message, From: names[l.from], To: names[l.to], After: l.at.Sub(began), Session: hex.EncodeToString(l.session[:4]),
			Chain: l.chain, Number: l.number, First: len(l.initial) > 0, Farewell: l.farewell, Thief: l.injected, Opened: l.opened,
		}
		if l.said != nil {
			out[i].Group, out[i].Session = w.groupName(l.said.group), hex.EncodeToString(l.said.key.Chain[:4])
		}
	}
	return out
}
