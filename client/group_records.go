package client

import (
	"encoding/binary"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// The tables of groups. Their group is the id of the group of people.
var (
	tableGroup     = vault.Table{Name: "group"}     // by group id
	tableGroupLog  = vault.Table{Name: "grouplog"}  // by group id and seq; order: seq
	tableGroupKey  = vault.Table{Name: "groupkey"}  // candidates, by group id and the head that they begin with
	tableChain     = vault.Table{Name: "chain"}     // other devices' sender keys, by chain id
	tableLedger    = vault.Table{Name: "ledger"}    // who holds the present own chain, by group id and device
	tableGroupHeld = vault.Table{Name: "groupheld"} // envelopes that wait for a chain or for the log; group: chain id
)

// groupRecord is a group as this device knows it.
type groupRecord struct {
	ID       []byte         `cbor:"1,keyasint"`
	Roster   []byte         `cbor:"2,keyasint"`           // encoded
	Secret   []byte         `cbor:"3,keyasint,omitempty"` // of the present epoch; empty once one is no member
	Sending  []byte         `cbor:"4,keyasint,omitempty"` // the own chain; of an earlier epoch until the next message
	Closed   []closedChain  `cbor:"5,keyasint,omitempty"` // own chains whose signing keys are to be disclosed
	Pending  *pendingChange `cbor:"6,keyasint,omitempty"`
	Out      bool           `cbor:"7,keyasint,omitempty"` // left, or removed
	Alarm    *branchRecord  `cbor:"8,keyasint,omitempty"`
	Invite   []byte         `cbor:"9,keyasint,omitempty"` // the token of one's own invite links
	Asked    []joinRecord   `cbor:"10,keyasint,omitempty"`
	First    uint64         `cbor:"11,keyasint"`           // seq at which this device came in
	Sent     int64          `cbor:"12,keyasint,omitempty"` // when something was last sent on Sending, unix milliseconds
	Welcomed []uint64       `cbor:"13,keyasint,omitempty"` // own devices that were handed the group, by whomever
	Waiting  int64          `cbor:"14,keyasint,omitempty"` // since when the next entry waits for its author's sender key
	Then     [][]byte       `cbor:"15,keyasint,omitempty"` // additions that the group was made with, encoded
	ByWord   bool           `cbor:"16,keyasint,omitempty"` // out by a member's word, not by the log
}

// closedChain is an own chain of an epoch that is over.
type closedChain struct {
	_     struct{} `cbor:",toarray"`
	Chain []byte
	Seed  []byte
	Count uint32 // messages sealed on it
	Last  int64  // when something was last sent on it, unix milliseconds
}

// pendingChange is a change of one's own on its way into the log: everything
// that it takes to go on after a crash.
type pendingChange struct {
	Change  []byte `cbor:"1,keyasint"` // a groups.Change, encoded
	Prev    []byte `cbor:"2,keyasint,omitempty"`
	Head    []byte `cbor:"3,keyasint,omitempty"`
	Blob    []byte `cbor:"4,keyasint,omitempty"`
	Roster  []byte `cbor:"5,keyasint,omitempty"` // after it
	Secret  []byte `cbor:"6,keyasint,omitempty"` // of the next epoch, if it begins one
	Sending []byte `cbor:"7,keyasint,omitempty"` // the own chain of the next epoch
	Done    uint64 `cbor:"8,keyasint,omitempty"` // devices that were handed their keys
	Total   uint64 `cbor:"9,keyasint,omitempty"`
}

// branchRecord is a GroupBranch.
type branchRecord struct {
	With  string   `cbor:"1,keyasint,omitempty"`
	At    int64    `cbor:"2,keyasint"`
	Seq   uint64   `cbor:"3,keyasint"`
	Ours  []string `cbor:"4,keyasint,omitempty"`
	Other []string `cbor:"5,keyasint,omitempty"`
}

type joinRecord struct {
	_       struct{} `cbor:",toarray"`
	Address string
	At      int64
}

// logRecord is one entry of a group's log as it was applied.
type logRecord struct {
	Head   []byte `cbor:"1,keyasint"`
	Author string `cbor:"2,keyasint"`
	Device uint64 `cbor:"3,keyasint"`
	At     int64  `cbor:"4,keyasint"`
	Change []byte `cbor:"5,keyasint"`           // a groups.Change, encoded
	Void   string `cbor:"6,keyasint,omitempty"` // why it changed nothing
}

// candidateRecord is what somebody hands out before their entry is in the log.
type candidateRecord struct {
	From   string `cbor:"1,keyasint"`
	Device uint64 `cbor:"2,keyasint"`
	Signal []byte `cbor:"3,keyasint"` // with its Key set
	At     int64  `cbor:"4,keyasint"`
}

// chainRecord is the sender key of another device.
type chainRecord struct {
	Group  []byte `cbor:"1,keyasint"`
	From   string `cbor:"2,keyasint"`
	Device uint64 `cbor:"3,keyasint"`
	Epoch  uint64 `cbor:"4,keyasint"`
	State  []byte `cbor:"6,keyasint"`           // a groups.Receiving
	Used   bool   `cbor:"5,keyasint,omitempty"` // something was opened on it
}

// ledgerRecord says that a device was given the own chain, as the server has
// accepted.
type ledgerRecord struct {
	Address  string `cbor:"1,keyasint"`
	Device   uint64 `cbor:"2,keyasint"`
	Identity []byte `cbor:"3,keyasint"` // the device's identity key
	Chain    []byte `cbor:"4,keyasint"`
	Heard    bool   `cbor:"5,keyasint,omitempty"` // it has said that it has a message on this chain
	Perhaps  bool   `cbor:"6,keyasint,omitempty"` // it is about to be handed the chain, and may never be
}

// changeRecord is a groups.Change as it is stored.
type changeRecord struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	Members []changeMember
	Name    string
	Add     bool
	Open    bool
}

type changeMember struct {
	_       struct{} `cbor:",toarray"`
	Address string
	Account []byte
	Role    uint64
}

func encodeChange(c groups.Change) []byte {
	r := changeRecord{Kind: uint64(c.Kind), Name: c.Name, Add: c.Policy.AddByMembers, Open: c.Policy.OpenHistory, Members: []changeMember{}}
	for _, m := range c.Members {
		r.Members = append(r.Members, changeMember{Address: m.Address, Account: m.Account[:], Role: uint64(m.Role)})
	}
	return codec.Marshal(r)
}

func decodeChange(b []byte) (c groups.Change, err error) {
	r, err := decodeRecord[changeRecord](b)
	if err != nil {
		return c, err
	}
	c = groups.Change{Kind: groups.Kind(r.Kind), Name: r.Name, Policy: groups.Policy{AddByMembers: r.Add, OpenHistory: r.Open}}
	for _, m := range r.Members {
		if len(m.Account) != len(groups.Member{}.Account) {
			return c, ErrStoreDamaged
		}
		c.Members = append(c.Members, groups.Member{Address: m.Address, Account: [32]byte(m.Account), Role: groups.Role(m.Role)})
	}
	return c, nil
}

// groupName is the conversation of a group: '#' and its id.
func groupName(id groups.ID) string { return "#" + content.ID(id).String() }

// toGroup reports whether an entry goes to a group.
func (o *outboxRecord) toGroup() bool { return len(o.To) > 0 && o.To[0] == '#' }

// groupID reads a conversation's name; ok is false for a person's.
func groupID(conversation string) (id groups.ID, ok bool) {
	if len(conversation) == 0 || conversation[0] != '#' {
		return id, false
	}
	c, err := content.ParseID(conversation[1:])
	return groups.ID(c), err == nil
}

func seqKey(id groups.ID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(id[:], seq)
}

func ledgerKey(id groups.ID, k peerKey) []byte { return append(id[:], k.bytes()...) }

func getGroup(tx *vault.Tx, id groups.ID) (*groupRecord, error) {
	r, ok, err := getRecord[groupRecord](tx, tableGroup, id[:])
	if err != nil || !ok {
		return nil, err
	}
	return &r, nil
}

func putGroup(tx *vault.Tx, r *groupRecord) error {
	return tx.Put(tableGroup, r.ID, nil, 0, codec.Marshal(r))
}

func (r *groupRecord) id() groups.ID { return groups.ID(r.ID) }

func (r *groupRecord) roster() (groups.Roster, error) {
	roster, err := groups.ParseRoster(r.Roster)
	if err != nil {
		return roster, ErrStoreDamaged
	}
	return roster, nil
}

func (r *groupRecord) secret() groups.Secret { return groups.Secret(r.Secret) }

// sending is the own chain, if there is one in the present epoch.
func (r *groupRecord) sending(epoch uint64) (c groups.Sending, ok bool, err error) {
	if len(r.Sending) == 0 {
		return c, false, nil
	}
	c, err = groups.ParseSending(r.Sending)
	if err != nil {
		return c, false, ErrStoreDamaged
	}
	return c, c.Epoch() == epoch, nil
}

// ledger is what is known of a device.
func getLedger(tx *vault.Tx, id groups.ID, k peerKey) (ledgerRecord, bool, error) {
	return getRecord[ledgerRecord](tx, tableLedger, ledgerKey(id, k))
}

func putLedger(tx *vault.Tx, id groups.ID, r ledgerRecord) error {
	return tx.Put(tableLedger, ledgerKey(id, peerKey{r.Address, address.Device(r.Device)}), id[:], 0, codec.Marshal(r))
}
