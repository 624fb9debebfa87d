package relayclient

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
)

// Recover adds a device to an account by an entry of its device list, without
// a login (R-RCV-01). It may be repeated. When the list has moved on, the error
// is relay.Conflict and lacking are entries that follow the requester's chain,
// as the server says: to be verified like any other.
func Recover(ctx context.Context, t Target, r relay.RecoverRequest) (lacking [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body := codec.Marshal(r)
	if len(body) > relay.MaxRegister {
		return nil, relay.Refuse(relay.TooLarge)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url(relay.PathRecover), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: its name is malformed", ErrUnreachable)
	}
	req.Header.Set("Content-Type", relay.ContentType)
	answer, err := t.roundTrip(ctx, req, relay.MaxRecoverAnswer+64)
	if err != nil {
		return nil, err
	}
	var resp relay.RecoverResponse
	if relay.Decode(answer, &resp) != nil {
		return nil, ErrProtocol
	}
	switch relay.Code(resp.Code) {
	case relay.OK:
		var result relay.RegisterResult
		if relay.Decode(resp.Body, &result) != nil {
			return nil, ErrProtocol
		}
		return nil, nil
	case relay.Conflict:
		var c relay.RecoverConflict
		if relay.Decode(resp.Body, &c) != nil {
			return nil, ErrProtocol
		}
		return c.Entries, &relay.Error{Code: relay.Conflict, Version: c.Version}
	}
	return nil, relay.ParseError(resp.Code, resp.Body)
}
