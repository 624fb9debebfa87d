// Package braid lets two sides that write to each other agree, again and again,
// on secrets that a quantum computer does not find: ML-KEM-768 cut into pieces
// that ride in the padding of ordinary messages, in the manner of the published
// ML-KEM Braid (Signal, "The ML-KEM Braid Protocol").
//
// It implements spec/braid.md; requirement ids (R-BRD-nn) stand where the code
// meets them. Start with [Start], then [State.Send] and [State.Receive]. Files:
// exchange.go is the state machine, incremental.go ML-KEM in two steps,
// erasure.go the code that makes any sufficient set of chunks do.
//
// A [State] is a value. Send and Receive leave their receiver alone and return
// the next state, which the caller makes durable in the same transaction as
// what else the step produced, before a piece leaves the device.
//
// Not its concern: what the secrets are mixed into, which messages carry the
// pieces and that those are authenticated and encrypted (package ratchet),
// storage and clocks.
package braid
