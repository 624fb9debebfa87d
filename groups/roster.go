package groups

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Role is what a member may do. Numbers are never reused.
type Role uint8

// Roles. The first is called RoleMember because Member is the type.
const (
	RoleMember Role = 1
	Admin      Role = 2
)

// String names the role.
func (r Role) String() string {
	switch r {
	case RoleMember:
		return "member"
	case Admin:
		return "admin"
	}
	return "unknown"
}

// Member is one person in a group. Devices are no matter of the roster: they
// are those of the person's signed device list, under this account key.
type Member struct {
	Address string // canonical
	Account [32]byte
	Role    Role
	Since   uint64 // the entry that let the member in
}

// Policy is what a group has agreed on beyond roles.
type Policy struct {
	AddByMembers bool // every member may add members
	OpenHistory  bool // who is added is shown what was said before
}

func (p Policy) bits() (b uint64) {
	if p.AddByMembers {
		b |= 1
	}
	if p.OpenHistory {
		b |= 2
	}
	return b
}

func policyOf(b uint64) (Policy, bool) {
	return Policy{AddByMembers: b&1 != 0, OpenHistory: b&2 != 0}, b < 4
}

// Roster is who belongs to a group after an entry of the log: a value. The
// roster before the first entry has nothing but the group's id.
type Roster struct {
	Group      ID
	Name       string
	Seq        uint64 // of the newest entry
	Head       Head   // of the log there
	Epoch      uint64 // from 1
	EpochAt    time.Time
	Commitment [32]byte // to the epoch's secret
	RekeyDue   bool     // somebody has left: whoever sends first begins an epoch
	Policy     Policy
	Members    []Member // ascending by address
}

type rosterWire struct {
	Group      []byte       `cbor:"1,keyasint"`
	Name       string       `cbor:"2,keyasint"`
	Seq        uint64       `cbor:"3,keyasint"`
	Head       []byte       `cbor:"4,keyasint"`
	Epoch      uint64       `cbor:"5,keyasint"`
	EpochAt    uint64       `cbor:"6,keyasint"`
	Commitment []byte       `cbor:"7,keyasint"`
	RekeyDue   bool         `cbor:"8,keyasint,omitempty"`
	Policy     uint64       `cbor:"9,keyasint,omitempty"`
	Members    []memberWire `cbor:"10,keyasint"`
}

// Member returns the member with that address.
func (r Roster) Member(address string) (Member, bool) {
	i, ok := r.find(address)
	if !ok {
		return Member{}, false
	}
	return r.Members[i], true
}

func (r *Roster) find(address string) (int, bool) {
	return slices.BinarySearchFunc(r.Members, address, func(m Member, a string) int { return strings.Compare(m.Address, a) })
}

// Holds reports whether s is the secret of the roster's epoch (R-GRP-20).
func (r Roster) Holds(s Secret) bool {
	return r.Epoch > 0 && s.Commitment(r.Group, r.Epoch) == r.Commitment
}

// Encode returns the canonical encoding (R-GRP-29).
func (r Roster) Encode() []byte {
	w := rosterWire{
		Group: r.Group[:], Name: r.Name, Seq: r.Seq, Head: r.Head[:], Epoch: r.Epoch, EpochAt: uint64(seconds(r.EpochAt)),
		Commitment: r.Commitment[:], RekeyDue: r.RekeyDue, Policy: r.Policy.bits(), Members: make([]memberWire, len(r.Members)),
	}
	for i := range r.Members {
		w.Members[i] = r.Members[i].wire()
	}
	return codec.Marshal(w)
}

// Hash is the hash of everything but Seq and Head (R-GRP-23): what the author of
// an entry says that the entry leads to.
func (r Roster) Hash() [32]byte {
	r.Seq, r.Head = 0, Head{}
	return sha256.Sum256(append([]byte(labelRoster), r.Encode()...))
}

// ParseRoster reads what Encode wrote of a roster after an entry.
func ParseRoster(b []byte) (Roster, error) {
	var w rosterWire
	if codec.Unmarshal(b, MaxRoster, &w) != nil || len(w.Group) != 16 || len(w.Head) != 32 || len(w.Commitment) != 32 || w.EpochAt > maxTime {
		return Roster{}, ErrMalformed
	}
	r := Roster{
		Group: ID(w.Group), Name: w.Name, Seq: w.Seq, Head: Head(w.Head), Epoch: w.Epoch, EpochAt: time.Unix(int64(w.EpochAt), 0).UTC(),
		Commitment: [32]byte(w.Commitment), RekeyDue: w.RekeyDue,
	}
	var ok bool
	if r.Policy, ok = policyOf(w.Policy); !ok || len(w.Members) > MaxMembers {
		return Roster{}, ErrMalformed
	}
	admins := 0
	for i := range w.Members {
		m, err := w.Members[i].member()
		if err != nil || m.Role == 0 || m.Account == [32]byte{} || m.Since == 0 || m.Since > r.Seq ||
			i > 0 && byAddress(r.Members[i-1], m) >= 0 {
			return Roster{}, ErrMalformed
		}
		if m.Role == Admin {
			admins++
		}
		r.Members = append(r.Members, m)
	}
	if r.Group.IsZero() || !ValidName(r.Name) || r.Seq == 0 || r.Seq == math.MaxUint64 || r.Head.IsZero() || r.Epoch == 0 || r.Epoch > r.Seq ||
		admins == 0 && len(r.Members) > 0 {
		return Roster{}, ErrMalformed
	}
	return r, nil
}

// Allows says why author may not make the change now, or nil (R-GRP-24).
func (r Roster) Allows(author string, c Change) error {
	_, err := r.After(author, c, r.EpochAt)
	return err
}

// After is the roster after author's change, by the rules of the group
// (R-GRP-24). Seq and Head are those of r: the change is not placed. After a
// change that begins an epoch, and after Create, the commitment is zero.
func (r Roster) After(author string, c Change, now time.Time) (Roster, error) {
	c = c.canonical()
	if err := c.check(); err != nil {
		return Roster{}, err
	}
	if len(c.encode()) > maxChange {
		return Roster{}, ErrTooLong
	}
	r.Members = slices.Clone(r.Members)
	var err error
	if c.Kind == Create {
		err = r.create(author, &c)
	} else {
		err = r.change(author, &c)
	}
	if err != nil {
		return Roster{}, err
	}
	if c.Kind == Create || c.Kind.Advances() { // R-GRP-25
		if r.Epoch >= math.MaxUint64-1 {
			return Roster{}, ErrFull
		}
		r.Epoch++
		r.EpochAt = time.Unix(seconds(now), 0).UTC()
		r.Commitment = [32]byte{}
		r.RekeyDue = false
	}
	if len(r.Members) > MaxMembers || (c.Kind == Create || c.Kind == Add || c.Kind == Rename) && len(r.Encode()) > maxGrown {
		return Roster{}, ErrFull
	}
	return r, nil
}

// maxGrown is what a roster may grow to: with room below MaxRoster for the
// longest name and for integers that become longer.
const maxGrown = MaxRoster - 512

// create makes the first roster. Its author is one of its admins.
func (r *Roster) create(author string, c *Change) error {
	if r.Seq != 0 || r.Epoch != 0 || len(r.Members) != 0 || r.Group.IsZero() {
		return ErrNotAllowed
	}
	r.Name, r.Policy = c.Name, c.Policy
	r.Members = c.Members
	for i := range r.Members {
		r.Members[i].Since = 1
	}
	if m, ok := r.Member(author); !ok || m.Role != Admin {
		return ErrNotAllowed
	}
	return nil
}

// change makes every other change.
func (r *Roster) change(author string, c *Change) error {
	by, ok := r.Member(author)
	if !ok || r.Seq == 0 {
		return ErrNotMember
	}
	admin := by.Role == Admin
	switch c.Kind {
	case Add:
		for _, m := range c.Members {
			i, already := r.find(m.Address)
			switch {
			case already:
				return ErrAlreadyMember
			case !admin && (!r.Policy.AddByMembers || m.Role != RoleMember):
				return ErrNotAllowed
			}
			m.Since = r.Seq + 1
			r.Members = slices.Insert(r.Members, i, m)
		}
	case Leave:
		r.leave(author)
	case Rekey:
	default:
		if !admin {
			return ErrNotAllowed
		}
		return r.administer(author, c)
	}
	return nil
}

// administer makes the changes that are the admins'.
func (r *Roster) administer(author string, c *Change) error {
	switch c.Kind {
	case Remove:
		for _, m := range c.Members {
			i, ok := r.find(m.Address)
			switch {
			case !ok:
				return ErrNotMember
			case m.Address == author:
				return ErrNotAllowed // that is Leave
			}
			r.Members = slices.Delete(r.Members, i, i+1)
		}
	case SetRole:
		changed := false
		for _, m := range c.Members {
			i, ok := r.find(m.Address)
			if !ok {
				return ErrNotMember
			}
			changed = changed || r.Members[i].Role != m.Role
			r.Members[i].Role = m.Role
		}
		switch {
		case !changed:
			return ErrNothing
		case !r.hasAdmin():
			return ErrLastAdmin
		}
	case Rename:
		if r.Name == c.Name {
			return ErrNothing
		}
		r.Name = c.Name
	case SetPolicy:
		if r.Policy == c.Policy {
			return ErrNothing
		}
		r.Policy = c.Policy
	}
	return nil
}

// leave takes the author out. When no admin is left, the member who has been in
// the group for longest becomes one; of several, the first by address.
func (r *Roster) leave(author string) {
	i, _ := r.find(author)
	r.Members = slices.Delete(r.Members, i, i+1)
	r.RekeyDue = true
	if len(r.Members) == 0 || r.hasAdmin() {
		return
	}
	oldest := 0
	for i := range r.Members {
		if r.Members[i].Since < r.Members[oldest].Since {
			oldest = i
		}
	}
	r.Members[oldest].Role = Admin
}

func (r *Roster) hasAdmin() bool {
	return slices.ContainsFunc(r.Members, func(m Member) bool { return m.Role == Admin })
}
