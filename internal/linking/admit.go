package linking

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
)

// Draft is the next version of an account's list with the new device in it, as
// the old device is to sign it. Keys come from the offer, which the URI vouches
// for; whatever else the new device says is checked by signing (R-LNK-09).
func Draft(list devicelist.List, o Offer, j Join, now time.Time) (devicelist.List, error) {
	if _, taken := list.Device(j.Device); taken || j.Device == 0 {
		return devicelist.List{}, ErrDevice
	}
	next := list.Next(now)
	if j.Replaces != 0 {
		i := slices.IndexFunc(next.Devices, func(d devicelist.Device) bool { return d.ID == j.Replaces })
		// R-LNK-15: only who holds a device's key has it replaced.
		if i < 0 || !ed25519.Verify(next.Devices[i].Sign, replaceMessage(o.hash, j.Replaces, j.Device), j.ReplaceProof) {
			return devicelist.List{}, ErrDevice
		}
		next.Devices[i].Status = devicelist.Revoked
	}
	next.Devices = append(next.Devices, devicelist.Device{
		ID: j.Device, Sign: o.Sign, DH: o.DH, Name: j.Name, Status: devicelist.Active, AddedAt: next.Time, Caps: j.Caps, Proof: j.Proof,
	})
	return next, nil
}

// Sign signs a draft and tells a full account from a device that lies.
func Sign(draft devicelist.List, account ed25519.PrivateKey) ([]byte, error) {
	entry, err := devicelist.Sign(draft, account)
	switch {
	case err == nil:
		return entry, nil
	case errors.Is(err, devicelist.ErrLimit):
		return nil, ErrFull
	}
	return nil, ErrDevice
}

// replaceMessage is what a device's key signs to be replaced by another: the
// offer names the one attempt that it is good for.
func replaceMessage(offer [32]byte, old, next address.Device) []byte {
	b := append([]byte(labelReplace), offer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(old))
	return binary.BigEndian.AppendUint64(b, uint64(next))
}

// Join makes the new device's part for an account. caps may be nil.
func (w *Waiting) Join(list devicelist.List, id address.Device, name string, caps []uint64) Join {
	d := w.device(list, id, name)
	return Join{Device: id, Name: name, Proof: d.Proof, Caps: caps}
}

// Replace adds to a join that the device of that id, whose key is given, is to
// be revoked.
func (w *Waiting) Replace(j *Join, old address.Device, key ed25519.PrivateKey) {
	j.Replaces, j.ReplaceProof = old, ed25519.Sign(key, replaceMessage(w.parsed.hash, old, j.Device))
}

func (w *Waiting) device(list devicelist.List, id address.Device, name string) devicelist.Device {
	return devicelist.NewDevice(list.Account, list.Address, id, w.Sign, w.parsed.DH, name, time.Unix(0, 0))
}

// Accept checks what the old device sent: entries that extend the list of its
// hello, signed by the account's key, the last of which adds this device and
// no other. It returns that list and the entries before the last, which the
// server is to have already (R-LNK-10).
func (w *Waiting) Accept(list devicelist.List, e Entry, j Join) (devicelist.List, error) {
	var err error
	for _, lacking := range e.Lacking {
		if list, err = devicelist.Extend(list, lacking); err != nil {
			return list, ErrEntry
		}
	}
	next, err := devicelist.Extend(list, e.Entry)
	if err != nil || len(next.Devices) != len(list.Devices)+1 {
		return list, ErrEntry
	}
	d := next.Devices[len(next.Devices)-1]
	if d.ID != j.Device || !d.Sign.Equal(w.parsed.Sign) || d.DH != w.parsed.DH || !bytes.Equal(d.Proof, j.Proof) ||
		!slices.Equal(d.Caps, j.Caps) || d.Status != devicelist.Active {
		return list, ErrEntry
	}
	return next, nil
}
