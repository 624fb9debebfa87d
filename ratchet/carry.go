package ratchet

import (
	"encoding/binary"

	"github.com/pawl-chat/pawl/internal/braid"
)

// Carrying: how the post-quantum exchange (package internal/braid) rides in
// messages and where its secrets go (spec/ratchet.md, "Epochs" and "Pieces").
//
// Secrets of epochs go into the root key at DH steps, so that each message's
// keys rest on both ratchets and a closed chain is still disclosed by one seed.
// Between the steps they wait in State.waiting.

// pieceLenLen is the length of the field that tells how long a piece is.
const pieceLenLen = 2

// usable is the epoch that a chain begun now rests on: the newest whose secret
// the peer is sure to have (R-RAT-42, R-BRD-12). What this side has completed and
// the peer may not have seen yet has to wait.
func (s *State) usable() uint32 { return max(s.mixed, s.braid.Epoch()-1) }

// upTo lists the secrets that a step towards epoch mixes in, and reports whether
// this side has them all.
func (s *State) upTo(epoch uint32) ([]epochKey, bool) {
	if epoch < s.mixed || epoch-s.mixed > uint32(len(s.waiting)) {
		return nil, false
	}
	return s.waiting[:epoch-s.mixed], true
}

// rest notes that the root key rests on epoch now. The secrets mixed in are gone
// from the state (R-RAT-42).
func (s *State) rest(epoch uint32) {
	if n := epoch - s.mixed; n > 0 {
		s.waiting = append([]epochKey(nil), s.waiting[n:]...)
		s.mixed = epoch
	}
}

// carries reports whether pieces are sent and taken. While too many secrets wait
// they are not: only a peer that makes no DH step when it should gets there, and
// it may stop the healing but not fill the memory (R-RAT-46). Nor are they once
// the header has no room for the next epoch.
func (s *State) carries() bool {
	return len(s.waiting) < MaxWaiting && s.braid.Epoch() <= MaxEpoch
}

// room is how long a piece may be that plaintext carries in its trailing zeros,
// as far as it is of use; 0 if it is too short for any (R-RAT-44).
func (s *State) room(plaintext []byte) int {
	if !s.carries() {
		return 0
	}
	n := 0
	for n < pieceLenLen+braid.MaxPiece && n < len(plaintext) && plaintext[len(plaintext)-1-n] == 0 {
		n++
	}
	if n < pieceLenLen+braid.MinPiece {
		return 0
	}
	return n - pieceLenLen
}

// load puts a piece at the end of body, where there are zeros, and moves s past
// it. It reports whether there was room.
func (s *State) load(body []byte, r *randomness) bool {
	room := s.room(body)
	if room == 0 {
		return false
	}
	sent := s.braid.Send(room, (*[braid.RandomLen]byte)(r[braidAt:]))
	at := len(body) - pieceLenLen
	copy(body[at-len(sent.Piece):], sent.Piece)
	binary.BigEndian.PutUint16(body[at:], uint16(len(sent.Piece)))
	s.braid = sent.Next
	s.wait(&sent.Secret)
	return true
}

// unload takes the piece off the end of an authentic body, leaves zeros in its
// place and hands it to the exchange. If that refuses it, or if it is none, the
// message counts all the same (R-RAT-45): the error says what was wrong with it.
func (s *State) unload(body []byte) error {
	at := len(body) - pieceLenLen
	if at < 0 {
		return braid.ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(body[at:]))
	if n < braid.MinPiece || n > min(at, braid.MaxPiece) {
		return braid.ErrMalformed // it does not say which bytes are the text
	}
	piece := body[at-n:]
	defer clear(piece)
	if !s.carries() {
		return ErrStalled
	}
	got, err := s.braid.Receive(piece[:n])
	if err != nil {
		return err
	}
	s.braid = got.Next
	s.wait(&got.Secret)
	return nil
}

// wait keeps the secret of an epoch until a DH step mixes it in.
func (s *State) wait(secret *braid.Secret) {
	if secret.Epoch == 0 {
		return
	}
	keys := append(make([]epochKey, 0, len(s.waiting)+1), s.waiting...)
	s.waiting = append(keys, secret.Key)
	clear(secret.Key[:])
}
