package relayclient_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relayclient"
)

// R-REL-27: whatever a server answers, the caller gets an error it knows.
func TestR_REL_27_RecoverAgainstALiar(t *testing.T) {
	answer := func(code relay.Code, body []byte) []byte {
		return codec.Marshal(&relay.RecoverResponse{Code: uint64(code), Body: body})
	}
	entry := bytes.Repeat([]byte{1}, relay.MaxEntry)
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"nothing":                    {nil, relayclient.ErrProtocol},
		"noise":                      {bytes.Repeat([]byte{0xff}, 2000), relayclient.ErrProtocol},
		"done without a time":        {answer(relay.OK, []byte{}), relayclient.ErrProtocol},
		"a conflict without details": {answer(relay.Conflict, []byte{}), relayclient.ErrProtocol},
		"a conflict without version": {answer(relay.Conflict, codec.Marshal(&relay.RecoverConflict{Entries: [][]byte{{1}}})), relayclient.ErrProtocol},
		"an empty entry":             {answer(relay.Conflict, codec.Marshal(&relay.RecoverConflict{Version: 1, Entries: [][]byte{{}}})), relayclient.ErrProtocol},
		"more than an answer holds":  {bytes.Repeat([]byte{0}, relay.MaxRecoverAnswer+1000), relayclient.ErrProtocol},
		"a code nobody knows":        {answer(99, []byte{}), relay.Internal},
		"a good conflict":            {answer(relay.Conflict, codec.Marshal(&relay.RecoverConflict{Version: 3, Entries: [][]byte{entry, entry}})), relay.Conflict},
	} {
		l := newLiar(t, func(w http.ResponseWriter, r *http.Request) { w.Write(c.body) })
		entries, err := relayclient.Recover(t.Context(), l.target, relay.RecoverRequest{Entry: []byte{1}, Upload: []byte{1}})
		if !errors.Is(err, c.want) || (len(entries) > 0) != (name == "a good conflict") {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
	if _, err := relayclient.Recover(t.Context(), relayclient.Target{Host: "localhost:1"}, relay.RecoverRequest{Upload: make([]byte, relay.MaxRegister)}); !errors.Is(err, relay.TooLarge) {
		t.Errorf("too large a request: %v", err)
	}
}
