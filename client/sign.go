package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/proof"
	"github.com/pawl-chat/pawl/internal/vault"
)

// Signatures that a person asks for, one message at a time (R-TRN-20): from
// then on everybody who has the message can prove who wrote it.

// SignatureState is whether a message carries a signature of its sender's
// device, and whether it holds. Almost all are empty.
type SignatureState string

// States of a signature.
const (
	SignatureNone    SignatureState = ""
	SignatureValid   SignatureState = "valid"   // by the device, on the list as it was held when the message came
	SignatureInvalid SignatureState = "invalid" // there was one that does not hold: the message is as good as unsigned
)

// The stored form of a SignatureState.
const (
	signatureValid   = 1
	signatureInvalid = 2
)

// Errors about proofs.
var (
	// ErrNotSigned: the message carries no signature that holds.
	ErrNotSigned = errors.New("that message is not signed")
	// ErrNotProof: the file is no proof.
	ErrNotProof = errors.New("that is not a proof")
	// ErrProofNewer: the proof is of a later version.
	ErrProofNewer = errors.New("the proof was made by a newer version")
	// ErrProofFails: the proof does not hold; the error says what of it.
	ErrProofFails = errors.New("the proof does not hold")
)

// statement is what the signature of a message is over.
func (r *messageRecord) statement(account []byte) *proof.Statement {
	return &proof.Statement{
		Account: account, Author: r.From, Device: r.FromDevice, To: r.To, ID: r.receiptID(),
		SentAt: time.UnixMilli(r.SentAt).UTC(), Text: r.Text, Subject: r.Subject, ReplyTo: r.ReplyTo, Mentions: r.Mentions,
	}
}

// sign has this device sign a text that goes to to.
func (e *engine) sign(c content.Content, to string) (content.Content, error) {
	r := e.outgoing(c, to)
	r.Mentions = c.Text.Mentions
	t := c.Text
	t.Signature = r.statement(e.self.own.Account).Sign(e.self.sign)
	c, err := content.NewText(c.ID, c.SentAt, c.TTL, t)
	if errors.Is(err, content.ErrTooLong) {
		err = fmt.Errorf("%w: there is no room for a signature", ErrTooLong)
	}
	return c, err
}

// checkSignature notes what there is of a signature on a message that has come,
// held against the device list of p. A bad one changes nothing else (R-TRN-21).
func (r *messageRecord) checkSignature(c content.Content, p *person) {
	if c.Kind != content.KindText || len(c.Text.Signature) == 0 {
		return
	}
	r.Signature, r.Signed = c.Text.Signature, signatureInvalid
	if p == nil {
		return
	}
	if d, ok := p.list.Device(address.Device(r.FromDevice)); ok && r.statement(p.list.Account).Holds(d.Sign, r.Signature) {
		r.Signed = signatureValid
	}
}

// checked notes the signature of a message that has come, and tells the person
// of a bad one (R-TRN-21).
func (w *work) checked(r *messageRecord, c content.Content) error {
	if len(c.Text.Signature) == 0 {
		return nil
	}
	r.Signed = 0
	if len(r.ID) == 0 {
		r.ID = c.ID[:]
	}
	p, err := w.person(r.From)
	if err == nil {
		r.checkSignature(c, p)
	}
	return err
}

// badSignature tells of a signature that does not hold.
func (w *work) badSignature(r *messageRecord) error {
	if r.Signed != signatureInvalid {
		return nil
	}
	w.e.log.Warn("a message has a signature that does not hold")
	n := notice{kind: NoticeBadSignature}
	if _, group := groupID(r.Conversation); group {
		n.by = r.From
	}
	return w.e.putNotice(w.tx, r.Conversation, n)
}

// Proof returns a bundle that proves who wrote a signed message (R-TRN-22).
func (e *engine) Proof(ctx context.Context, id string) (out []byte, err error) {
	key, err := content.ParseID(id)
	if err != nil {
		return nil, &wrapped{ErrNotFound, err}
	}
	if err := e.expire(ctx); err != nil {
		return nil, err
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		m, _, ok, err := getMessage(tx, key[:])
		if err != nil || !ok {
			return errors.Join(err, ErrNotFound)
		}
		if m.Signed != signatureValid {
			return ErrNotSigned
		}
		p, err := e.readPerson(tx, m.From)
		if err != nil || p == nil {
			return errors.Join(err, ErrUnknownRecipient)
		}
		b := proof.Proof{Statement: *m.statement(p.list.Account), Signature: m.Signature, Chain: p.record.Chain}
		d, ok := p.list.Device(address.Device(m.FromDevice))
		if !ok || !b.Holds(d.Sign, b.Signature) {
			return fmt.Errorf("%w: what is stored of it is not what was signed", ErrNotSigned)
		}
		out = b.Encode()
		return nil
	})
	return out, err
}

var callProof = method[string, []byte]{"proof", func(ctx context.Context, e *engine, id string) ([]byte, error) {
	return e.Proof(ctx, id)
}}

// Proof implements API.
func (c *Client) Proof(ctx context.Context, id string) ([]byte, error) {
	return run(ctx, c, callProof, id)
}

// Proven is what a proof shows.
type Proven struct {
	Author     string
	Device     string
	DeviceName string
	To         string // address, or the id of a group
	ID         string
	SentAt     time.Time // the author's word
	Text       string
	Subject    string
	ReplyTo    string
	Mentions   []string
	Identity   string    // fingerprint of the author's account key: whose it is, is not proven
	AddedAt    time.Time // of the device
	RevokedAt  time.Time // zero when the list in the proof does not revoke it
	List       uint64    // version of the device list in the proof
	ListAt     time.Time
}

// VerifyProof checks a proof (R-TRN-23). It takes no account and asks nobody.
// ErrNotProof, ErrProofNewer, ErrProofFails.
func VerifyProof(file []byte) (Proven, error) {
	p, err := proof.Parse(file)
	switch {
	case errors.Is(err, proof.ErrVersion):
		return Proven{}, ErrProofNewer
	case err != nil:
		return Proven{}, ErrNotProof
	}
	r, err := p.Verify()
	if err != nil {
		return Proven{}, &wrapped{ErrProofFails, err}
	}
	out := Proven{
		Author: p.Author, Device: address.Device(p.Device).String(), DeviceName: r.DeviceName, To: p.To, ID: content.ID(p.ID).String(),
		SentAt: p.SentAt, Text: p.Text, Subject: p.Subject, Mentions: p.Mentions,
		Identity: r.Identity, AddedAt: r.AddedAt, RevokedAt: r.RevokedAt, List: r.List, ListAt: r.ListAt,
	}
	if len(p.ReplyTo) == len(content.ID{}) {
		out.ReplyTo = content.ID(p.ReplyTo).String()
	}
	return out, nil
}

// MaxProof bounds a proof in bytes.
const MaxProof = proof.MaxProof
