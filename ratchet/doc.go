// Package ratchet turns a shared 32-byte secret into a conversation whose keys
// are used once and then gone: the Double Ratchet with header encryption, with
// MAC keys on a branch of their own that are disclosed once a chain is closed,
// so that anybody can forge what was said and nobody can prove it.
//
// It implements spec/ratchet.md; requirement ids (R-RAT-nn) stand where the
// code meets them. Start with [Initiate] or [Respond], then [State.Seal] and
// [State.Open].
//
// A [State] is a value. Seal, Open and Expire leave their receiver alone and
// return the next state, which the caller stores in the same transaction as
// what else the step produced: the message to send, or the plaintext received.
// A State may be read from several goroutines, but each state has one
// successor: a caller that keeps two of them has forked the conversation.
//
// Not its concern: who the peer is and how the secret came about (x3dh), which
// of several sessions to use (internal/session), storage, clocks, padding and
// the meaning of plaintext.
package ratchet
