package relay

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// kinds returns an empty message of every kind, in a fixed order.
func kinds() []Message {
	return []Message{
		&RegisterRequest{}, &RegisterResult{}, &RegisterResponse{}, &Hello{}, &LoginRequest{}, &LoginResult{},
		&AccountRequest{}, &AccountResult{}, &PutDeviceListRequest{}, &PutPrekeysRequest{}, &PrekeyStatus{},
		&TakeBundleRequest{}, &TakeBundleResult{}, &SendRequest{}, &AckRequest{}, &Deliver{}, &MailboxEndResult{},
		&RecoverRequest{}, &RecoverResponse{}, &RecoverConflict{}, &SendAnswer{},
		&GroupCreate{}, &GroupAppend{}, &GroupPlaced{}, &GroupRead{}, &GroupPage{}, &audienceList{}, &GroupSendRequest{}, &GroupSendAnswer{},
	}
}

// examples returns a valid message of every kind.
func examples() []Message {
	return []Message{
		&RegisterRequest{Invite: "token", Entry: []byte{1}, Upload: []byte{2}},
		&RegisterResult{Time: 1},
		&RegisterResponse{Code: 3, Body: []byte{}},
		&Hello{Nonce: [NonceSize]byte{9}},
		&LoginRequest{User: "alice", Device: 7, Signature: make([]byte, 64)},
		&LoginResult{Time: 1},
		&AccountRequest{User: "alice", From: 1},
		&AccountResult{Entries: [][]byte{{1}, {2}}, More: true},
		&PutDeviceListRequest{Entry: []byte{1}},
		&PutPrekeysRequest{Upload: []byte{1}},
		&PrekeyStatus{EC: 100, KEM: 99},
		&TakeBundleRequest{User: "alice", Device: 7},
		&TakeBundleResult{Bundle: []byte{1}},
		&SendRequest{To: "bob", ListVersion: 1, TTL: 60, Messages: []Outgoing{{Device: 7, Body: []byte{1}}}},
		&AckRequest{Seqs: []uint64{1, 2}},
		&Deliver{Messages: []Delivery{{Seq: 1, At: 1, Body: []byte{1}}}, Empty: true},
		&MailboxEndResult{Seq: 9},
		&RecoverRequest{Entry: []byte{1}, Upload: []byte{2}},
		&RecoverResponse{Code: 4, Body: []byte{1}},
		&RecoverConflict{Version: 2, Entries: [][]byte{{1}}},
		&SendAnswer{Full: []address.Device{7, 9}, Own: []address.Device{5}},
		&GroupCreate{Group: [16]byte{1}, Head: [32]byte{2}, Blob: []byte{3}, Token: [32]byte{4}},
		&GroupAppend{Group: [16]byte{1}, Seq: 2, Prev: [32]byte{2}, Head: [32]byte{5}, Blob: []byte{6}, Token: [32]byte{4}, NextToken: bytes.Repeat([]byte{7}, 32)},
		&GroupPlaced{Ok: true, Seq: 2, Head: [32]byte{5}},
		&GroupRead{Group: [16]byte{1}, From: 1, Token: [32]byte{4}},
		&GroupPage{Entries: []GroupEntry{{Seq: 1, Head: [32]byte{2}, Blob: []byte{3}}, {Seq: 2, Prev: [32]byte{2}, Head: [32]byte{5}, Blob: []byte{6}}},
			Seq: 2, Head: [32]byte{5}, Moved: true},
		&audienceList{[]GroupAudience{{User: "alice", Version: 2, Devices: []address.Device{}}, {User: "bob", Version: 1, Devices: []address.Device{7, 9}}}},
		&GroupSendRequest{Group: [16]byte{1}, Seq: 2, Head: [32]byte{5}, Token: [32]byte{4}, ID: MessageID{8}, TTL: 60, Body: []byte{9}, Hash: NewAudience(giant(1, 1)).Hash, Audience: NewAudience(giant(1, 1)).encoded},
		&GroupSendAnswer{Full: []GroupFull{{User: "bob", Devices: []address.Device{7, 9}}}},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	for i, m := range examples() {
		b := codec.Marshal(m)
		got := kinds()[i]
		if err := Decode(b, got); err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if !bytes.Equal(codec.Marshal(got), b) {
			t.Errorf("%T changes on the way", m)
		}
		for n := range b {
			if err := Decode(b[:n], kinds()[i]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%T: a prefix of %d bytes: %v", m, n, err)
			}
		}
		if err := Decode(append(b, 0), kinds()[i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%T with a byte more: %v", m, err)
		}
	}
}

// R-REL-07: every bound of a message is held.
func TestR_REL_07_MessagesRefused(t *testing.T) {
	long := func(n int) []byte { return make([]byte, n) }
	user := string(bytes.Repeat([]byte("u"), MaxUser+1))
	one := Outgoing{Device: 7, Body: []byte{1}}
	var nine []Outgoing
	for i := range MaxDevices + 1 {
		nine = append(nine, Outgoing{Device: address.Device(i + 1), Body: []byte{1}})
	}
	for i, m := range []Message{
		&RegisterRequest{Entry: long(MaxEntry + 1), Upload: long(1)},
		&RegisterRequest{Entry: long(1), Upload: long(MaxUpload + 1)},
		&RegisterRequest{Entry: long(1)},
		&RegisterRequest{Invite: string(long(MaxToken + 1)), Entry: long(1), Upload: long(1)},
		&LoginRequest{User: "", Device: 1, Signature: long(64)},
		&LoginRequest{User: user, Device: 1, Signature: long(64)},
		&LoginRequest{User: "a", Device: 0, Signature: long(64)},
		&LoginRequest{User: "a", Device: 1, Signature: long(63)},
		&AccountRequest{User: "a", From: 0},
		&AccountResult{Entries: [][]byte{}, More: true},
		&AccountResult{Entries: [][]byte{{}}},
		&PutDeviceListRequest{},
		&PutPrekeysRequest{},
		&PrekeyStatus{EC: 1 << 16},
		&TakeBundleRequest{User: "a"},
		&TakeBundleResult{Bundle: long(MaxBundle + 1)},
		&SendRequest{To: "bob"},
		&SendRequest{To: "bob", TTL: -1, Messages: []Outgoing{one}},
		&SendRequest{To: "bob", TTL: int64(MaxTTL/time.Second) + 1, Messages: []Outgoing{one}},
		&SendRequest{To: "bob", Messages: []Outgoing{one, one}},
		&SendRequest{To: "bob", Messages: []Outgoing{{Device: 7}}},
		&SendRequest{To: "bob", Messages: []Outgoing{{Body: []byte{1}}}},
		&SendRequest{To: "bob", Messages: nine},
		&SendRequest{To: "bob", Messages: []Outgoing{}, Own: &OwnCopies{ListVersion: 1, Messages: []Outgoing{one}}},
		&SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 1, Messages: nine}},
		&SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{Messages: []Outgoing{one}}},
		&SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 1, Messages: []Outgoing{one, one}}},
		&SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 1, Messages: []Outgoing{{Device: 7, Body: []byte{}}}}},
		&SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 1, Messages: []Outgoing{{Body: []byte{1}}}}},
		&SendAnswer{}, // R-REL-35
		&SendAnswer{Full: []address.Device{0}},
		&SendAnswer{Full: []address.Device{9, 7}},
		&SendAnswer{Own: []address.Device{7, 7}},
		&SendAnswer{Full: []address.Device{1, 2, 3, 4, 5, 6, 7, 8}},
		&SendAnswer{Own: []address.Device{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		// R-REL-51: what a group's requests and answers are held to.
		&GroupCreate{},
		&GroupCreate{Blob: long(MaxGroupBlob + 1)},
		&GroupAppend{Seq: 2},
		&GroupAppend{Seq: 1, Blob: long(1)},
		&GroupAppend{Seq: MaxGroupEntries + 1, Blob: long(1)},
		&GroupAppend{Seq: 2, Blob: long(MaxGroupBlob + 1)},
		&GroupAppend{Seq: 2, Blob: long(1), NextToken: long(31)},
		&GroupAppend{Seq: 2, Blob: long(1), NextToken: long(33)},
		&GroupAppend{Seq: 2, Blob: long(1), NextToken: long(32)}, // the token of before
		&GroupPlaced{},
		&GroupPlaced{Seq: MaxGroupEntries + 1},
		&GroupRead{},
		&GroupPage{},
		&GroupPage{Seq: MaxGroupEntries + 1},
		&GroupPage{Seq: 2, More: true},
		&GroupPage{Seq: 2, Entries: []GroupEntry{{Seq: 1, Blob: long(1)}}},
		&GroupPage{Seq: 2, More: true, Entries: []GroupEntry{{Seq: 2, Blob: long(1)}}},
		&GroupPage{Seq: 2, Entries: []GroupEntry{{Seq: 2, Head: [32]byte{1}, Blob: long(1)}}},
		&GroupPage{Seq: 2, Entries: []GroupEntry{{Seq: 3, Blob: long(1)}}},
		&GroupPage{Seq: 2, Entries: []GroupEntry{{Seq: 0, Blob: long(1)}, {Seq: 1, Blob: long(1)}, {Seq: 2, Blob: long(1)}}},
		&GroupPage{Seq: 3, Entries: []GroupEntry{{Seq: 1, Blob: long(1)}, {Seq: 3, Blob: long(1)}}},
		&GroupPage{Seq: 2, Entries: []GroupEntry{{Seq: 1, Blob: long(1)}, {Seq: 2, Prev: [32]byte{1}, Blob: long(1)}}},
		&GroupPage{Seq: 1, Entries: []GroupEntry{{Seq: 1}}},
		&GroupPage{Seq: 1, Entries: []GroupEntry{{Seq: 1, Blob: long(MaxGroupBlob + 1)}}},
		&audienceList{},
		&audienceList{[]GroupAudience{{User: "", Version: 1}}},
		&audienceList{[]GroupAudience{{User: user, Version: 1}}},
		&audienceList{[]GroupAudience{{User: "bob"}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1}, {User: "bob", Version: 1}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1}, {User: "alice", Version: 1}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1, Devices: []address.Device{0}}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1, Devices: []address.Device{7, 7}}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1, Devices: []address.Device{9, 7}}}},
		&audienceList{[]GroupAudience{{User: "bob", Version: 1, Devices: []address.Device{1, 2, 3, 4, 5, 6, 7, 8, 9}}}},
		&audienceList{giant(MaxAudience+1, 1)},
		&audienceList{giant(MaxAudienceDevices/8+1, 8)},
		&GroupSendRequest{Seq: 1},
		&GroupSendRequest{Body: long(1)},
		&GroupSendRequest{Seq: MaxGroupEntries + 1, Body: long(1)},
		&GroupSendRequest{Seq: 1, Body: long(1), TTL: -1},
		&GroupSendRequest{Seq: 1, Body: long(1), TTL: int64(MaxTTL/time.Second) + 1},
		&GroupSendAnswer{},
		&GroupSendAnswer{Stale: &GroupStale{}},
		&GroupSendAnswer{Stale: &GroupStale{Seq: 1}, Lists: []string{"bob"}},
		&GroupSendAnswer{Lists: []string{"bob"}, Full: []GroupFull{{User: "bob", Devices: []address.Device{1}}}},
		&GroupSendAnswer{Lists: []string{"bob", "alice"}},
		&GroupSendAnswer{Lists: []string{""}},
		&GroupSendAnswer{Full: []GroupFull{{User: "bob"}}},
		&GroupSendAnswer{Full: []GroupFull{{User: "bob", Devices: []address.Device{9, 7}}}},
		&GroupSendAnswer{Full: []GroupFull{{User: "bob", Devices: []address.Device{1}}, {User: "bob", Devices: []address.Device{2}}}},
		&AckRequest{},
		&AckRequest{Seqs: make([]uint64, MaxAcks+1)},
		&Deliver{},
		&Deliver{Messages: []Delivery{{Seq: 0, Body: []byte{1}}}},
		&Deliver{Messages: []Delivery{{Seq: 2, Body: []byte{1}}, {Seq: 2, Body: []byte{1}}}},
		&Deliver{Messages: []Delivery{{Seq: 2, Body: long(MaxEnvelope + 1)}}},
		&Deliver{Messages: []Delivery{{Seq: 2, At: -1, Body: []byte{1}}}},
	} {
		again := kindOf(m)
		if err := Decode(codec.Marshal(m), again); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d: %T is accepted", i, m)
		}
		if s, ok := m.(*SendRequest); ok {
			if _, err := DecodeSend(s.Encode()); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d: the written-out decoder accepts it", i)
			}
		}
	}
	large := SendRequest{To: "bob", Messages: []Outgoing{{Device: 7, Body: long(MaxEnvelope + 1)}}}
	if got, err := DecodeSend(large.Encode()); err != nil || !got.TooLarge() {
		t.Errorf("an envelope over the limit: %v", err)
	}
	large = SendRequest{To: "bob", Messages: []Outgoing{one}, Own: &OwnCopies{ListVersion: 1, Messages: large.Messages}}
	if got, err := DecodeSend(large.Encode()); err != nil || !got.TooLarge() {
		t.Errorf("an own copy over the limit: %v", err)
	}
}

// giant is an audience of so many users with so many devices each.
func giant(users, devices int) []GroupAudience {
	var all []GroupAudience
	for i := range users {
		m := GroupAudience{User: fmt.Sprintf("user%06d", i), Version: 1}
		for d := range devices {
			m.Devices = append(m.Devices, address.Device(d+1))
		}
		all = append(all, m)
	}
	return all
}

// R-REL-47: an audience has one encoding and one hash, in whatever order its
// members are named, and the largest fits a request with the largest body.
func TestR_REL_47_Audience(t *testing.T) {
	members := giant(MaxAudienceDevices/8, 8)
	for i := range members {
		members[i].User += string(bytes.Repeat([]byte("u"), MaxUser-len(members[i].User)))
		for d := range members[i].Devices {
			members[i].Devices[d] += 1 << 63
		}
	}
	a := NewAudience(members)
	mixed := slices.Clone(members)
	slices.Reverse(mixed)
	for i := range mixed {
		mixed[i].Devices = slices.Clone(mixed[i].Devices)
		slices.Reverse(mixed[i].Devices)
	}
	if b := NewAudience(mixed); b.Hash != a.Hash {
		t.Error("the order of the members makes another audience")
	}
	members[0].Version++
	if NewAudience(members).Hash == a.Hash {
		t.Error("another version is the same audience")
	}
	g := GroupSend{Seq: MaxGroupEntries, TTL: int64(MaxTTL / time.Second), Body: make([]byte, MaxEnvelope)}
	body := g.Request(a, true)
	if FrameSize(len(body)) > MaxPacket {
		t.Fatalf("a frame of %d bytes", FrameSize(len(body)))
	}
	var r GroupSendRequest
	if err := Decode(body, &r); err != nil || r.TooLarge() {
		t.Fatal(err)
	}
	got, err := ParseAudience(r.Audience)
	if err != nil || got.Hash != a.Hash || !reflect.DeepEqual(got.Members(), a.Members()) {
		t.Fatalf("the audience changes on the way: %v", err)
	}
	r.Body = make([]byte, MaxEnvelope+1)
	if Decode(codec.Marshal(&r), &r) != nil || !r.TooLarge() {
		t.Error("a body over the limit has no code of its own")
	}
	if _, err := ParseAudience(codec.Marshal(&audienceList{giant(MaxAudience, 4)})); err != nil {
		t.Errorf("the largest audience: %v", err)
	}
	answer := GroupSendAnswer{}
	for _, m := range giant(MaxAudience, 4) {
		answer.Full = append(answer.Full, GroupFull{User: m.User, Devices: m.Devices})
	}
	if err := Decode(answer.Body(), new(GroupSendAnswer)); err != nil {
		t.Errorf("the largest answer: %v", err)
	}
}

// FuzzParseAudience: what is accepted has that encoding, and within the bounds.
func FuzzParseAudience(f *testing.F) {
	f.Add(codec.Marshal(&audienceList{giant(3, 2)}))
	f.Add(codec.Marshal(&audienceList{giant(1, 0)}))
	f.Add(codec.Marshal(&audienceList{giant(2, 9)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAudience(b)
		if err != nil {
			return
		}
		if !bytes.Equal(codec.Marshal(&audienceList{a.Members()}), b) || NewAudience(a.Members()).Hash != a.Hash {
			t.Fatal("what was accepted encodes to other bytes")
		}
		if n := len(a.Members()); n == 0 || n > MaxAudience {
			t.Fatalf("%d users", n)
		}
	})
}

// R-REL-30: the largest envelopes for every device of both accounts fit one
// frame.
func TestR_REL_30_FitsAPacket(t *testing.T) {
	full := SendRequest{To: string(bytes.Repeat([]byte("u"), MaxUser)), ListVersion: 1<<64 - 1, TTL: int64(MaxTTL / time.Second)}
	for i := range MaxDevices {
		full.Messages = append(full.Messages, Outgoing{Device: 1<<64 - 1 - address.Device(i), Body: make([]byte, MaxEnvelope)})
	}
	full.Own = &OwnCopies{ListVersion: 1<<64 - 1, Messages: full.Messages}
	b := full.Encode()
	if FrameSize(len(b)) > MaxPacket {
		t.Fatalf("a frame of %d bytes", FrameSize(len(b)))
	}
	if got, err := DecodeSend(b); err != nil || got.TooLarge() {
		t.Errorf("the largest send: %v", err)
	}
}

func kindOf(m Message) Message {
	for _, k := range kinds() {
		if fmt.Sprintf("%T", k) == fmt.Sprintf("%T", m) {
			return k
		}
	}
	return nil
}

// FuzzDecode feeds every body decoder: what one accepts encodes to the same
// bytes.
func FuzzDecode(f *testing.F) {
	for i, m := range examples() {
		f.Add(uint8(i), codec.Marshal(m))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		ms := kinds()
		m := ms[int(kind)%len(ms)]
		if Decode(b, m) == nil && !bytes.Equal(codec.Marshal(m), b) {
			t.Fatalf("%T: what was accepted encodes to other bytes", m)
		}
	})
}

// FuzzParseError: whatever a refusal's body is, what comes of it is bounded and
// encodes to something that parses to the same.
func FuzzParseError(f *testing.F) {
	f.Add(uint64(Stale), (&Error{Version: 3, Own: true, Entries: [][]byte{{1}, {2}}}).Body())
	f.Add(uint64(RateLimited), (&Error{RetryAfter: time.Second}).Body())
	f.Add(uint64(Stale), []byte{0xa1, 4, 0x9a, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, code uint64, b []byte) {
		e := ParseError(code, b)
		if e.Code == OK || e.RetryAfter < 0 || e.RetryAfter > maxRetry || len(e.Entries) > MaxChain {
			t.Fatalf("%+v", e)
		}
		if again := ParseError(uint64(e.Code), e.Body()); !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v becomes %+v", e, again)
		}
	})
}

// R-REL-26, R-REL-31: a refusal survives the way, and whatever a server makes of
// one is still a refusal.
func TestR_REL_26_Refusals(t *testing.T) {
	for _, e := range []*Error{
		{Code: RateLimited, RetryAfter: 1500 * time.Millisecond},
		{Code: Stale, Version: 9},
		{Code: Stale, Version: 9, Own: true},
		{Code: Stale, Version: 9, Entries: [][]byte{{1}, make([]byte, MaxEntry)}},
		{Code: NotFound},
	} {
		got := ParseError(uint64(e.Code), e.Body())
		if !reflect.DeepEqual(got, e) || !errors.Is(got, e.Code) || errors.Is(got, OK) {
			t.Errorf("%v becomes %+v", e, got)
		}
	}
	page := make([][]byte, 1+MaxPage/MaxEntry)
	for i := range page {
		page[i] = make([]byte, MaxEntry)
	}
	many := make([][]byte, MaxChain+1)
	for i := range many {
		many[i] = []byte{1}
	}
	for _, c := range []struct {
		code uint64
		body []byte
		want Error
	}{
		{0, nil, Error{Code: Internal}},
		{99, nil, Error{Code: Internal}},
		{uint64(RateLimited), []byte("garbage"), Error{Code: RateLimited}},
		{uint64(RateLimited), codec.Marshal(refusal{RetryAfter: 1 << 62}), Error{Code: RateLimited, RetryAfter: maxRetry}},
		{uint64(Stale), []byte("garbage"), Error{Code: Stale}},
		{uint64(Stale), codec.Marshal(refusal{Version: 3, Entries: page}), Error{Code: Stale, Version: 3, Entries: page}},
		{uint64(Stale), codec.Marshal(refusal{Version: 3, Entries: append(page, page...)}), Error{Code: Stale}},
		{uint64(Stale), codec.Marshal(refusal{Version: 3, Entries: many}), Error{Code: Stale}},
		{uint64(Stale), codec.Marshal(refusal{Version: 3, Entries: [][]byte{{}}}), Error{Code: Stale}},
		{uint64(Stale), codec.Marshal(refusal{Version: 3, Entries: [][]byte{make([]byte, MaxEntry+1)}}), Error{Code: Stale}},
		// Only a stale send is told of lists.
		{uint64(Conflict), codec.Marshal(refusal{Version: 3, Own: true, Entries: [][]byte{{1}}}), Error{Code: Conflict, Version: 3}},
		{uint64(Conflict), codec.Marshal(refusal{Version: 3, Entries: page}), Error{Code: Conflict}},
	} {
		if got := ParseError(c.code, c.body); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("ParseError(%d) = %+v, want %+v", c.code, *got, c.want)
		}
	}
	for c := OK; c <= NeedAudience+1; c++ {
		if c.Error() == "" || c.HTTPStatus() < 200 {
			t.Errorf("code %d has no words or no status", c)
		}
	}
}
