package relayclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// Register creates an account. It is idempotent: repeating a request whose
// answer was lost succeeds and uses an invite once.
func Register(ctx context.Context, t Target, r relay.RegisterRequest) (relay.RegisterResult, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body := codec.Marshal(r)
	if len(body) > relay.MaxRegister {
		return relay.RegisterResult{}, relay.Refuse(relay.TooLarge)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url(relay.PathRegister), bytes.NewReader(body))
	if err != nil {
		return relay.RegisterResult{}, fmt.Errorf("%w: its name is malformed", ErrUnreachable)
	}
	req.Header.Set("Content-Type", relay.ContentType)
	answer, err := t.roundTrip(ctx, req, relay.MaxResponse+64)
	if err != nil {
		return relay.RegisterResult{}, err
	}
	var resp relay.RegisterResponse
	if relay.Decode(answer, &resp) != nil {
		return relay.RegisterResult{}, ErrProtocol
	}
	if resp.Code != uint64(relay.OK) {
		return relay.RegisterResult{}, relay.ParseError(resp.Code, resp.Body)
	}
	var result relay.RegisterResult
	if relay.Decode(resp.Body, &result) != nil {
		return relay.RegisterResult{}, ErrProtocol
	}
	return result, nil
}

// roundTrip sends one request on a connection of its own and reads at most
// limit bytes of answer.
func (t Target) roundTrip(ctx context.Context, req *http.Request, limit int64) ([]byte, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	client := onConn(c)
	defer client.CloseIdleConnections()
	defer c.Close()
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	return answer, nil
}
