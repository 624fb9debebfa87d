package relay

import (
	"encoding/hex"
	"time"
)

// PathMeet is where two devices meet that have nothing in common but a number
// (R-LNK-13): whoever comes second under the same id is joined to the first. What
// they say goes back and forth as binary messages that the server does not
// look at.
const PathMeet = "/v1/meet"

// SubprotocolMeet is the WebSocket subprotocol of PathMeet.
const SubprotocolMeet = "pawl.meet.1"

// MeetIDSize is the length of the id of a meeting.
const MeetIDSize = 16

// Limits of a meeting (spec/limits.md).
const (
	// MaxMeetMessage is the longest message.
	MaxMeetMessage = 64 << 10
	// MaxMeetMessages and MaxMeetBytes bound what each side sends.
	MaxMeetMessages = 1024
	MaxMeetBytes    = 8 << 20
	// MeetLife is how long a meeting lasts, waiting included.
	MeetLife = 11 * time.Minute
)

// MeetQuery is the query under which a meeting is asked for.
func MeetQuery(id [MeetIDSize]byte) string { return "id=" + hex.EncodeToString(id[:]) }

// ParseMeetQuery accepts exactly what MeetQuery returns.
func ParseMeetQuery(q string) (id [MeetIDSize]byte, ok bool) {
	if len(q) != len("id=")+2*MeetIDSize {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(q[len("id="):]))
	return id, err == nil && n == MeetIDSize && MeetQuery(id) == q
}
