package client

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// What a person asked to keep of the wire (R-TRN-01). Ciphertexts only: their
// keys are erased as ever, so nothing here opens anything.
var (
	tableRecorded = vault.Table{Name: "recorded"} // conversations that are recorded, by name
	tableWire     = vault.Table{Name: "wire"}     // envelopes, by hash; group: conversation; order: as they were seen
	tableWireKey  = vault.Table{Name: "wirekey"}  // disclosed signing keys, by chain id; group: conversation
)

// recordedRecord is a conversation that is recorded.
type recordedRecord struct {
	Conversation string `cbor:"1,keyasint"`
	Since        int64  `cbor:"2,keyasint"`
	Messages     uint64 `cbor:"3,keyasint"`
	Bytes        uint64 `cbor:"4,keyasint"`
}

// wireRecord is one envelope as it went over the wire.
type wireRecord struct {
	At      int64  `cbor:"1,keyasint"`
	Body    []byte `cbor:"2,keyasint"`
	Session []byte `cbor:"3,keyasint,omitempty"` // where it stands, between two people
	Chain   uint64 `cbor:"4,keyasint,omitempty"`
	Number  uint32 `cbor:"5,keyasint,omitempty"`
}

// wireKeyRecord is a signing key that its device has disclosed to the group.
type wireKeyRecord struct {
	Epoch  uint64 `cbor:"1,keyasint"`
	From   string `cbor:"2,keyasint"`
	Device uint64 `cbor:"3,keyasint"`
	Seed   []byte `cbor:"4,keyasint"`
}

// readRecorded reads which conversations are recorded.
func readRecorded(tx *vault.Tx) (map[string]bool, error) {
	out := map[string]bool{}
	return out, tx.Scan(tableRecorded, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[recordedRecord](row.Value)
		if err == nil {
			out[r.Conversation] = true
		}
		return err
	})
}

// record keeps an envelope if its conversation is recorded. The caller holds
// state.
func (e *engine) record(tx *vault.Tx, conversation string, envelope []byte, at *devicePosition) error {
	if !e.recorded[conversation] {
		return nil
	}
	r, ok, err := getRecord[recordedRecord](tx, tableRecorded, []byte(conversation))
	if err != nil || !ok {
		return err
	}
	w := wireRecord{At: e.now().UnixMilli(), Body: envelope}
	if at != nil {
		w.Session, w.Chain, w.Number = at.Session, at.Chain, at.Number
	}
	key := hashEnvelope(envelope)
	fresh, err := tx.Insert(tableWire, key[:], []byte(conversation), e.nextOrder(), encodeRecord(w))
	if err != nil || !fresh {
		return err
	}
	r.Messages, r.Bytes = r.Messages+1, r.Bytes+uint64(len(envelope))
	if r.Messages > MaxRecorded || r.Bytes > MaxRecordedBytes {
		if err := r.trim(tx); err != nil {
			return err
		}
	}
	return tx.Put(tableRecorded, []byte(conversation), nil, 0, encodeRecord(r))
}

// trim drops the oldest envelopes until what is left is within the bounds.
func (r *recordedRecord) trim(tx *vault.Tx) error {
	var gone [][]byte
	err := tx.Scan(tableWire, []byte(r.Conversation), firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		w, err := decodeRecord[wireRecord](row.Value)
		if err != nil {
			return err
		}
		if r.Messages <= MaxRecorded && r.Bytes <= MaxRecordedBytes {
			return errEnough
		}
		gone = append(gone, slices.Clone(row.Key))
		r.Messages, r.Bytes = r.Messages-1, r.Bytes-uint64(len(w.Body))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	for _, key := range gone {
		if _, err := tx.Delete(tableWire, key); err != nil {
			return err
		}
	}
	return nil
}

// recordKey keeps a signing key that was disclosed in a group that is recorded.
func (e *engine) recordKey(tx *vault.Tx, id groups.ID, chain groups.ChainID, epoch uint64, from string, device uint64, seed [32]byte) error {
	conversation := groupName(id)
	if !e.recorded[conversation] {
		return nil
	}
	return tx.Put(tableWireKey, chain[:], []byte(conversation), 0, encodeRecord(wireKeyRecord{epoch, from, device, seed[:]}))
}

// recordOwnKey is recordKey for an own chain, of which only the name is kept:
// the epoch is the one that gives that name.
func (e *engine) recordOwnKey(tx *vault.Tx, id groups.ID, d *groups.Disclosed, latest uint64) error {
	if !e.recorded[groupName(id)] {
		return nil
	}
	sender := groups.Sender{Address: e.self.record.Address, Device: uint64(e.self.device), Identity: e.self.own.Identity.Array()}
	verify := [32]byte(ed25519.NewKeyFromSeed(d.Seed[:])[32:])
	for epoch := latest; epoch > 0 && latest-epoch < 4096; epoch-- {
		if groups.ChainIDOf(id, epoch, sender, verify) == d.Chain {
			return e.recordKey(tx, id, d.Chain, epoch, sender.Address, sender.Device, d.Seed)
		}
	}
	return nil
}

// Recording is a conversation of which ciphertexts are kept.
type Recording struct {
	Conversation string
	Since        time.Time
	Messages     int
	Bytes        int
}

type recordingQuery struct {
	With string
	On   bool
}

var (
	callRecord = method[recordingQuery, Recording]{"record", func(ctx context.Context, e *engine, q recordingQuery) (Recording, error) {
		return e.Record(ctx, q.With, q.On)
	}}
	callRecordings = method[none, []Recording]{"recordings", func(ctx context.Context, e *engine, _ none) ([]Recording, error) {
		return e.Recordings(ctx)
	}}
)

// Record implements API.
func (e *engine) Record(ctx context.Context, with string, on bool) (out Recording, err error) {
	with, err = e.conversation(ctx, with)
	if err != nil {
		return out, err
	}
	if with == e.self.record.Address {
		return out, errIsMe
	}
	e.state.Lock()
	defer e.state.Unlock()
	err = e.update(ctx, func(tx *vault.Tx) error {
		r, ok, err := getRecord[recordedRecord](tx, tableRecorded, []byte(with))
		if err != nil {
			return err
		}
		switch {
		case on && !ok:
			r = recordedRecord{Conversation: with, Since: e.now().UnixMilli()}
			if err := tx.Put(tableRecorded, []byte(with), nil, 0, encodeRecord(r)); err != nil {
				return err
			}
		case !on:
			r = recordedRecord{Conversation: with}
			if _, err := tx.Delete(tableRecorded, []byte(with)); err != nil {
				return err
			}
			for _, t := range []vault.Table{tableWire, tableWireKey} {
				if _, err := tx.DeleteGroup(t, []byte(with)); err != nil {
					return err
				}
			}
		}
		out = r.recording()
		return nil
	})
	if err == nil {
		delete(e.recorded, with)
		if on {
			e.recorded[with] = true
		}
	}
	return out, err
}

func (r *recordedRecord) recording() Recording {
	return Recording{r.Conversation, moment(r.Since), int(r.Messages), int(r.Bytes)}
}

// Recordings implements API.
func (e *engine) Recordings(ctx context.Context) (out []Recording, err error) {
	return out, e.view(ctx, func(tx *vault.Tx) error {
		return tx.Scan(tableRecorded, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[recordedRecord](row.Value)
			out = append(out, r.recording())
			return err
		})
	})
}

// groupPlaceOf is where a message of a group stands, which it says itself.
func groupPlaceOf(body []byte) (chain groups.ChainID, index uint32, ok bool) {
	env, err := content.DecodeEnvelope(body)
	if err != nil || env.To != 0 {
		return chain, 0, false
	}
	w, err := groups.ParseMessage(env.Message)
	return w.Chain, w.Index, err == nil
}

// textAt names the place of a message, to find its text.
func textAt(session []byte, chain uint64, number uint32) string {
	b := binary.BigEndian.AppendUint64(slices.Clone(session), chain)
	return string(binary.BigEndian.AppendUint32(b, number))
}
