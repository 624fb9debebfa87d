package server

import (
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/prekeys"
)

// recover answers POST /v1/recover: a device that no list names yet is let in
// by the account key (R-RCV-01).
func (s *Server) recover(w http.ResponseWriter, r *http.Request) {
	resp := relay.RecoverResponse{Body: []byte{}}
	conflict, err := s.readmit(w, r)
	switch {
	case err == nil:
		resp.Body = codec.Marshal(&relay.RegisterResult{Time: s.now().UnixMilli()})
	default:
		io.Copy(io.Discard, io.LimitReader(r.Body, relay.MaxRegister))
		refused := s.refuse("recover", err)
		if refused.Code == relay.Conflict && conflict == nil {
			refused = relay.Refuse(relay.Unavailable) // lost a race again and again
		}
		resp.Code = uint64(refused.Code)
		if b := refused.Body(); b != nil {
			resp.Body = b
		}
		if refused.Code == relay.Conflict {
			resp.Body = codec.Marshal(conflict)
		}
	}
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", relay.ContentType)
	w.WriteHeader(relay.Code(resp.Code).HTTPStatus())
	w.Write(codec.Marshal(&resp)) // an error means that nobody listens
}

func (s *Server) readmit(w http.ResponseWriter, r *http.Request) (*relay.RecoverConflict, error) {
	// R-RCV-03: signatures cost work, so strangers get as many tries as
	// registrations.
	if err := s.limits.register.take(networkOf(r.RemoteAddr), 1, s.now()); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, relay.MaxRegister))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, relay.Refuse(relay.TooLarge)
	case err != nil:
		return nil, relay.ErrMalformed
	}
	var req relay.RecoverRequest
	if err := relay.Decode(body, &req); err != nil {
		return nil, err
	}
	return s.addDevice(&req)
}

// addDevice verifies all that can be verified of a request by itself, so that
// an unknown name and a wrong account key cost and get the same, then appends
// the entry by compare-and-swap together with the device's prekeys.
func (s *Server) addDevice(req *relay.RecoverRequest) (conflict *relay.RecoverConflict, err error) {
	list, err := devicelist.Verify(req.Entry)
	if err != nil {
		return nil, err
	}
	if list.Version < 2 || list.Address.Host() != s.host {
		return nil, relay.ErrMalformed
	}
	device := list.Devices[len(list.Devices)-1]
	upload, err := prekeys.ParseUpload(req.Upload)
	if err != nil {
		return nil, err
	}
	// R-RCV-02: the upload proves possession of the new device's signing key;
	// entries are public, and repeating one with other prekeys must not pass.
	if err := upload.Verify(prekeys.Owner{Account: list.Account, Device: uint64(device.ID)}, device.Sign, s.now()); err != nil {
		return nil, err
	}
	user := list.Address.User()
	changed, err := s.accounts.change(s.store, user, func(a *account, ch *Change) (bool, error) {
		conflict = nil
		if !a.list.Account.Equal(list.Account) {
			return false, relay.Refuse(relay.Unauthorized)
		}
		if a.list.Hash() == devicelist.Hash(req.Entry) {
			// An earlier attempt went through, if it is about this device.
			if p := a.prekeysOf(device.ID); a.isActive(device.ID) && p != nil && p.Digest == upload.Digest() {
				return false, nil
			}
			return false, relay.Refuse(relay.Unauthorized)
		}
		next, err := devicelist.Extend(a.list, req.Entry)
		if err == nil && len(next.Devices) != len(a.list.Devices)+1 {
			return false, relay.ErrMalformed
		}
		if err != nil {
			if refused, _ := refusal(err); refused.Code == relay.Conflict {
				conflict = &relay.RecoverConflict{Version: a.list.Version, Entries: a.after(a.parted(list))}
				return false, refused
			}
			return false, err
		}
		if err := s.limits.listChange.take(user, 1, s.now()); err != nil {
			return false, err
		}
		size := len(req.Entry)
		for _, e := range a.rec.Entries {
			size += len(e)
		}
		if len(a.rec.Entries) >= relay.MaxChain || size > relay.MaxChainBytes {
			return false, relay.Refuse(relay.TooLarge)
		}
		for _, d := range a.list.Active() {
			if now, _ := next.Device(d.ID); now.Status != devicelist.Active {
				ch.Removed = append(ch.Removed, d.ID)
			}
		}
		a.rec.Entries = append(a.rec.Entries, req.Entry)
		a.rec.Devices = slices.DeleteFunc(a.rec.Devices, func(p devicePrekeys) bool {
			return slices.Contains(ch.Removed, p.Device)
		})
		a.rec.Devices = append(a.rec.Devices, prekeysRow(device.ID, &upload))
		ch.OneTime = oneTimeSets(device.ID, &upload)
		a.list = next
		return true, nil
	})
	if errors.Is(err, ErrNotFound) {
		err = relay.Refuse(relay.Unauthorized) // R-RCV-03
	}
	if err != nil {
		return conflict, err
	}
	s.log.Info("device added by the account key")
	return nil, s.cutOff(changed, Device{})
}

// parted is the version from which the requester lacks entries: that of its
// entry or, when its entry follows another one than the list has before it,
// the first (R-RCV-05).
func (a *account) parted(l devicelist.List) uint64 {
	before := l.Version - 1 // at least 1
	if before <= uint64(len(a.rec.Entries)) && devicelist.Hash(a.rec.Entries[before-1]) != l.Prev {
		return 1
	}
	return l.Version
}

// after returns a page of the entries from a version on.
func (a *account) after(version uint64) [][]byte {
	entries := [][]byte{}
	size := 0
	for i := version - 1; i < uint64(len(a.rec.Entries)); i++ {
		e := a.rec.Entries[i]
		if size += len(e); size > relay.MaxPage {
			break
		}
		entries = append(entries, e)
	}
	return entries
}
