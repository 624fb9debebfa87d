package server

import (
	"context"
	"errors"
	"time"

	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/relay"
	"github.com/pawl-chat/pawl/prekeys"
)

// refusal maps an error to what the requester is told: the one table of wire
// codes (R-REL-26). known is false for what no row names, which is a defect or
// a broken store and worth a log line.
func refusal(err error) (refused *relay.Error, known bool) {
	if errors.As(err, &refused) {
		return refused, true
	}
	for _, row := range [...]struct {
		err   error
		code  relay.Code
		retry time.Duration
	}{
		{relay.ErrMalformed, relay.BadRequest, 0},
		{ErrNotFound, relay.NotFound, 0},
		{ErrExists, relay.Exists, 0},
		{ErrConflict, relay.Conflict, 0},
		{ErrInvite, relay.InviteInvalid, 0},
		{ErrFull, relay.MailboxFull, 0},
		{ErrRemoved, relay.Stale, 0},
		{ErrTooLarge, relay.TooLarge, 0},
		{ErrInvalid, relay.BadRequest, 0},
		{ErrBusy, relay.Unavailable, time.Second},
		{ErrDiskFull, relay.Unavailable, 30 * time.Second},
		{ErrClosed, relay.Unavailable, 5 * time.Second},
		{context.Canceled, relay.Unavailable, 5 * time.Second},
		{context.DeadlineExceeded, relay.Unavailable, 5 * time.Second},
		{devicelist.ErrRollback, relay.Conflict, 0},
		{devicelist.ErrFork, relay.Conflict, 0},
		{devicelist.ErrNotExtending, relay.Conflict, 0},
		{devicelist.ErrLimit, relay.TooLarge, 0},
		{devicelist.ErrMalformed, relay.BadRequest, 0},
		{devicelist.ErrKey, relay.BadRequest, 0},
		{devicelist.ErrSignature, relay.BadRequest, 0},
		{devicelist.ErrProof, relay.BadRequest, 0},
		{devicelist.ErrAccount, relay.BadRequest, 0},
		{devicelist.ErrAddress, relay.BadRequest, 0},
		{devicelist.ErrTime, relay.BadRequest, 0},
		{prekeys.ErrLimit, relay.TooLarge, 0},
		{prekeys.ErrMalformed, relay.BadRequest, 0},
		{prekeys.ErrKey, relay.BadRequest, 0},
		{prekeys.ErrKind, relay.BadRequest, 0},
		{prekeys.ErrSignature, relay.BadRequest, 0},
		{prekeys.ErrExpired, relay.BadRequest, 0},
		{prekeys.ErrLifetime, relay.BadRequest, 0},
		{prekeys.ErrOwner, relay.BadRequest, 0},
	} {
		if errors.Is(err, row.err) {
			return &relay.Error{Code: row.code, RetryAfter: row.retry}, true
		}
	}
	return relay.Refuse(relay.Internal), false
}

// refuse is refusal with the log line. what names the operation.
func (s *Server) refuse(what string, err error) *relay.Error {
	refused, known := refusal(err)
	switch {
	case !known:
		s.log.Error("request failed", "op", what, "err", describe(err))
	case errors.Is(err, ErrDiskFull) || errors.Is(err, ErrBusy):
		s.log.Warn("store refuses", "op", what, "err", describe(err))
	}
	return refused
}
