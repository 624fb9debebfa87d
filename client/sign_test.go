package client

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/backup"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// kept is the last message that is no notice, and the notices since.
func (c *circle) kept(who, with string) (last Message, notices []string) {
	c.t.Helper()
	all, err := c.of[who].History(c.t.Context(), with, 50, "")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == KindNotice {
			notices = append(notices, m.Notice)
		} else {
			last = m
		}
	}
	return last, notices
}

// R-TRN-20, R-TRN-21, R-TRN-22: between two people and in a group a signature
// holds where it comes, and proves the message offline; unsigned, nothing does.
func TestR_TRN_21_Signed(t *testing.T) {
	c, group := talkers(t, "alice", "bob")
	ctx := t.Context()
	bob, alice := c.of["bob"].Account(), c.of["alice"].Account()
	for _, to := range []string{bob.Address, group} {
		sent, err := c.of["alice"].Send(ctx, to, "I owe you ten.", SendOptions{Sign: true, Subject: "debts"})
		if err != nil || sent.Signature != SignatureValid {
			t.Fatalf("%+v, %v", sent, err)
		}
		c.look("bob")
		with := to
		if to == bob.Address {
			with = alice.Address
		}
		c.until("the message", func() bool {
			m, _ := c.kept("bob", with)
			return m.ID == sent.ID
		}, "bob")
		m, _ := c.kept("bob", with)
		if m.Signature != SignatureValid {
			t.Fatalf("%+v", m)
		}
		for _, who := range []string{"alice", "bob"} {
			file, err := c.of[who].Proof(ctx, m.ID)
			if err != nil {
				t.Fatal(who, err)
			}
			p, err := VerifyProof(file)
			if err != nil || p.Text != "I owe you ten." || p.Subject != "debts" || p.To != to || p.Author != alice.Address || p.Identity != alice.Identity || !p.SentAt.Equal(sent.SentAt) {
				t.Errorf("%+v, %v", p, err)
			}
			file[len(file)-1] ^= 1
			if _, err := VerifyProof(file); err == nil {
				t.Error("an altered proof holds")
			}
		}
		plain, err := c.of["alice"].Send(ctx, to, "I owe you nothing.", SendOptions{})
		if err != nil || plain.Signature != SignatureNone {
			t.Fatal(plain, err)
		}
		if _, err := c.of["alice"].Proof(ctx, plain.ID); !errors.Is(err, ErrNotSigned) {
			t.Errorf("unsigned: %v", err)
		}
	}
	// A copy of the history has it too.
	id, err := content.ParseID(mustLast(t, c, alice.Address).ID)
	if err != nil {
		t.Fatal(err)
	}
	e := c.of["bob"].engine
	err = e.view(ctx, func(tx *vault.Tx) error {
		m, _, _, err := getMessage(tx, id[:])
		if err != nil {
			return err
		}
		saved := m.saved()
		again, err := backup.DecodeMessage(saved.Encode())
		if err != nil {
			return err
		}
		if r := restored(again, 1); r.Signed != m.Signed || !bytes.Equal(r.Signature, m.Signature) || r.Signed != signatureValid {
			t.Errorf("%+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyProof([]byte("pawl proof\n")); !errors.Is(err, ErrNotProof) {
		t.Error(err)
	}
}

// mustLast is the last signed message that bob has from somebody.
func mustLast(t *testing.T, c *circle, with string) Message {
	t.Helper()
	all, err := c.of["bob"].History(t.Context(), with, 50, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Backward(all) {
		if m.Signature == SignatureValid {
			return m
		}
	}
	t.Fatal("bob has no signed message")
	return Message{}
}

// R-TRN-21: a signature that does not hold, because it is of another text, of
// another conversation or nothing at all, costs the message nothing.
func TestBadSignatures(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol")
	ctx := t.Context()
	e := c.of["alice"].engine
	bob, err := e.resolve(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.of["alice"].Send(ctx, "bob", "hello", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	text := func(s string) content.Content {
		t.Helper()
		x, err := content.NewText(content.NewID(), time.Now(), 0, content.Text{Text: s})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	signed := func(s, to string) content.Content {
		t.Helper()
		x, err := e.sign(text(s), to)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	with := func(x content.Content, signature []byte) content.Content {
		t.Helper()
		x.Text.Signature = signature
		x, err := content.NewText(x.ID, x.SentAt, x.TTL, x.Text)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	ten := signed("I owe you ten.", bob.String())
	for i, x := range []content.Content{
		with(text("I owe you one."), ten.Text.Signature),          // of another message
		signed("I owe you ten.", c.of["carol"].Account().Address), // for somebody else
		with(text("I owe you two."), make([]byte, 64)),
	} {
		p, err := e.recipient(ctx, bob, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.enqueue(ctx, bob, p, x, x); err != nil {
			t.Fatal(err)
		}
		c.look("alice", "bob")
		c.until("the message", func() bool {
			m, _ := c.kept("bob", "alice")
			return m.Text == x.Text.Text && m.ID == x.ID.String()
		}, "alice", "bob")
		m, notices := c.kept("bob", "alice")
		if m.Signature != SignatureInvalid || !slices.Contains(notices, NoticeBadSignature) || len(notices) < i+1 {
			t.Errorf("%+v, %v", m, notices)
		}
		if _, err := c.of["bob"].Proof(ctx, m.ID); !errors.Is(err, ErrNotSigned) {
			t.Errorf("a bad signature proves: %v", err)
		}
	}
}

// R-TRN-22: what is stored and not what was signed is not proven.
func TestEditedIsNotProven(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := t.Context()
	m, err := c.of["alice"].Send(ctx, "bob", "I owe you ten.", SendOptions{Sign: true})
	if err != nil {
		t.Fatal(err)
	}
	e := c.of["alice"].engine
	err = e.update(ctx, func(tx *vault.Tx) error {
		id, err := content.ParseID(m.ID)
		if err != nil {
			return err
		}
		r, order, _, err := getMessage(tx, id[:])
		if err != nil {
			return err
		}
		r.order, r.Text = order, "I owe you one."
		return putMessage(tx, &r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.of["alice"].Proof(ctx, m.ID); !errors.Is(err, ErrNotSigned) {
		t.Error(err)
	}
}
