package lab

import (
	"crypto/ed25519"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/prekeys"
)

// kit is what a new device makes for itself: long-term keys and prekeys, two
// hundred of them. It is most of the cost of a short run.
type kit struct {
	id       address.Device
	sign     ed25519.PrivateKey
	identity dh.PrivateKey
	upload   prekeys.Upload
	private  []prekeys.Private
}

// kits keeps what was made, so that many runs in one process can begin with
// the same people. Runs that share nothing have a nil one.
type kits struct {
	accounts map[string]ed25519.PrivateKey
	devices  map[string]kit
}

func newKits() *kits {
	return &kits{accounts: map[string]ed25519.PrivateKey{}, devices: map[string]kit{}}
}

// account makes the account key of a person, or gives the one made before.
func (k *kits) account(name string) (ed25519.PrivateKey, error) {
	if k != nil && k.accounts[name] != nil {
		return k.accounts[name], nil
	}
	_, account, err := ed25519.GenerateKey(nil)
	if k != nil && err == nil {
		k.accounts[name] = account
	}
	return account, err
}

// kit makes what the device called name of p has when it begins. Ids are as
// devices draw them, but from the seed.
func (w *world) kit(p *person, name string) (kit, error) {
	id := address.Device(w.random.Uint64() | 1)
	if w.kits != nil && w.now.Equal(began) {
		if made, ok := w.kits.devices[name]; ok {
			return made, nil
		}
	}
	_, sign, err := ed25519.GenerateKey(nil)
	if err != nil {
		return kit{}, err
	}
	k := kit{id: id, sign: sign}
	k.identity, _ = dh.Generate()
	owner := prekeys.Owner{Account: p.account.Public().(ed25519.PublicKey), Device: uint64(id)}
	k.upload, k.private = prekeys.Generate(w.now, owner, sign)
	if w.kits != nil && w.now.Equal(began) {
		w.kits.devices[name] = k
	}
	return k, nil
}
