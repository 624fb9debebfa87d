package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
)

// meetWrite is what a side of a meeting gets to take one message.
const meetWrite = 30 * time.Second

// meetings are the meetings of devices that have no login yet (R-LNK-13). The
// server joins two connections that name the same id and passes on what they
// say; it keeps nothing of it.
type meetings struct {
	limits *limiters
	max    Limits
	now    func() time.Time

	ctx   context.Context
	end   context.CancelFunc
	alive sync.WaitGroup

	mu      sync.Mutex
	byID    map[[relay.MeetIDSize]byte]*encounter
	seats   map[string]int // by network address
	total   int
	leaving bool
}

// encounter is one meeting: two seats.
type encounter struct {
	id    [relay.MeetIDSize]byte
	ctx   context.Context
	end   context.CancelFunc
	taken int
	left  int
	came  [2]chan *websocket.Conn // filled by the one, read by the other
}

// seat is one side's place in a meeting.
type seat struct {
	at   *encounter
	n    int
	from string
}

func newMeetings(l *limiters, max Limits, now func() time.Time) *meetings {
	m := &meetings{limits: l, max: max, now: now, byID: map[[relay.MeetIDSize]byte]*encounter{}, seats: map[string]int{}}
	m.ctx, m.end = context.WithCancel(context.Background())
	return m
}

// enter takes a seat: the first one opens the meeting, the second one fills it,
// a third one is refused.
func (m *meetings) enter(id [relay.MeetIDSize]byte, from string) (*seat, error) {
	if err := m.limits.meet.take(from, 1, m.now()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leaving || m.total >= m.max.Meetings {
		return nil, relay.Refuse(relay.Unavailable)
	}
	if m.seats[from] >= m.max.MeetingsPerAddress {
		return nil, relay.Refuse(relay.RateLimited)
	}
	e := m.byID[id]
	switch {
	case e == nil:
		e = &encounter{id: id}
		e.ctx, e.end = context.WithTimeout(m.ctx, relay.MeetLife)
		e.came = [2]chan *websocket.Conn{make(chan *websocket.Conn, 1), make(chan *websocket.Conn, 1)}
		m.byID[id] = e
	case e.taken == 2:
		return nil, relay.Refuse(relay.Conflict)
	}
	s := &seat{at: e, n: e.taken, from: from}
	e.taken++
	m.seats[from]++
	m.total++
	m.alive.Add(1)
	return s, nil
}

// leave gives a seat back. The meeting is over for its id: who comes under it
// from now on opens another one.
func (m *meetings) leave(s *seat) {
	m.mu.Lock()
	if m.byID[s.at.id] == s.at {
		delete(m.byID, s.at.id)
	}
	m.total--
	if m.seats[s.from]--; m.seats[s.from] == 0 {
		delete(m.seats, s.from)
	}
	s.at.left++
	last := s.at.left == s.at.taken
	m.mu.Unlock()
	if last {
		s.at.end()
	}
	m.alive.Done()
}

// stop ends all meetings and waits until nobody is left.
func (m *meetings) stop() {
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	m.end()
	m.alive.Wait()
}

// meet turns a request into one side of a meeting.
func (s *Server) meet(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
	}
	id, ok := relay.ParseMeetQuery(r.URL.RawQuery)
	if !ok {
		refuse(http.StatusBadRequest)
		return
	}
	side, err := s.meetings.enter(id, networkOf(r.RemoteAddr))
	if err != nil {
		refuse(s.refuse("meet", err).Code.HTTPStatus())
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:    []string{relay.SubprotocolMeet},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		side.at.end()
		s.meetings.leave(side)
		return // Accept has answered
	}
	if ws.Subprotocol() != relay.SubprotocolMeet {
		ws.CloseNow()
		side.at.end()
		s.meetings.leave(side)
		return
	}
	go func() {
		defer s.meetings.leave(side)
		side.carry(ws)
	}()
}

// carry passes on what comes from one side until either has left, the time is
// over, or too much was said.
func (s *seat) carry(ws *websocket.Conn) {
	defer ws.CloseNow()
	ctx := s.at.ctx
	ws.SetReadLimit(relay.MaxMeetMessage)
	s.at.came[s.n] <- ws // has room for one
	var peer *websocket.Conn
	size := 0
	for range relay.MaxMeetMessages {
		kind, b, err := ws.Read(ctx)
		if err != nil || kind != websocket.MessageBinary {
			break
		}
		if size += len(b); size > relay.MaxMeetBytes {
			break
		}
		if peer == nil {
			select {
			case peer = <-s.at.came[1-s.n]:
			case <-ctx.Done():
				return
			}
		}
		write, cancel := context.WithTimeout(ctx, meetWrite)
		err = peer.Write(write, kind, b)
		cancel()
		if err != nil {
			break
		}
	}
	// The other side is told, after all that was for it; its own reader then
	// ends as well.
	if peer == nil {
		select {
		case peer = <-s.at.came[1-s.n]:
		default:
			s.at.end() // nobody has come, or is just about to
			return
		}
	}
	peer.Close(websocket.StatusNormalClosure, "")
}
