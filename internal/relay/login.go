package relay

import (
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// LabelLogin separates a login's signature from every other use of the
// device's key.
const LabelLogin = "pawl/1 relay login"

// NonceSize is the length of both nonces of a login.
const NonceSize = 32

// Epoch is a random value that a device and its server keep alike and that
// changes with every login (R-REL-33): a home that was set back, or one of two
// copies of it, does not have the present one.
type Epoch [16]byte

// LoginMessage returns the bytes that a device signs with its signing key to
// log in (R-REL-08): it binds the server's name, so that one server cannot use
// a login at another, fresh values of both sides, and the epochs. Of l it uses
// all but the signature.
func LoginMessage(host string, server *[NonceSize]byte, l *LoginRequest) []byte {
	return codec.Marshal(struct {
		_      struct{} `cbor:",toarray"`
		Label  string
		Host   string
		Server [NonceSize]byte
		Client [NonceSize]byte
		User   string
		Device address.Device
		From   Epoch
		To     Epoch
	}{
		Label: LabelLogin, Host: host, Server: *server, Client: l.Nonce, User: l.User, Device: l.Device,
		From: l.From, To: l.To,
	})
}
