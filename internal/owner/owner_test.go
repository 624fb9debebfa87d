//go:build unix

package owner

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// echo answers with what it got.
type echo struct{ served atomic.Int64 }

func (e *echo) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	e.served.Add(1)
	switch method {
	case "echo":
		return body, nil
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "fail":
		return nil, &Failure{Code: 77, Body: body}
	}
	return nil, errors.New("an error with a secret in it")
}

func (e *echo) Stream(ctx context.Context, method string, body []byte, send func([]byte) error) error {
	for {
		if err := send(body); err != nil {
			return err
		}
		if method == "once" {
			return nil
		}
	}
}

func TestR_OWN_01_FiftyAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	var owners atomic.Int64
	for range 50 {
		wg.Go(func() {
			for {
				r, err := Acquire(t.Context(), dir)
				if err != nil {
					t.Error(err)
					return
				}
				switch r := r.(type) {
				case *Owner:
					if owners.Add(1) != 1 {
						t.Error("two owners at once")
					}
					if err := r.Serve(&echo{}, nil); err != nil {
						t.Error(err)
					}
					r.Stop()
					owners.Add(-1)
					r.Close()
					return
				case *Peer:
					b, err := r.Call(t.Context(), "echo", []byte("hello"))
					r.Close()
					if errors.Is(err, ErrOwnerGone) {
						continue
					}
					if err != nil || !bytes.Equal(b, []byte("hello")) {
						t.Errorf("%q, %v", b, err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
}
