package transcript

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/kem"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

// Field is one field of a message.
type Field struct {
	Name    string
	Bytes   int    // how long it is on the wire, its length in front not counted
	Value   string // a number, a name, or bytes in hexadecimal, the first ones of a long field
	Meaning string
}

// Explained is one message taken apart.
type Explained struct {
	Number   int // from 0
	At       string
	From, To string // addresses; To is empty in a group
	Type     string // message, farewell, group, or malformed
	Size     int    // of the envelope in bytes
	Fields   []Field
}

// Explain takes every message apart (R-TRN-04). Nothing in it takes a key.
func (t *Transcript) Explain() ([]Explained, error) {
	x, err := t.index()
	if err != nil {
		return nil, err
	}
	out := make([]Explained, len(t.Messages))
	for i := range t.Messages {
		out[i] = x.explain(i)
	}
	return out, nil
}

func (x *index) explain(i int) Explained {
	env := &x.envs[i]
	e := Explained{
		Number: i, At: x.Messages[i].At.UTC().Format("2006-01-02T15:04:05.000Z"),
		From: env.From.String(), Size: len(x.Messages[i].Envelope),
	}
	e.add("from", len(e.From), e.From, "who says to have sent it; the server saw who logged in")
	e.add("from_device", 8, env.Device.String(), "the sending device, of its public device list")
	if x.Kind == Group {
		e.group(env.Message)
	} else {
		e.To = x.Parties[1-x.from[i].party].Address
		e.add("to_device", 8, env.To.String(), "the receiving device")
		e.initial(env.Initial)
		e.ratchet(env.Message)
	}
	if p := x.Messages[i].Place; p != nil {
		e.add("claimed_place", 0, fmt.Sprintf("session %x, chain %d, number %d", p.Session, p.Chain, p.Number), "not on the wire: where it stands, as the one who made the transcript says")
	}
	if x.Messages[i].Text != "" {
		e.add("claimed_text", 0, x.Messages[i].Text, "not on the wire: what it says, as the one who made the transcript says")
	}
	return e
}

func (e *Explained) add(name string, n int, value, meaning string) {
	e.Fields = append(e.Fields, Field{name, n, value, meaning})
}

// bytes adds a field of bytes; of long ones the beginning.
func (e *Explained) bytes(name string, b []byte, meaning string) {
	const shown = 64
	v := hex.EncodeToString(b[:min(len(b), shown)])
	if len(b) > shown {
		v += "…"
	}
	e.add(name, len(b), v, meaning)
}

func (e *Explained) initial(b []byte) {
	if len(b) == 0 {
		return
	}
	i, err := x3dh.ParseInitial(b)
	if err != nil {
		e.bytes("first_message", b, "what begins a session; malformed")
		return
	}
	e.bytes("identity_key", i.Identity.Bytes(), "the sender's long-term X25519 key, public in their device list")
	e.bytes("ephemeral_key", i.Ephemeral.Bytes(), "X25519, made for this session; anybody can make one")
	e.add("signed_prekey_id", 8, strconv.FormatUint(i.SignedID, 10), "which signed prekey of the receiver was used")
	if i.OneTimeID != 0 {
		e.add("one_time_prekey_id", 8, strconv.FormatUint(i.OneTimeID, 10), "which one-time prekey of the receiver was used")
	}
	kind := "one-time"
	if i.KEMKind == x3dh.KEMLastResort {
		kind = "last resort"
	}
	e.add("kem_prekey_id", 8, strconv.FormatUint(i.KEMID, 10), "which ML-KEM-1024 prekey of the receiver was used: "+kind)
	e.add("kem_ciphertext", kem.CiphertextSize, "", "a secret encapsulated for that key; anybody can make one")
	e.bytes("session_id", i.ID[:], "hash of the first message; it is not sent")
}

func (e *Explained) ratchet(b []byte) {
	w, err := ratchet.ParseMessage(b)
	if err != nil {
		e.Type = "malformed"
		e.bytes("message", b, "not a message of a session")
		return
	}
	e.Type = "message"
	if w.Type == ratchet.TypeFarewell {
		e.Type = "farewell"
	}
	e.add("type", 1, e.Type, "an ordinary message, or the last one of a session")
	e.bytes("salt", w.Salt, "random, for header and body")
	e.bytes("header", w.Header, "encrypted: the sender's ratchet key, the post-quantum epoch and the message's number; only the two devices read it")
	for _, seed := range w.Disclosed {
		e.bytes("disclosed_key", seed[:], "key of the tags of a closed chain of the other side: from now on everybody can make its messages")
	}
	e.bytes("body", w.Body, "encrypted and padded: a stream cipher, so that who knows the text can put another in its place")
	e.bytes("tag", w.Tag, "HMAC over everything before it and both identities, under a key that both devices hold")
}

func (e *Explained) group(b []byte) {
	w, err := groups.ParseMessage(b)
	if err != nil {
		e.Type = "malformed"
		e.bytes("message", b, "not a message of a group")
		return
	}
	e.Type = "group"
	e.add("chain", len(w.Chain), w.Chain.String(), "hash of group, epoch, device and the chain's public key")
	e.add("index", 4, strconv.FormatUint(uint64(w.Index), 10), "of the message in its chain")
	e.add("seq", 8, strconv.FormatUint(w.Seq, 10), "how long the roster log was for the sender")
	e.bytes("head", w.Head[:], "hash of that log")
	e.bytes("body", w.Body, "encrypted and padded: a stream cipher")
	e.bytes("signature", w.Signature[:], "Ed25519 under the key of the chain, which belongs to no one by its own word and is disclosed when the chain is closed")
}
