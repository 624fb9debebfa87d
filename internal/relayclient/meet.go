package relayclient

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/pawl-chat/pawl/internal/relay"
)

// Meet connects to whoever asks the server for the same id, before or after
// (R-LNK-13). What is written waits until the other one is there. Nothing
// tells who that is, and the server may be anybody: the two must know each other
// by what they say. A write is at most relay.MaxMeetMessage long. The
// connection ends with life.
func Meet(ctx, life context.Context, t Target, id [relay.MeetIDSize]byte) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	ws, resp, err := websocket.Dial(ctx, t.url(relay.PathMeet)+"?"+relay.MeetQuery(id), &websocket.DialOptions{
		HTTPClient:      onConn(raw),
		Subprotocols:    []string{relay.SubprotocolMeet},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		raw.Close()
		if resp != nil {
			for _, c := range []relay.Code{relay.Conflict, relay.RateLimited, relay.Unavailable} {
				if resp.StatusCode == c.HTTPStatus() {
					return nil, relay.Refuse(c)
				}
			}
			if resp.StatusCode == http.StatusNotFound {
				return nil, fmt.Errorf("%w for this: it does not let devices meet", ErrUnreachable)
			}
		}
		return nil, unreachable(ctx, err)
	}
	if ws.Subprotocol() != relay.SubprotocolMeet {
		ws.CloseNow()
		return nil, ErrProtocol
	}
	ws.SetReadLimit(relay.MaxMeetMessage)
	return websocket.NetConn(life, ws, websocket.MessageBinary), nil
}
