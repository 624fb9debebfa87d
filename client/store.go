package client

import (
	"encoding/binary"
	"math"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/internal/vault"
)

// The sealed tables. Keys and groups are blinded by the vault, values sealed.
var (
	tableMeta    = vault.Table{Name: "meta"}    // "account", "prekeys", "settings", "consumer/NAME"
	tablePrekey  = vault.Table{Name: "prekey"}  // private prekeys; order: expiry
	tableContact = vault.Table{Name: "contact"} // by address
	tableSession = vault.Table{Name: "session"} // heads; group: peer device
	tableSkipped = vault.Table{Name: "skipped"} // skipped keys, by session id
	tableMessage = vault.Table{Name: "message"} // by message id; group: conversation
	tableOutbox  = vault.Table{Name: "outbox"}  // by message id; order: order of sending
	tableSeen    = vault.Table{Name: "seen"}    // envelope hashes, many a row, and answered handshakes; order: expiry
	tableHeld    = vault.Table{Name: "held"}    // envelopes of a changed identity; group: address
	tableExpiry  = vault.Table{Name: "expiry"}  // messages with a lifetime, by id; order: its end
	tableRepair  = vault.Table{Name: "repair"}  // what stands open of lost messages, by peer device; order: when something is due
	tableOwed    = vault.Table{Name: "owed"}    // receipts to be sent, by state and peer device; order: when last added to
)

func tables() []vault.Table {
	return []vault.Table{
		tableMeta, tablePrekey, tableContact, tableSession, tableSkipped, tableMessage, tableOutbox, tableSeen, tableHeld,
		tableExpiry, tableOwed, tableRepair, tableGroup, tableGroupLog, tableGroupKey, tableChain, tableLedger, tableGroupHeld,
		tableGroupAsk, tableGroupEarly, tableGroupStrange, tableRecorded, tableWire, tableWireKey,
	}
}

// everything is the range of all orders.
const (
	firstOrder = math.MinInt64
	lastOrder  = math.MaxInt64
)

func getRecord[T any](tx *vault.Tx, t vault.Table, key []byte) (T, bool, error) {
	var zero T
	b, ok, err := tx.Get(t, key)
	if err != nil || !ok {
		return zero, false, err
	}
	v, err := decodeRecord[T](b)
	return v, err == nil, err
}

func putContact(tx *vault.Tx, c contactRecord) error {
	return tx.Put(tableContact, []byte(c.Address), nil, 0, codec.Marshal(c))
}

func getContact(tx *vault.Tx, address string) (contactRecord, bool, error) {
	return getRecord[contactRecord](tx, tableContact, []byte(address))
}

// putMessage writes a message in place of the one that has its ID.
func putMessage(tx *vault.Tx, m *messageRecord) error {
	return tx.Put(tableMessage, m.ID, []byte(m.Conversation), m.order, codec.Marshal(m))
}

// insertMessage writes a message unless its ID is taken.
func insertMessage(tx *vault.Tx, m *messageRecord) (bool, error) {
	return tx.Insert(tableMessage, m.ID, []byte(m.Conversation), m.order, codec.Marshal(m))
}

// scanMessages reads messages of a conversation, or of all when it is empty,
// with from <= order <= to, until limit or fn says stop.
func scanMessages(tx *vault.Tx, conversation string, from, to int64, limit int, reverse bool, fn func(*messageRecord) error) error {
	var group []byte
	if conversation != "" {
		group = []byte(conversation)
	}
	return tx.Scan(tableMessage, group, from, to, limit, reverse, func(r vault.Row) error {
		m, err := decodeMessage(r)
		if err != nil {
			return err
		}
		return fn(&m)
	})
}

func decodeMessage(r vault.Row) (messageRecord, error) {
	m, err := decodeRecord[messageRecord](r.Value)
	if err == nil && len(m.ID) != len(content.ID{}) {
		err = ErrStoreDamaged
	}
	m.order = r.Order
	return m, err
}

func putOutbox(tx *vault.Tx, o *outboxRecord) error {
	return tx.Put(tableOutbox, o.ID, []byte(o.To), o.order, codec.Marshal(o))
}

// peerKey names a device of a peer: the group of its sessions.
type peerKey struct {
	address string
	device  address.Device
}

func (k peerKey) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(k.device)), k.address...)
}

// loadPair reads all sessions with a device.
func loadPair(tx *vault.Tx, k peerKey) (session.Pair, error) {
	type parts struct {
		id   []byte
		head []byte
	}
	var found []parts
	err := tx.Scan(tableSession, k.bytes(), firstOrder, lastOrder, session.MaxArchived+2, true, func(r vault.Row) error {
		found = append(found, parts{r.Key, r.Value})
		return nil
	})
	if err != nil {
		return session.Pair{}, err
	}
	var all []*session.Session
	for _, p := range found {
		skipped, _, err := tx.Get(tableSkipped, p.id)
		if err != nil {
			return session.Pair{}, err
		}
		s, err := session.Parse(p.head, skipped)
		if err != nil {
			return session.Pair{}, ErrStoreDamaged
		}
		all = append(all, s)
	}
	return session.New(all...), nil
}

// storeChange writes what a step did to a pair.
func storeChange(tx *vault.Tx, k peerKey, ch session.Change) error {
	for _, id := range ch.Erase {
		if _, err := tx.Delete(tableSession, id[:]); err != nil {
			return err
		}
		if _, err := tx.Delete(tableSkipped, id[:]); err != nil {
			return err
		}
	}
	for _, s := range ch.Write {
		if err := tx.Put(tableSession, s.ID[:], k.bytes(), s.Rank, s.Head()); err != nil {
			return err
		}
		for _, id := range ch.Skipped {
			if id == s.ID {
				if err := tx.Put(tableSkipped, s.ID[:], k.bytes(), 0, s.Skipped()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// consumerRecord is how far a consumer of incoming messages has come.
type consumerRecord struct {
	Acked int64 `cbor:"1,keyasint"` // order of the last acknowledged message
}

// defaultConsumer is who receives when nobody is named.
const defaultConsumer = "default"

func consumerKey(name string) []byte {
	if name == "" {
		name = defaultConsumer
	}
	return []byte("consumer/" + name)
}

// derivedID is the ID under which a received message is kept: the sender's, or,
// when another message already has it, one bound to the sender, so that nobody
// can take the place of another's message.
func derivedID(id content.ID, from string, device address.Device) content.ID {
	h := labelled(labelLocalID, id[:], []byte(from), binary.BigEndian.AppendUint64(nil, uint64(device)))
	return content.ID(h[:16])
}
