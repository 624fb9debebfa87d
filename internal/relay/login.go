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

// LoginMessage returns the bytes that a device signs with its signing key to
// log in (R-REL-08): it binds the server's name, so that one server cannot use
// a login at another, and fresh values of both sides.
func LoginMessage(host string, server, client *[NonceSize]byte, user string, device address.Device) []byte {
	return codec.Marshal(struct {
		_      struct{} `cbor:",toarray"`
		Label  string
		Host   string
		Server [NonceSize]byte
		Client [NonceSize]byte
		User   string
		Device address.Device
	}{Label: LabelLogin, Host: host, Server: *server, Client: *client, User: user, Device: device})
}
