package lab

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/x3dh"
)

// ErrFault: a run found what must never happen, such as a message that opens as
// another text, or records that contradict each other. It is a fault of the
// protocol's code or of the laboratory.
var ErrFault = errors.New("lab: the run went wrong")

// messageTakes is how long the world takes to write one message.
const messageTakes = 10 * time.Second

// began is when every run begins.
var began = time.Unix(1_800_000_000, 0)

// world is people with devices, a relay, a clock and whoever steals. Nothing in
// it happens by itself: a step of a scenario is a call of one of its methods.
type world struct {
	random  *rand.Rand
	now     time.Time
	people  map[string]*person
	devices []*device // in the order they were made; those of the relay's making too
	relay   relay
	trace   *trace
	letters []*letter // all that ever went over the wire, in order
	sent    int       // messages people wrote
	written map[int]*text
	loots   []*loot
	kits    *kits
	counts  counts
	events  int // letters opened
	backups map[string]backup
	lists   map[key]devicelist.List // verified, by the hash of their history
	groups  map[string]groups.ID    // by name
	made    []groups.ID             // in order
	entries []*entry                // of all groups' logs, as they were placed
	journal *journal                // of a run that is recorded
}

// backup is a copy of a disk that somebody may go back to.
type backup struct {
	of *device
	disk
}

// text is one message as its writer means it.
type text struct {
	from, to string // the writing device, the person
	at       time.Time
	body     []byte
}

// counts is what happened in a run.
type counts struct {
	opened, unsent, injected, accepted int
	found                              int // lies that somebody found out
	refused                            map[string]int
}

// person is an account.
type person struct {
	name    string
	addr    address.Address
	account ed25519.PrivateKey
	entries [][]byte // the device list's history, as the person made it
	list    devicelist.List
	devices []*device
	false   bool // made by the relay to stand in for somebody
}

// peer names a device in the protocol.
type peer struct {
	address string
	device  uint64
}

func newWorld(seed uint64, k *kits) *world {
	return &world{
		kits: k, random: rand.New(rand.NewPCG(seed, 0x1ab)), now: began, people: map[string]*person{}, relay: newRelay(), trace: newTrace(),
		written: map[int]*text{}, backups: map[string]backup{}, lists: map[key]devicelist.List{}, groups: map[string]groups.ID{}, counts: counts{refused: map[string]int{}},
	}
}

// join adds a person with one device.
func (w *world) join(user string, stand bool) (*person, error) {
	addr, err := address.New(user, "lab.example")
	if err != nil {
		return nil, err
	}
	p := &person{name: user, addr: addr, false: stand}
	if stand {
		user = "relay as " + user
	}
	if p.account, err = w.kits.account(user); err != nil {
		return nil, err
	}
	if _, err := w.link(p); err != nil {
		return nil, err
	}
	return p, nil
}

// link adds a device to an account; its first one makes the account's list.
func (w *world) link(p *person) (*device, error) {
	d := &device{person: p, name: p.name, number: len(p.devices) + 1, wrote: map[string]bool{}}
	if d.number > 1 {
		d.name += "/" + strconv.Itoa(d.number)
	}
	if p.false {
		d.name = "relay as " + d.name
	}
	key := p.account.Public().(ed25519.PublicKey)
	k, err := w.kit(p, d.name)
	if err != nil {
		return nil, err
	}
	d.own = x3dh.Own{IdentityKey: k.identity, Party: x3dh.Party{Account: key, Address: p.addr.String(), Device: uint64(k.id), Identity: k.identity.Public()}}
	d.disk = newDisk(d.own.Party, k.sign)
	entry := devicelist.NewDevice(key, p.addr, k.id, k.sign, d.own.Identity, d.name, w.now)
	draft := devicelist.First(key, p.addr, entry, w.now)
	if d.number > 1 {
		draft = p.list.Next(w.now)
		draft.Devices = append(draft.Devices, entry)
	}
	if err := p.publish(draft); err != nil {
		return nil, err
	}
	p.devices = append(p.devices, d)
	w.devices = append(w.devices, d)
	w.journal.device(d)
	w.relay.directory[p.addr.String()] = p
	d.disk.identity = d.own.IdentityKey.Export()
	return d, w.upload(d, k.upload, k.private)
}

// publish signs the next version of the person's device list.
func (p *person) publish(draft devicelist.List) error {
	entry, err := devicelist.Sign(draft, p.account)
	if err != nil {
		return err
	}
	p.entries = append(slices.Clip(p.entries), entry)
	p.list, err = devicelist.VerifyChain(p.entries)
	return err
}

// revoke takes a device off its account's list.
func (w *world) revoke(d *device) error {
	draft := d.person.list.Next(w.now)
	for i := range draft.Devices {
		if uint64(draft.Devices[i].ID) == d.own.Device {
			draft.Devices[i].Status = devicelist.Revoked
		}
	}
	d.revoked = true
	return d.person.publish(draft)
}

// device finds a device by its name: alice, or alice/2 for her second.
func (w *world) device(s string) (*device, error) {
	user, number, more := strings.Cut(s, "/")
	n := 1
	if more {
		var err error
		if n, err = strconv.Atoi(number); err != nil {
			return nil, fmt.Errorf("%w: no device %q", ErrScenario, s)
		}
	}
	p, ok := w.people[user]
	if !ok || n < 1 || n > len(p.devices) {
		return nil, fmt.Errorf("%w: no device %q", ErrScenario, s)
	}
	return p.devices[n-1], nil
}

// find finds a device by its name in the protocol.
func (w *world) find(p peer) *device {
	for _, d := range w.devices {
		if d.peer() == p {
			return d
		}
	}
	return nil
}

// wait lets time pass: sessions and skipped keys age, prekeys are rotated and
// erased, all as the packages plan it.
func (w *world) wait(span time.Duration) error {
	// In steps, so that what is due every two days happens every two days.
	for span > 0 {
		step := min(span, 24*time.Hour)
		span -= step
		w.now = w.now.Add(step)
		for _, d := range w.devices {
			if err := w.tick(d); err != nil {
				return err
			}
		}
	}
	return nil
}
