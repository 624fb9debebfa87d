package groups

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// Kind is what a change does. Numbers are never reused.
type Kind uint8

// Kinds.
const (
	Create    Kind = 1
	Add       Kind = 2
	Remove    Kind = 3
	Leave     Kind = 4
	SetRole   Kind = 5
	Rename    Kind = 6
	SetPolicy Kind = 7
	Rekey     Kind = 8
)

// Advances reports whether the change begins a new epoch in its own entry
// (R-GRP-25).
func (k Kind) Advances() bool { return k == Remove || k == Rekey }

// String names the kind.
func (k Kind) String() string {
	names := [...]string{Create: "create", Add: "add", Remove: "remove", Leave: "leave", SetRole: "role", Rename: "rename", SetPolicy: "policy", Rekey: "rekey"}
	if k == 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Change is one change of a group. The fields that its kind does not use are
// zero:
//
//	Create            Name, Policy, Members with address, account and role
//	Add               Members with address, account and role
//	Remove            Members with the address
//	SetRole           Members with address and role
//	Rename            Name
//	SetPolicy         Policy
//	Leave, Rekey      nothing
//
// Members of a change have no Since.
type Change struct {
	Kind    Kind
	Members []Member
	Name    string
	Policy  Policy
}

// changeWire is the encoded form.
type changeWire struct {
	Kind    uint64       `cbor:"1,keyasint"`
	Members []memberWire `cbor:"2,keyasint,omitempty"`
	Name    string       `cbor:"3,keyasint,omitempty"`
	Policy  uint64       `cbor:"4,keyasint,omitempty"`
}

// memberWire is a member of a change or of a roster. Which of the fields after
// the address are set is a matter of where it stands.
type memberWire struct {
	Address string `cbor:"1,keyasint"`
	Account []byte `cbor:"2,keyasint,omitempty"`
	Role    uint64 `cbor:"3,keyasint,omitempty"`
	Since   uint64 `cbor:"4,keyasint,omitempty"`
}

// canonical returns the change with the members in the order of their
// addresses and with nothing set that its kind does not use.
func (c Change) canonical() Change {
	out := Change{Kind: c.Kind}
	if c.Kind == Create || c.Kind == Rename {
		out.Name = c.Name
	}
	if c.Kind == Create || c.Kind == SetPolicy {
		out.Policy = c.Policy
	}
	if c.Kind == Create || c.Kind == Add || c.Kind == Remove || c.Kind == SetRole {
		out.Members = make([]Member, len(c.Members))
		for i, m := range c.Members {
			out.Members[i] = Member{Address: m.Address}
			if c.Kind != Remove {
				out.Members[i].Role = m.Role
			}
			if c.Kind == Create || c.Kind == Add {
				out.Members[i].Account = m.Account
			}
		}
		slices.SortFunc(out.Members, byAddress)
	}
	return out
}

func byAddress(a, b Member) int { return strings.Compare(a.Address, b.Address) }

// wire encodes a canonical change.
func (c Change) wire() changeWire {
	w := changeWire{Kind: uint64(c.Kind), Name: c.Name, Policy: c.Policy.bits()}
	for _, m := range c.Members {
		w.Members = append(w.Members, m.wire())
	}
	return w
}

func (m Member) wire() memberWire {
	w := memberWire{Address: m.Address, Role: uint64(m.Role), Since: m.Since}
	if m.Account != [32]byte{} {
		w.Account = m.Account[:]
	}
	return w
}

// change reads the encoded form and holds what can be said without the roster
// (R-GRP-24): what it gives is canonical.
func (w *changeWire) change() (Change, error) {
	c := Change{Kind: Kind(w.Kind), Name: w.Name}
	var ok bool
	if c.Policy, ok = policyOf(w.Policy); !ok || w.Kind > uint64(Rekey) || len(w.Members) > MaxChangeMembers {
		return Change{}, ErrMalformed
	}
	for i := range w.Members {
		m, err := w.Members[i].member()
		if err != nil {
			return Change{}, err
		}
		c.Members = append(c.Members, m)
	}
	if err := c.check(); err != nil {
		return Change{}, err
	}
	return c, nil
}

func (w *memberWire) member() (m Member, err error) {
	if _, err := address.ParseCanonical(w.Address); err != nil || w.Role > uint64(Admin) {
		return Member{}, ErrMalformed
	}
	m = Member{Address: w.Address, Role: Role(w.Role), Since: w.Since}
	if w.Account != nil {
		if len(w.Account) != len(m.Account) {
			return Member{}, ErrMalformed
		}
		m.Account = [32]byte(w.Account)
		if m.Account == [32]byte{} {
			return Member{}, ErrMalformed // a second way to say none
		}
	}
	return m, nil
}

// check holds a canonical change to its form (R-GRP-24).
func (c *Change) check() error {
	members := c.Kind == Create || c.Kind == Add || c.Kind == Remove || c.Kind == SetRole
	switch {
	case c.Kind < Create || c.Kind > Rekey:
		return ErrMalformed
	case members != (len(c.Members) > 0):
		if members {
			return ErrNothing
		}
		return ErrMalformed
	case len(c.Members) > MaxChangeMembers:
		return ErrTooLong
	case c.Kind != Create && c.Kind != Rename && c.Name != "", c.Kind != Create && c.Kind != SetPolicy && c.Policy != Policy{}:
		return ErrMalformed
	case (c.Kind == Create || c.Kind == Rename) && !ValidName(c.Name):
		return ErrName
	}
	for i := range c.Members {
		m := &c.Members[i]
		if _, err := address.ParseCanonical(m.Address); err != nil {
			return ErrMalformed
		}
		account, role := m.Account != [32]byte{}, m.Role == RoleMember || m.Role == Admin
		switch {
		case i > 0 && byAddress(c.Members[i-1], *m) >= 0, m.Since != 0:
			return ErrMalformed
		case (c.Kind == Create || c.Kind == Add) && !(account && role),
			c.Kind == SetRole && (account || !role),
			c.Kind == Remove && (account || m.Role != 0):
			return ErrMalformed
		}
	}
	return nil
}

// encode is the canonical encoding of a canonical change.
func (c Change) encode() []byte { return codec.Marshal(c.wire()) }

// ValidName reports whether a group may have that name (R-GRP-24): 1 to MaxName
// bytes of UTF-8, without spaces at its ends, and without control characters,
// line breaks and what changes the direction of text.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
	})
}
