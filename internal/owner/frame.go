package owner

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/codec"
)

// protocol is the version of the local protocol.
const protocol = 1

// hello is the first frame of a peer.
type hello struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Secret  []byte
}

// welcome is the owner's answer.
type welcome struct {
	_    struct{} `cbor:",toarray"`
	Code uint64
	PID  uint64
}

// What a request asks for.
const (
	askCall   = 1
	askStream = 2
	askCancel = 3 // of the request with the same id
)

// request is a frame from a peer.
type request struct {
	_      struct{} `cbor:",toarray"`
	ID     uint64
	Ask    uint64
	Method string
	Body   []byte
}

// answer is a frame to a peer. A call gets one, with Last; a stream any number
// without Last and then one with it.
type answer struct {
	_    struct{} `cbor:",toarray"`
	ID   uint64
	Code uint64
	Body []byte
	Last bool
}

// Codes of answers and welcomes. FirstCode and above are Failures.
const (
	codeOK       = 0
	codeClosing  = 1
	codeInternal = 2
	codeTooLarge = 3
	codeRefused  = 4
	codeVersion  = 5
	codeCanceled = 6
)

// ErrFrame: the other side does not speak this protocol. Its connection ends, so
// callers see ErrOwnerGone instead.
var ErrFrame = errors.New("owner: not a frame of the local protocol")

func parseHello(b []byte) (hello, error) {
	var h hello
	if codec.Unmarshal(b, maxHello, &h) != nil || len(h.Secret) > MaxSecret {
		return hello{}, ErrFrame
	}
	return h, nil
}

func parseRequest(b []byte) (request, error) {
	// R-OWN-04
	var r request
	if codec.Unmarshal(b, MaxFrame, &r) != nil {
		return request{}, ErrFrame
	}
	ok := len(r.Method) <= MaxMethod && len(r.Body) <= MaxBody && utf8.ValidString(r.Method)
	switch r.Ask {
	case askCall, askStream:
		ok = ok && r.Method != ""
	case askCancel:
		ok = ok && r.Method == "" && len(r.Body) == 0
	default:
		ok = false
	}
	if !ok {
		return request{}, ErrFrame
	}
	return r, nil
}

func parseAnswer(b []byte) (answer, error) {
	// R-OWN-04
	var a answer
	if codec.Unmarshal(b, MaxFrame, &a) != nil || len(a.Body) > MaxBody || !a.Last && a.Code != codeOK {
		return answer{}, ErrFrame
	}
	return a, nil
}

// appendFrame encodes v with its length in front.
func appendFrame(v any) []byte {
	b := codec.Marshal(v)
	f := make([]byte, 4, 4+len(b))
	binary.BigEndian.PutUint32(f, uint32(len(b)))
	return append(f, b...)
}

// readFrame reads one frame of at most limit bytes. started is called after
// the first byte. Memory grows with what has arrived, not with what a length
// prefix promises. A connection that ends between two frames is io.EOF.
func readFrame(r io.Reader, limit int, started func()) ([]byte, error) {
	// R-OWN-04
	var head [4]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	started()
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, unexpected(err)
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n == 0 || n > int64(limit) {
		return nil, ErrFrame
	}
	b := make([]byte, 0, min(n, chunk))
	for int64(len(b)) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*int64(cap(b)))), b...)
		}
		m := len(b)
		b = b[:cap(b)]
		if _, err := io.ReadFull(r, b[m:]); err != nil {
			return nil, unexpected(err)
		}
	}
	return b, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseWelcome(b []byte) (welcome, error) {
	var w welcome
	if codec.Unmarshal(b, maxHello, &w) != nil || w.PID > 1<<31 {
		return welcome{}, ErrFrame
	}
	return w, nil
}
