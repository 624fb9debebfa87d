package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/vault"
	"github.com/pawl-chat/pawl/transcript"
)

type transcriptQuery struct {
	With  string
	After int64
}

// transcriptPage is a part of a transcript; parties and keys come with the
// first.
type transcriptPage struct {
	Group    []byte
	Parties  []transcript.Party
	Keys     []transcript.Key
	Messages []transcript.Message
	Last     int64
	More     bool
}

var (
	callTranscript = method[transcriptQuery, transcriptPage]{"transcript", func(ctx context.Context, e *engine, q transcriptQuery) (transcriptPage, error) {
		return e.Transcript(ctx, q)
	}}
	callPublicKeys = method[string, transcript.Party]{"public keys", func(ctx context.Context, e *engine, who string) (transcript.Party, error) {
		return e.PublicKeys(ctx, who)
	}}
)

// ErrNotRecorded: nothing was kept of the wire, because nobody asked for it.
var ErrNotRecorded = errors.New("nothing is recorded of that conversation")

// partyOf is the public half of a person.
func partyOf(address string, l devicelist.List) transcript.Party {
	p := transcript.Party{Account: [32]byte(l.Account), Address: address}
	for _, d := range l.Devices {
		p.Devices = append(p.Devices, transcript.Device{ID: uint64(d.ID), Identity: d.DH.Array()})
	}
	return p
}

// PublicKeys implements API.
func (e *engine) PublicKeys(ctx context.Context, who string) (transcript.Party, error) {
	addr, err := e.resolve(ctx, who)
	if err != nil {
		return transcript.Party{}, err
	}
	var p *person
	if addr == e.self.address {
		p, err = e.ownPerson(ctx)
	} else {
		p, err = e.recipient(ctx, addr, false)
	}
	if err != nil {
		return transcript.Party{}, err
	}
	return partyOf(addr.String(), p.list), nil
}

// Transcript returns one page of Transcript, oldest first.
func (e *engine) Transcript(ctx context.Context, q transcriptQuery) (page transcriptPage, err error) {
	if err := e.expire(ctx); err != nil { // R-CLT-22: texts that are over are claimed no more
		return page, err
	}
	with, err := e.conversation(ctx, q.With)
	if err != nil {
		return page, err
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		_, ok, err := getRecord[recordedRecord](tx, tableRecorded, []byte(with))
		if err != nil || !ok {
			return errors.Join(err, ErrNotRecorded)
		}
		people := map[string]*person{}
		if q.After == firstOrder {
			if err := e.transcriptHead(tx, with, &page, people); err != nil {
				return err
			}
		}
		texts, err := e.textsOf(tx, with)
		if err != nil {
			return err
		}
		size := 0
		err = tx.Scan(tableWire, []byte(with), q.After+1, lastOrder, 0, false, func(row vault.Row) error {
			w, err := decodeRecord[wireRecord](row.Value)
			if err != nil {
				return err
			}
			page.Last = row.Order
			m := transcript.Message{At: time.UnixMilli(w.At).UTC(), Envelope: w.Body}
			if len(w.Session) == len(transcript.Place{}.Session) {
				m.Place = &transcript.Place{Session: [8]byte(w.Session), Chain: w.Chain, Number: w.Number}
				m.Text = texts[textAt(w.Session, w.Chain, w.Number)]
			} else if g, index, ok := groupPlaceOf(w.Body); ok {
				m.Text = texts[textAt(g[:], 0, index)]
			}
			page.Messages = append(page.Messages, m)
			if size += len(w.Body) + len(m.Text) + 128; size > pageBytes {
				page.More = true
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	})
	return page, err
}

// transcriptHead reads who takes part, with the keys that were disclosed.
func (e *engine) transcriptHead(tx *vault.Tx, with string, page *transcriptPage, people map[string]*person) error {
	add := func(addr string) error {
		if people[addr] != nil || len(page.Parties) == transcript.MaxParties {
			return nil
		}
		p, err := e.readPerson(tx, addr)
		if err != nil || p == nil {
			return err
		}
		people[addr] = p
		page.Parties = append(page.Parties, partyOf(addr, p.list))
		return nil
	}
	if err := add(e.self.record.Address); err != nil {
		return err
	}
	id, group := groupID(with)
	if !group {
		if err := add(with); err != nil {
			return err
		}
		if len(page.Parties) != 2 {
			return ErrUnknownRecipient
		}
		return nil
	}
	page.Group = id[:]
	r, err := getGroup(tx, id)
	if err != nil {
		return err
	}
	if r != nil {
		roster, err := r.roster()
		if err != nil {
			return err
		}
		for _, m := range roster.Members {
			if err := add(m.Address); err != nil {
				return err
			}
		}
	}
	// Who has written and is gone.
	err = tx.Scan(tableWire, []byte(with), firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		w, err := decodeRecord[wireRecord](row.Value)
		if err != nil {
			return err
		}
		env, err := content.DecodeEnvelope(w.Body)
		if err != nil {
			return ErrStoreDamaged
		}
		return add(env.From.String())
	})
	if err != nil {
		return err
	}
	return tx.Scan(tableWireKey, []byte(with), firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		k, err := decodeRecord[wireKeyRecord](row.Value)
		if err != nil || len(k.Seed) != 32 {
			return errors.Join(err, ErrStoreDamaged)
		}
		if people[k.From] != nil {
			page.Keys = append(page.Keys, transcript.Key{Epoch: k.Epoch, Address: k.From, Device: k.Device, Seed: [32]byte(k.Seed)})
		}
		return nil
	})
}

// textsOf finds the texts of a conversation by where their copies stand.
func (e *engine) textsOf(tx *vault.Tx, with string) (map[string]string, error) {
	out := map[string]string{}
	return out, scanMessages(tx, with, firstOrder, lastOrder, 0, false, func(m *messageRecord) error {
		if Kind(m.Kind) != KindText || m.Subject != "" || len(m.Signature) > 0 || len(m.ReplyTo) > 0 || len(m.Mentions) > 0 || m.ExpiresAt != 0 {
			return nil // their texts stand elsewhere in what was sealed
		}
		for _, p := range m.Positions {
			if !p.Own {
				out[textAt(p.Session, p.Chain, p.Number)] = m.Text
			}
		}
		if len(m.Chain) > 0 {
			out[textAt(m.Chain, 0, m.Index)] = m.Text
		}
		return nil
	})
}

// Transcript implements API.
func (c *Client) Transcript(ctx context.Context, with string) (*transcript.Transcript, error) {
	t := &transcript.Transcript{Kind: transcript.Pair}
	after := int64(firstOrder)
	known := map[string]bool{}
	for {
		page, err := run(ctx, c, callTranscript, transcriptQuery{With: with, After: after})
		if err != nil {
			return nil, err
		}
		if after == firstOrder {
			t.Parties, t.Keys = page.Parties, page.Keys
			if len(page.Group) == len(t.Group) {
				t.Kind, t.Group = transcript.Group, [16]byte(page.Group)
			}
			for _, p := range t.Parties {
				known[p.Address] = true
			}
		}
		t.Messages = append(t.Messages, page.Messages...)
		if !page.More {
			break
		}
		after = page.Last
	}
	// A contact who was removed has taken the keys along that name the sender.
	t.Messages = slices.DeleteFunc(t.Messages, func(m transcript.Message) bool {
		env, err := content.DecodeEnvelope(m.Envelope)
		return err != nil || !known[env.From.String()]
	})
	return t, t.Check()
}

// PublicKeys implements API.
func (c *Client) PublicKeys(ctx context.Context, who string) (transcript.Party, error) {
	return run(ctx, c, callPublicKeys, who)
}

// Record implements API.
func (c *Client) Record(ctx context.Context, with string, on bool) (Recording, error) {
	return run(ctx, c, callRecord, recordingQuery{with, on})
}

// Recordings implements API.
func (c *Client) Recordings(ctx context.Context) ([]Recording, error) {
	return run(ctx, c, callRecordings, none{})
}
