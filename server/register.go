package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"

	"crypto/sha256"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/prekeys"
)

// register answers POST /v1/register.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	resp := relay.RegisterResponse{Body: []byte{}}
	result, err := s.newAccount(w, r)
	if err != nil {
		// A client that is still writing when the connection closes may never
		// read the answer; so what it has to say is heard, up to the limit.
		io.Copy(io.Discard, io.LimitReader(r.Body, relay.MaxRegister))
		refused := s.refuse("register", err)
		resp.Code = uint64(refused.Code)
		if b := refused.Body(); b != nil {
			resp.Body = b
		}
	} else {
		resp.Body = codec.Marshal(&result)
	}
	// A connection carries one registration.
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", relay.ContentType)
	w.WriteHeader(relay.Code(resp.Code).HTTPStatus())
	w.Write(codec.Marshal(&resp)) // an error means that nobody listens
}

func (s *Server) newAccount(w http.ResponseWriter, r *http.Request) (result relay.RegisterResult, err error) {
	if err := s.limits.register.take(networkOf(r.RemoteAddr), 1, s.now()); err != nil {
		return result, err
	}
	if s.conf.Registration == NoNew {
		return result, relay.Refuse(relay.Closed)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, relay.MaxRegister))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return result, relay.Refuse(relay.TooLarge)
	case err != nil:
		return result, relay.ErrMalformed
	}
	var req relay.RegisterRequest
	if err := relay.Decode(body, &req); err != nil {
		return result, err
	}
	if err := s.create(s.store, &req); err != nil {
		return result, err
	}
	s.log.Info("account created")
	return relay.RegisterResult{Time: s.now().UnixMilli()}, nil
}

// create verifies a registration and stores all of it or nothing (R-REL-06).
func (s *Server) create(ctx context.Context, req *relay.RegisterRequest) error {
	reg := Registration{Now: s.now()}
	if s.conf.Registration == ByInvite {
		h := InviteHash(relay.TokenHash(req.Invite))
		// Whether the invite is still good is decided below; nothing is verified
		// for those who have none.
		if _, err := s.conf.Directory.Invite(ctx, h); err != nil {
			return err
		}
		reg.Invite = &h
	}
	list, err := devicelist.Verify(req.Entry)
	if err != nil {
		return err
	}
	if list.Version != 1 || len(list.Devices) != 1 || len(list.Active()) != 1 || list.Address.Host() != s.host {
		return relay.ErrMalformed
	}
	device := &list.Devices[0]
	upload, err := prekeys.ParseUpload(req.Upload)
	if err != nil {
		return err
	}
	if err := upload.Verify(prekeys.Owner{Account: list.Account, Device: uint64(device.ID)}, device.Sign, reg.Now); err != nil {
		return err
	}
	reg.User = list.Address.User()
	reg.Record = codec.Marshal(record{
		Entries: [][]byte{req.Entry},
		Devices: []devicePrekeys{prekeysRow(device.ID, &upload)},
	})
	reg.OneTime = oneTimeSets(device.ID, &upload)
	if err := s.conf.Directory.CreateAccount(ctx, reg); err != nil {
		return err
	}
	s.accounts.drop(reg.User)
	return nil
}

func prekeysRow(dev address.Device, u *prekeys.Upload) devicePrekeys {
	return devicePrekeys{Device: dev, Digest: u.Digest(), Signed: u.Signed, LastResort: u.LastResort}
}

// oneTimeSets returns what an upload replaces: both sets or, when it has no
// one-time keys, neither.
func oneTimeSets(dev address.Device, u *prekeys.Upload) []OneTimeSet {
	if len(u.OneTimeEC) == 0 && len(u.OneTimeKEM) == 0 {
		return nil
	}
	digest := u.Digest()
	set := func(kind OneTimeKind, rows [][]byte) OneTimeSet {
		s := OneTimeSet{Device: dev, Kind: kind, Batch: BatchID(digest[:16])}
		for _, row := range rows {
			// Rows are opaque here; the store wants a name for each.
			sum := sha256.Sum256(row)
			s.Keys = append(s.Keys, OneTimeKey{ID: binary.BigEndian.Uint64(sum[:]) | 1, Public: row})
		}
		return s
	}
	return []OneTimeSet{set(OneTimeEC, u.OneTimeEC), set(OneTimeKEM, u.OneTimeKEM)}
}
