//go:build unix

package owner

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

type vector struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Reason  string `json:"reason,omitempty"`
	CDDL    string `json:"cddl"`
	Encoded string `json:"encoded"`
	Refuses bool   `json:"cddl_refuses,omitempty"`
}

// parse is the decoder of a rule.
func parse(rule string, b []byte) (v any, err error) {
	switch rule {
	case "owner-hello":
		v, err = parseHello(b)
	case "owner-welcome":
		v, err = parseWelcome(b)
	case "owner-request":
		v, err = parseRequest(b)
	case "owner-answer":
		v, err = parseAnswer(b)
	}
	return v, err
}

func vectors() []vector {
	good := func(name, rule string, v any) vector {
		return vector{Name: name, Kind: "positive", CDDL: rule, Encoded: hex.EncodeToString(codec.Marshal(v))}
	}
	bad := func(name, rule string, v any, refuses bool) vector {
		return vector{name, "negative", "ErrFrame", rule, hex.EncodeToString(codec.Marshal(v)), refuses}
	}
	return []vector{
		good("hello without a secret", "owner-hello", &hello{Version: 1, Secret: []byte{}}),
		good("hello with a secret", "owner-hello", &hello{Version: 1, Secret: []byte("geheim")}),
		bad("hello with a long secret", "owner-hello", &hello{Version: 1, Secret: make([]byte, MaxSecret+1)}, false),
		good("welcome", "owner-welcome", &welcome{PID: 4711}),
		good("secret refused", "owner-welcome", &welcome{Code: codeRefused, PID: 4711}),
		bad("process id too high", "owner-welcome", &welcome{PID: 1 << 40}, false),
		good("call", "owner-request", &request{ID: 1, Ask: askCall, Method: "send", Body: []byte{1, 2}}),
		good("stream", "owner-request", &request{ID: 1, Ask: askStream, Method: "follow", Body: []byte{}}),
		good("cancel", "owner-request", &request{ID: 1, Ask: askCancel, Body: []byte{}}),
		bad("unknown ask", "owner-request", &request{ID: 1, Ask: 4, Method: "send", Body: []byte{}}, true),
		bad("call without a method", "owner-request", &request{ID: 1, Ask: askCall, Body: []byte{}}, false),
		bad("cancel with a body", "owner-request", &request{ID: 1, Ask: askCancel, Body: []byte{1}}, false),
		good("item of a stream", "owner-answer", &answer{ID: 1, Body: []byte("item")}),
		good("last answer", "owner-answer", &answer{ID: 1, Body: []byte{}, Last: true}),
		good("failure", "owner-answer", &answer{ID: 1, Code: FirstCode, Body: []byte("why"), Last: true}),
		bad("failure that is not the last", "owner-answer", &answer{ID: 1, Code: FirstCode, Body: []byte{}}, false),
	}
}

func TestVectors(t *testing.T) {
	list := vectors()
	vectorfile.Pin(t, "../../spec/vectors/owner.json", map[string]any{"area": "owner", "vectors": list})
	for _, v := range list {
		b, err := hex.DecodeString(v.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(v.CDDL, b); v.Kind == "positive" && err != nil || v.Kind == "negative" && !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
