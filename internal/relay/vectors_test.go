package relay

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

// TestVectors writes down every object of the protocol, the bytes a login signs
// and the forms that are refused.
func TestVectors(t *testing.T) {
	object := vectorfile.Object
	names := []string{
		"relay-register", "relay-time", "relay-register-answer", "relay-hello", "relay-login", "relay-time",
		"relay-account", "relay-account-page", "relay-entry", "relay-upload", "relay-prekey-status",
		"relay-take", "relay-bundle", "relay-send", "relay-ack", "relay-deliver", "relay-mailbox-end",
		"relay-recover", "relay-recover-answer", "relay-recover-conflict", "relay-send-answer",
		"relay-group-create", "relay-group-append", "relay-group-placed", "relay-group-read", "relay-group-page",
		"relay-audience", "relay-group-send", "relay-group-send-answer",
	}
	var vectors []vectorfile.Vector
	done := map[string]bool{}
	for i, m := range examples() {
		if done[names[i]] {
			continue
		}
		done[names[i]] = true
		vectors = append(vectors, vectorfile.Positive(names[i][len("relay-"):], vectorfile.Fields{"object": object(names[i], codec.Marshal(m))}))
	}

	var serverNonce, clientNonce [NonceSize]byte
	copy(serverNonce[:], bytes.Repeat([]byte{1}, NonceSize))
	copy(clientNonce[:], bytes.Repeat([]byte{2}, NonceSize))
	seed := bytes.Repeat([]byte{3}, ed25519.SeedSize)
	device := ed25519.NewKeyFromSeed(seed)
	login := LoginRequest{User: "alice", Device: 7, Nonce: clientNonce, From: Epoch{4}, To: Epoch{5}}
	message := LoginMessage("example.org", &serverNonce, &login)
	login.Signature = ed25519.Sign(device, message)
	elsewhere := LoginMessage("example.com", &serverNonce, &login)
	if ed25519.Verify(device.Public().(ed25519.PublicKey), elsewhere, login.Signature) {
		t.Error("a login verifies for another server")
	}
	copies := SendRequest{To: "bob", ListVersion: 2, Messages: []Outgoing{{Device: 7, Body: []byte{1}}, {Device: 9, Body: []byte{2}}},
		Own: &OwnCopies{ListVersion: 4, Messages: []Outgoing{{Device: 5, Body: []byte{3}}}}}
	alone := SendRequest{To: "bob", ListVersion: 2, Messages: copies.Messages[:1], Own: &OwnCopies{ListVersion: 1, Messages: []Outgoing{}}}
	team := NewAudience([]GroupAudience{{User: "carol", Version: 1, Devices: []address.Device{3}},
		{User: "bob", Version: 2, Devices: []address.Device{9, 7}}, {User: "alice", Version: 1}})
	toTeam := GroupSend{Group: [16]byte{1}, Seq: 2, Head: [32]byte{5}, Token: [32]byte{4}, ID: MessageID{8}, Body: []byte{9}}
	hx := hex.EncodeToString
	public := hx(device.Public().(ed25519.PublicKey))
	body := codec.Marshal(&login)
	vectors = append(vectors,
		vectorfile.Positive("a login", vectorfile.Fields{
			"host": "example.org", "server_nonce": hx(serverNonce[:]), "sign_seed": hx(seed), "sign_public": public,
			"message": object("relay-login-message", message), "login": object("relay-login", body),
			"frame": object("relay-frame", AppendFrame(nil, Frame{ID: 1, Kind: uint64(OpLogin), Body: body})),
		}),
		vectorfile.Positive("an answer that refuses", vectorfile.Fields{
			"frame": object("relay-frame", AppendFrame(nil, Frame{ID: 300, Kind: uint64(RateLimited), Body: (&Error{RetryAfter: 90 * time.Second}).Body()})),
			"body":  object("relay-refusal", (&Error{RetryAfter: 90 * time.Second}).Body()),
		}),
		vectorfile.Positive("an answer that says stale", vectorfile.Fields{
			"frame": object("relay-frame", AppendFrame(nil, Frame{ID: 301, Kind: uint64(Stale), Body: (&Error{Version: 2}).Body()})),
			"body":  object("relay-refusal", (&Error{Version: 2}).Body()),
		}),
		vectorfile.Positive("an answer that says one's own list is stale", vectorfile.Fields{
			"body": object("relay-refusal", (&Error{Version: 3, Own: true, Entries: [][]byte{{1}, {2}}}).Body()),
		}),
		vectorfile.Positive("a send with own copies", vectorfile.Fields{"object": object("relay-send", copies.Encode())}),
		vectorfile.Positive("a send of a device that is alone", vectorfile.Fields{"object": object("relay-send", alone.Encode())}),
		vectorfile.Positive("a send that left an own device out", vectorfile.Fields{
			"object": object("relay-send-answer", (&SendAnswer{Own: []address.Device{5}}).Body()),
		}),
		vectorfile.Positive("an entry that does not end its epoch", vectorfile.Fields{
			"object": object("relay-group-append", codec.Marshal(&GroupAppend{Group: [16]byte{1}, Seq: 3, Prev: [32]byte{5}, Head: [32]byte{6}, Blob: []byte{7}, Token: [32]byte{4}})),
		}),
		vectorfile.Positive("an entry that was not placed", vectorfile.Fields{
			"object": object("relay-group-placed", codec.Marshal(&GroupPlaced{Seq: 9, Head: [32]byte{5}})),
		}),
		vectorfile.Positive("a message to a group and its audience", vectorfile.Fields{
			"audience": object("relay-audience", team.encoded), "audience_hash": hx(team.Hash[:]),
			"by_hash": object("relay-group-send", toTeam.Request(team, false)),
			"whole":   object("relay-group-send", toTeam.Request(team, true)),
		}),
		vectorfile.Positive("a message to a group that has moved on", vectorfile.Fields{
			"object": object("relay-group-send-answer", (&GroupSendAnswer{Stale: &GroupStale{Seq: 3, Head: [32]byte{6}}}).Body()),
		}),
		vectorfile.Positive("a message to a group whose members' lists have moved on", vectorfile.Fields{
			"object": object("relay-group-send-answer", (&GroupSendAnswer{Lists: []string{"bob", "alice"}}).Body()),
		}),
		vectorfile.Positive("a packet of a ping and a pong", vectorfile.Fields{
			"packet": hx(AppendFrame(AppendFrame(nil, Frame{Kind: uint64(OpPing)}), Frame{Kind: uint64(OpPong)})),
		}),
	)

	tokenHash := TokenHash("AAAAAAAAAAAAAAAAAAAAAA")
	vectors = append(vectors, vectorfile.Positive("an invite", vectorfile.Fields{
		"link":       Invite{Host: "example.org:443", Token: "AAAAAAAAAAAAAAAAAAAAAA", Pin: bytes.Repeat([]byte{0xff}, PinSize)}.String(),
		"host":       "example.org:443",
		"pin":        hx(bytes.Repeat([]byte{0xff}, PinSize)),
		"token_hash": hx(tokenHash[:]),
	}))

	refused := func(name, reason string, f vectorfile.Fields) {
		vectors = append(vectors, vectorfile.Negative(name, reason, f))
	}
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"a frame with a long head", []byte{0x83, 0x18, 0x01, 0x06, 0x40}},
		{"a frame of four items", []byte{0x84, 0x01, 0x06, 0x40, 0x40}},
		{"a frame of indefinite length", []byte{0x9f, 0x01, 0x06, 0x40, 0xff}},
		{"a frame whose body is text", []byte{0x83, 0x01, 0x06, 0x60}},
		{"a frame whose body is cut", []byte{0x83, 0x01, 0x06, 0x42, 0x00}},
	} {
		if _, _, err := CutFrame(c.frame); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", c.name, err)
		}
		refused(c.name, "relay.ErrFrame", vectorfile.Fields{"frame": map[string]any{
			"cddl": "relay-frame", "encoded": hx(c.frame), "cddl_refuses": true,
		}})
	}
	good := SendRequest{To: "bob", Messages: []Outgoing{{Device: 7, Body: []byte{1}}}}
	twice := good
	twice.Messages = append(twice.Messages, good.Messages[0])
	long := good
	long.TTL = int64(MaxTTL/time.Second) + 1
	none := SendRequest{To: "bob", Messages: []Outgoing{}}
	noVersion, ownTwice := good, good
	noVersion.Own = &OwnCopies{Messages: good.Messages}
	ownTwice.Own = &OwnCopies{ListVersion: 1, Messages: twice.Messages}
	unsorted := append([]byte{0xa2, 0x04}, good.Encode()[1+1+4+1:]...)
	unsorted = append(unsorted, 0x01, 0x63, 'b', 'o', 'b')
	for _, c := range []struct {
		name string
		body []byte
		cddl bool // whether the shape alone rules it out
	}{
		{"a send to one device twice", twice.Encode(), false},
		{"a send that lives too long", long.Encode(), true},
		{"a send of nothing", none.Encode(), true},
		{"a send with own copies of no version", noVersion.Encode(), true},
		{"a send with two copies for one own device", ownTwice.Encode(), false},
		{"a send with its keys out of order", unsorted, true},
		{"a send with a byte more", append(good.Encode(), 0), true},
	} {
		if _, err := DecodeSend(c.body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
		o := map[string]any{"cddl": "relay-send", "encoded": hx(c.body)}
		if c.cddl {
			o["cddl_refuses"] = true
		}
		refused(c.name, "relay.ErrMalformed", vectorfile.Fields{"object": o})
	}
	for _, c := range []struct {
		name string
		body []byte
		cddl bool
	}{
		{"a send answer that names nobody", codec.Marshal(&SendAnswer{}), false},
		{"a send answer with an empty array", []byte{0xa1, 0x01, 0x80}, true},
		{"a send answer out of order", codec.Marshal(&SendAnswer{Full: []address.Device{9, 7}}), false},
		{"a send answer with a device twice", codec.Marshal(&SendAnswer{Own: []address.Device{5, 5}}), false},
		{"a send answer with no device", codec.Marshal(&SendAnswer{Full: []address.Device{0}}), true},
		{"a send answer in which nobody has got it", codec.Marshal(&SendAnswer{Full: []address.Device{1, 2, 3, 4, 5, 6, 7, 8}}), true},
	} {
		if err := Decode(c.body, &SendAnswer{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
		o := map[string]any{"cddl": "relay-send-answer", "encoded": hx(c.body)}
		if c.cddl {
			o["cddl_refuses"] = true
		}
		refused(c.name, "relay.ErrMalformed", vectorfile.Fields{"object": o})
	}
	for _, c := range []struct {
		name, rule string
		m          Message
		cddl       bool
	}{
		{"a group entry that is the first", "relay-group-append", &GroupAppend{Seq: 1, Blob: []byte{1}}, true},
		{"a group entry whose next token is the present one", "relay-group-append", &GroupAppend{Seq: 2, Blob: []byte{1}, NextToken: make([]byte, 32)}, false},
		{"a group entry with a short next token", "relay-group-append", &GroupAppend{Seq: 2, Blob: []byte{1}, NextToken: make([]byte, 31)}, true},
		{"a page with a gap", "relay-group-page", &GroupPage{Seq: 3, Entries: []GroupEntry{{Seq: 1, Blob: []byte{1}}, {Seq: 3, Blob: []byte{1}}}}, false},
		{"a page that ends at another head", "relay-group-page", &GroupPage{Seq: 1, Head: [32]byte{1}, Entries: []GroupEntry{{Seq: 1, Blob: []byte{1}}}}, false},
		{"an audience of nobody", "relay-audience", &audienceList{}, true},
		{"an audience that names a user twice", "relay-audience", &audienceList{[]GroupAudience{{User: "bob", Version: 1}, {User: "bob", Version: 1}}}, false},
		{"an audience out of order", "relay-audience", &audienceList{[]GroupAudience{{User: "bob", Version: 1}, {User: "alice", Version: 1}}}, false},
		{"an audience of no version", "relay-audience", &audienceList{[]GroupAudience{{User: "bob"}}}, true},
		{"a message to a group without a body", "relay-group-send", &GroupSendRequest{Seq: 1}, true},
		{"a group send answer that says two things", "relay-group-send-answer", &GroupSendAnswer{Stale: &GroupStale{Seq: 1}, Lists: []string{"bob"}}, false},
		{"a group send answer that says nothing", "relay-group-send-answer", &GroupSendAnswer{}, false},
	} {
		body := codec.Marshal(c.m)
		if err := Decode(body, kindOf(c.m)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
		o := map[string]any{"cddl": c.rule, "encoded": hx(body)}
		if c.cddl {
			o["cddl_refuses"] = true
		}
		refused(c.name, "relay.ErrMalformed", vectorfile.Fields{"object": o})
	}
	for name, link := range map[string]string{
		"an invite with a cut pin": "pawl://example.org/invite/AAAAAAAAAAAAAAAAAAAAAA?pin=AAAA",
	} {
		if _, err := ParseInvite(link); !errors.Is(err, ErrInvite) {
			t.Errorf("%s: %v", name, err)
		}
		refused(name, "relay.ErrInvite", vectorfile.Fields{"link": link})
	}
	vectorfile.Check(t, "../../spec/vectors/relay.json", "relay", vectors)
}
