package server

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/internal/relay/link"
)

// notice builds a frame that nobody answers.
func notice(op relay.Op, m relay.Message) relay.Frame {
	return relay.Frame{Kind: uint64(op), Body: codec.Marshal(m)}
}

// logIn takes a connection's first request. It runs in the reader: nothing else
// is read until the device is known.
func (c *conn) logIn(f relay.Frame) error {
	if relay.Op(f.Kind) != relay.OpLogin {
		return link.ErrProtocol
	}
	var req relay.LoginRequest
	if relay.Decode(f.Body, &req) != nil {
		return link.ErrProtocol
	}
	dev := Device{User: req.User, ID: req.Device}
	if err := c.s.proven(c.ctx, &req, &c.nonce); err != nil {
		c.link.Send(response(f.ID, nil, c.s.refuse("login", err)))
		c.link.Close(relay.CloseUnauthorized)
		return link.ErrClosed
	}
	// R-REL-33, R-REL-34: before anything of the device is touched, the mailbox
	// or the connection it has, the state must prove to be its latest. To is
	// durable before the device hears of it.
	if err := c.s.conf.Directory.AdvanceEpoch(c.ctx, dev, Epoch(req.From), Epoch(req.To)); err != nil {
		refused := relay.Refuse(relay.RolledBack)
		if !errors.Is(err, ErrConflict) {
			refused = c.s.refuse("advance an epoch", err)
		} else {
			c.s.log.Warn("a login came with an epoch that is not the device's")
		}
		c.link.Send(response(f.ID, nil, refused))
		c.link.Close(relay.CloseUnauthorized)
		return link.ErrClosed
	}
	c.login.Stop()
	c.dev = dev
	c.s.conns.own(c)
	// A revocation closes the connection it finds; one that came before this
	// connection could be found shows in the account.
	if a, err := c.s.accounts.recent(c.ctx, dev.User); err != nil || !a.isActive(dev.ID) {
		c.link.Send(response(f.ID, nil, relay.Refuse(relay.Unauthorized)))
		c.link.Close(relay.CloseUnauthorized)
		return link.ErrClosed
	}
	c.link.Trust()
	result := relay.LoginResult{Time: c.s.now().UnixMilli()}
	if err := c.link.Send(response(f.ID, codec.Marshal(&result), nil)); err != nil {
		return err
	}
	c.work.Go(c.pump)
	return nil
}

// proven checks a login (R-REL-08). An unknown user, an unknown or revoked
// device and a wrong key get the same answer after the same work (R-REL-09).
func (s *Server) proven(ctx context.Context, req *relay.LoginRequest, nonce *[relay.NonceSize]byte) error {
	var key ed25519.PublicKey
	a, err := s.accounts.recent(ctx, req.User)
	switch {
	case err == nil:
		if d, ok := a.list.Device(req.Device); ok && d.Status == devicelist.Active {
			key = d.Sign
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	known := key != nil
	if !known {
		key = nobody()
	}
	message := relay.LoginMessage(s.host, nonce, req)
	if !ed25519.Verify(key, message, req.Signature) || !known {
		return relay.Refuse(relay.Unauthorized)
	}
	return nil
}

// nobody is a valid public key that stands in for an unknown device's: the
// Ed25519 base point.
func nobody() ed25519.PublicKey {
	b := [ed25519.PublicKeySize]byte{0x58}
	for i := 1; i < len(b); i++ {
		b[i] = 0x66
	}
	return b[:]
}
