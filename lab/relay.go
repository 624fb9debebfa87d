package lab

import (
	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/prekeys"
)

// relay is the server in between: what it stores and how it misbehaves. It
// sees every letter and no key.
type relay struct {
	directory map[string]*person // whom it shows for an address
	stock     map[peer]*stock
	views     map[view]*person // whom it shows somebody else than others
	frozen    map[view]int     // device lists of which it shows, to one or to all, that many entries
	noOneTime map[peer]bool    // devices whose one-time prekeys it withholds
	forged    map[peer]*device
	logs      map[groups.ID]*logbook
}

// stock is what a device has uploaded and nobody has taken.
type stock struct {
	signed, lastResort []byte
	ec, kem            [][]byte
}

func newRelay() relay {
	return relay{
		directory: map[string]*person{}, stock: map[peer]*stock{}, views: map[view]*person{}, frozen: map[view]int{},
		noOneTime: map[peer]bool{}, forged: map[peer]*device{}, logs: map[groups.ID]*logbook{},
	}
}

func (r *relay) log(g groups.ID) *logbook { return r.logs[g] }

func (r *relay) upload(p peer, u *prekeys.Upload) {
	s := r.stock[p]
	if s == nil {
		s = &stock{}
		r.stock[p] = s
	}
	s.signed, s.lastResort = u.Signed, u.LastResort
	if len(u.OneTimeEC) > 0 || len(u.OneTimeKEM) > 0 {
		s.ec, s.kem = u.OneTimeEC, u.OneTimeKEM
	}
}

// view is what the relay shows of an address to somebody; to everybody if by is
// empty.
type view struct{ by, of string }

// account returns the device list's history as the relay shows it to d.
func (r *relay) account(d *device, address string) [][]byte {
	p, ok := r.directory[address]
	if !ok {
		return nil
	}
	own := view{d.own.Address, address}
	if stand := r.views[own]; stand != nil && !d.person.false {
		p = stand
	}
	entries := p.entries
	for _, v := range []view{{"", address}, own} {
		if n, ok := r.frozen[v]; ok && n < len(entries) {
			entries = entries[:n]
		}
	}
	return entries
}

// bundle hands out prekeys of a device, each one-time key once.
func (r *relay) bundle(p peer) []byte {
	if d := r.forged[p]; d != nil {
		p = d.peer()
	}
	s := r.stock[p]
	if s == nil {
		return nil
	}
	var ec, kem []byte
	if !r.noOneTime[p] {
		if len(s.ec) > 0 {
			ec, s.ec = s.ec[0], s.ec[1:]
		}
		if len(s.kem) > 0 {
			kem, s.kem = s.kem[0], s.kem[1:]
		}
	}
	return prekeys.AssembleBundle(s.signed, s.lastResort, ec, kem)
}
