// Package relay is the vocabulary in which a device and its server talk:
// frames, operations, codes, invite links, the bytes a login signs, and the
// limits both sides hold each other to. It implements spec/relay.md.
//
// A device opens one WebSocket at [PathConnect] over TLS 1.3. Every binary
// WebSocket message is a packet: one or more frames, one after the other.
// A frame with an id above zero is a request or the response to it; a frame
// with id zero is a notice that nobody answers. Registration happens before
// a device has a login, as one POST to [PathRegister].
//
// Not its concern: connections (package relayclient and package server),
// stores, and what is inside an envelope, a device list entry, a prekey upload,
// a bundle or an entry of a group's log. All five are opaque bytes here.
package relay

// Paths of the two things that a server answers (R-REL-01).
const (
	PathRegister = "/v1/register"
	PathConnect  = "/v1/ws"
)

// ContentType is the media type of a registration's body and its answer.
const ContentType = "application/cbor"

// Subprotocol is the WebSocket subprotocol that both sides insist on.
const Subprotocol = "pawl.relay.1"

// Op says what a request asks for or what a notice tells.
type Op uint64

// Operations. Hello, Deliver, Ping and Pong are notices; the rest are requests.
const (
	OpHello         Op = 1 // server: nonce for the login
	OpLogin         Op = 2
	OpAccount       Op = 3
	OpPutDeviceList Op = 4
	OpPutPrekeys    Op = 5
	OpPrekeyStatus  Op = 6
	OpTakeBundle    Op = 7
	OpSend          Op = 8
	OpAck           Op = 9
	OpDeliver       Op = 10 // server: messages from the mailbox
	OpPing          Op = 11 // either side; the other answers with Pong
	OpPong          Op = 12
	OpMailboxEnd    Op = 13 // where the device has caught up
	OpGroupCreate   Op = 14
	OpGroupAppend   Op = 15
	OpGroupRead     Op = 16
	OpGroupSend     Op = 17
)

// Close codes of the WebSocket beside those of RFC 6455 (R-REL-20, R-REL-24).
const (
	CloseGoingAway    = 1001 // the server stops or restarts: come back
	CloseProtocol     = 1002 // what arrived is not this protocol
	CloseReplaced     = 4001 // a newer connection of the same device took over
	CloseUnauthorized = 4002 // the login failed, or the device is no longer listed
	CloseIdle         = 4003 // nothing was heard for too long
	CloseSlow         = 4004 // the peer does not read what it is sent
)
