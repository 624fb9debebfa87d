package client

import (
	"context"
	"fmt"
	"time"
)

// SecurityAPI says what somebody would have who takes this machine now.
type SecurityAPI interface {
	// Security counts what the state of this device gives to who copies it
	// together with what opens its store. Only with counts one conversation; empty
	// is everything.
	Security(ctx context.Context, only string) (SecurityReport, error)
	// SecurityCopy copies the keys themselves, for a drill, and the report of the
	// same moment. It asks for the store's own secret as Backup does.
	SecurityCopy(ctx context.Context, only string) (SecurityCopy, error)
}

// SecurityReport is what a thief of a device's state has, as of one moment of
// its store (spec/security.md).
type SecurityReport struct {
	At      time.Time
	History KeptHistory
	Outbox  int                    // messages that wait to leave, in the clear
	Sealed  int                    // envelopes that wait here unopened, and that the keys here may open
	People  []ConversationExposure // people something is kept of; one's own other devices under one's own address
	Groups  []ConversationExposure
	Prekeys []PrekeyExposure // with everything only
}

// KeptHistory is messages that are kept in the clear inside the sealed store.
type KeptHistory struct {
	Messages int       // whose content is here
	Oldest   time.Time // when the oldest was sent; zero for none
	Mortal   int       // of them, how many have a lifetime
}

// Healing is after what a thief who copied the state and only listens reads
// nothing new.
type Healing string

// Healings. Messages that a side sealed before it heard of the step stay open.
const (
	// HealsNever: there is nothing to heal from.
	HealsNever Healing = ""
	// HealsWithYours: the next message one writes is closed already, and the
	// peer's are from their answer to it on.
	HealsWithYours Healing = "your_message"
	// HealsWithReply: first the peer has to write. What one writes after that is
	// closed, and the peer's from their answer to it on.
	HealsWithReply Healing = "their_reply"
	// HealsWithRekey: of a group, once every session with its members has healed
	// and it is rekeyed after that.
	HealsWithRekey Healing = "rekey"
)

// ConversationExposure is what the state gives of one conversation.
type ConversationExposure struct {
	Conversation string
	History      KeptHistory
	// Sessions is how many ratchet sessions there are with its devices and, of a
	// group, how many chains of other devices are kept open.
	Sessions int
	Since    time.Time // when the oldest of them began; zero for none
	// ReadsYours and ReadsTheirs are in how many of them what one writes next,
	// and what comes on the peer's present chain, can be read from a copy.
	ReadsYours, ReadsTheirs int
	Skipped                 int       // messages that have not come and whose keys are kept
	SkippedSince            time.Time // since when the oldest is
	SkippedUntil            time.Time // when the last of these keys will have been erased
	// LastResort is how many sessions began with a message that used no one-time
	// key, and whose prekeys are still here: recorded, that beginning can be opened.
	LastResort int
	Heals      Healing
	// HealsQuantum is the same against a thief who can compute X25519 backwards.
	// HealsNever where nothing is claimed.
	HealsQuantum Healing
	RekeyDue     time.Time // of a group
	// MAC keys of what came: chains whose keys are known here and to the sender
	// only, chains whose keys go out with the next message, and chains whose keys
	// anybody may know. Of a group: signing keys of one's own earlier chains that
	// are kept, and of others' chains that were disclosed.
	MACHeld, MACOwed, MACDisclosed int
}

// PrekeyExposure is what is kept of one kind of prekeys. Who has them opens
// first messages that were written with them.
type PrekeyExposure struct {
	Kind     string // signed, one_time, one_time_kem, last_resort
	Held     int
	Oldest   time.Time
	Replaced int       // of them, kept for messages under way only
	Until    time.Time // when the last of these will have been erased; zero without any
	Answered int       // last_resort: first messages that were answered with them
}

// SecurityCopy is the part of a device's state that opens messages. It holds
// secrets: it is for trying what they open, in memory, and for nothing else.
type SecurityCopy struct {
	Report      SecurityReport
	Self        SecurityParty
	IdentityKey []byte // X25519
	SigningKey  []byte // Ed25519 seed
	Sessions    []SessionCopy
	// Partly: the sessions are too many for one answer between processes and are
	// left out. Those of one conversation are to be had one by one.
	Partly  bool
	Prekeys [][]byte // records of package prekeys; with everything only
	Chains  []ChainCopy
}

// SecurityParty is one device's public identity.
type SecurityParty struct {
	Address  string
	Device   uint64
	Account  []byte // Ed25519
	Identity []byte // X25519
}

// SessionCopy is the record of one session, in its two parts.
type SessionCopy struct {
	Peer          string
	Device        uint64
	Head, Skipped []byte
}

// ChainCopy is one's own sender key in a group: a record of package groups.
type ChainCopy struct {
	Group  string
	Record []byte
}

// Format prints a placeholder, whatever the verb.
func (SecurityCopy) Format(f fmt.State, _ rune) { fmt.Fprint(f, "client.SecurityCopy(redacted)") }

// Format prints a placeholder, whatever the verb.
func (SessionCopy) Format(f fmt.State, _ rune) { fmt.Fprint(f, "client.SessionCopy(redacted)") }

// Format prints a placeholder, whatever the verb.
func (ChainCopy) Format(f fmt.State, _ rune) { fmt.Fprint(f, "client.ChainCopy(redacted)") }

// Erase overwrites the keys.
func (c *SecurityCopy) Erase() {
	clear(c.IdentityKey)
	clear(c.SigningKey)
	for _, s := range c.Sessions {
		clear(s.Head)
		clear(s.Skipped)
	}
	for _, b := range c.Prekeys {
		clear(b)
	}
	for _, k := range c.Chains {
		clear(k.Record)
	}
}

// Security implements API.
func (c *Client) Security(ctx context.Context, only string) (SecurityReport, error) {
	return run(ctx, c, callSecurity, only)
}

// SecurityCopy implements API.
func (c *Client) SecurityCopy(ctx context.Context, only string) (SecurityCopy, error) {
	return run(ctx, c, callSecurityCopy, securityQuery{only, c.cfg.Unlock.secret()})
}
