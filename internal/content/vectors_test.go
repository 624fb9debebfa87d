package content_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/conform"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/spec"
)

var update = flag.Bool("update", false, "write the test vectors")

const vectorFile = "../../spec/vectors/content.json"

type encoded struct {
	CDDL    string `json:"cddl"`
	Encoded string `json:"encoded"`
	Refuses bool   `json:"cddl_refuses,omitempty"`
}

type vector struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Reason   string   `json:"reason,omitempty"`
	Text     *string  `json:"text,omitempty"`
	Offset   *int     `json:"text_offset,omitempty"`
	Object   *encoded `json:"object,omitempty"`
	Body     *encoded `json:"body,omitempty"`
	Padded   string   `json:"padded,omitempty"`
	Envelope *encoded `json:"envelope,omitempty"`
	From     string   `json:"from,omitempty"`
	Initial  *string  `json:"initial,omitempty"`
	Message  string   `json:"message,omitempty"`
}

func vectors(t *testing.T) []vector {
	var out []vector
	str := func(s string) *string { return &s }
	unpadded := func(b []byte) []byte { return b[:bytes.LastIndexByte(b, 0x80)] }
	positive := func(name string, c content.Content) {
		b := c.Encode()
		v := vector{Name: name, Kind: "positive", Padded: hex.EncodeToString(b), Object: &encoded{CDDL: "content-object", Encoded: hex.EncodeToString(unpadded(b))}}
		if c.Kind == content.KindText {
			v.Text = str(c.Text.Text)
			v.Body = &encoded{CDDL: "content-text", Encoded: hex.EncodeToString(c.Body)}
			if c.Text.Subject == "" && c.Text.ReplyTo.IsZero() && c.TTL == 0 {
				at := content.TextOffset(len(c.Text.Text))
				v.Offset = &at
			}
		}
		if c.Kind == content.KindReceipt {
			v.Body = &encoded{CDDL: "content-receipt", Encoded: hex.EncodeToString(c.Body)}
		}
		if c.Kind == content.KindSync && !reflect.DeepEqual(c.Sync, content.Sync{}) {
			v.Body = &encoded{CDDL: "content-sync", Encoded: hex.EncodeToString(c.Body)}
		}
		if c.Kind == content.KindRepair {
			v.Body = &encoded{CDDL: "content-repair", Encoded: hex.EncodeToString(c.Body)}
		}
		out = append(out, v)
	}
	receipt := func(s content.ReceiptState, ids ...content.ID) content.Content {
		c := content.NewReceipts(s, ids, now)[0]
		c.ID = id
		return c
	}
	control := func(k content.Kind) content.Content {
		c := content.NewControl(k, now)
		c.ID = id
		return c
	}
	unknown := control(77)
	unknown.Body = []byte("a body that this version does not know")
	positive("text", text(t, 0, content.Text{Text: "Wörter, 言葉"}))
	positive("empty-text", text(t, 0, content.Text{}))
	positive("all-fields", text(t, 90*time.Second, content.Text{Text: "text", Subject: "subject", ReplyTo: content.ID{15: 9}}))
	positive("longest-in-256", text(t, 0, content.Text{Text: strings.Repeat("x", 220)}))
	positive("shortest-in-272", text(t, 0, content.Text{Text: strings.Repeat("x", 221)}))
	positive("padded-to-960", text(t, 0, content.Text{Text: strings.Repeat("x", 920)}))
	positive("heartbeat", control(content.KindHeartbeat))
	positive("farewell", control(content.KindFarewell))
	positive("unknown-kind", unknown)
	positive("receipt-delivered", receipt(content.Delivered, content.ID{1}))
	positive("receipt-read", receipt(content.Read, content.ID{9}, content.ID{15: 1}, content.ID{1}))
	for name, s := range syncs(t) {
		positive("sync-"+strings.ReplaceAll(name, " ", "-"), newSync(t, s))
	}
	later := control(content.KindSync)
	later.Body = body(map[int]any{8: map[int]any{1: "what a later version says"}})
	positive("sync-later-key", later)
	repair := func(name string, r content.Repair) {
		c, err := content.NewRepair(r, now)
		if err != nil {
			t.Fatal(err)
		}
		c.ID = id
		positive(name, c)
	}
	repair("repair-ask", content.Repair{Count: 3, Since: now})
	group, err := content.NewGroup([]byte("a signal"), now)
	if err != nil {
		t.Fatal(err)
	}
	group.ID = id
	positive("group", group)
	positive("mentions", text(t, 0, content.Text{Text: "@bob look", Mentions: []string{"bob@example.org", "alice@example.org"}}))
	repair("repair-done", content.Repair{Done: true, Count: 3})

	negative := func(name, reason string, object []byte, refuses bool) {
		out = append(out, vector{Name: name, Kind: "negative", Reason: reason, Padded: hex.EncodeToString(padTo(object, 0)),
			Object: &encoded{CDDL: "content-object", Encoded: hex.EncodeToString(object), Refuses: refuses}})
	}
	good := object{Kind: 1, ID: id[:], SentAt: 1, TTL: 0, Body: body(map[int]any{1: "hi"})}
	with := func(f func(*object)) []byte { o := good; f(&o); return codec.Marshal(o) }
	negative("kind-zero", "ErrMalformed: no kind", with(func(o *object) { o.Kind = 0 }), true)
	negative("short-id", "ErrMalformed: id of 15 bytes", with(func(o *object) { o.ID = id[:15] }), true)
	negative("zero-id", "ErrMalformed: an id that names nothing", with(func(o *object) { o.ID = make([]byte, 16) }), false)
	negative("far-future", "ErrMalformed: time of sending", with(func(o *object) { o.SentAt = uint64(1<<48 + 1) }), true)
	negative("long-lifetime", "ErrMalformed: lifetime", with(func(o *object) { o.TTL = 2_592_001 }), true)
	negative("heartbeat-with-body", "ErrMalformed: control content has no body", with(func(o *object) { o.Kind, o.Body = 2, []byte{0xa0} }), false)
	negative("group-without-body", "ErrMalformed: a signal is not empty", with(func(o *object) { o.Kind, o.Body = 7, []byte{} }), false)
	for name, list := range map[string][]string{"mentions-of-nobody": {}, "mentions-twice": {bob, bob}, "mentions-not-canonical": {"Bob@example.org"}} {
		negative(name, "ErrMalformed: mentions", with(func(o *object) { o.Body = body(map[int]any{1: "hi", 4: list}) }), false)
	}
	negative("invalid-utf-8", "ErrMalformed: text is not UTF-8", with(func(o *object) { o.Body = []byte{0xa1, 0x01, 0x61, 0xff} }), false)
	negative("empty-subject", "ErrMalformed: not canonical", with(func(o *object) { o.Body = body(map[int]any{1: "hi", 2: ""}) }), false)
	negative("reply-to-zero", "ErrMalformed: a second form of no reply", with(func(o *object) { o.Body = body(map[int]any{1: "hi", 3: make([]byte, 16)}) }), false)
	negative("long-subject", "ErrTooLong: 513 bytes", with(func(o *object) { o.Body = body(map[int]any{1: "", 2: strings.Repeat("x", 513)}) }), false)
	receiptBody := func(state int, ids ...[]byte) func(*object) {
		return func(o *object) { o.Kind, o.Body = 4, body(map[int]any{1: state, 2: ids}) }
	}
	one, two := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	negative("receipt-state-3", "ErrMalformed: no such state", with(receiptBody(3, one)), false)
	negative("receipt-of-nothing", "ErrMalformed: no ids", with(receiptBody(1)), false)
	negative("receipt-twice", "ErrMalformed: an id twice", with(receiptBody(1, one, one)), false)
	negative("receipt-descending", "ErrMalformed: ids out of order", with(receiptBody(2, two, one)), false)
	negative("receipt-zero-id", "ErrMalformed: an id that names nothing", with(receiptBody(2, make([]byte, 16))), false)
	negative("receipt-empty-body", "ErrMalformed: a receipt has a body", with(func(o *object) { o.Kind, o.Body = 4, []byte{} }), false)
	refusedBody := func(kind int, name, reason string, b []byte, refuses bool) {
		negative(name, reason, with(func(o *object) { o.Kind, o.Body = kind, b }), false)
		out[len(out)-1].Body = &encoded{CDDL: map[int]string{5: "content-sync", 6: "content-repair"}[kind], Encoded: hex.EncodeToString(b), Refuses: refuses}
	}
	sync := func(name, reason string, refuses bool, m map[int]any) {
		refusedBody(5, "sync-"+name, "ErrMalformed: "+reason, body(m), refuses)
	}
	empty, hello := map[int]any{}, unpadded(text(t, 0, content.Text{Text: "hello"}).Encode())
	sync("of-nothing", "no key", true, empty)
	sync("of-two", "two keys", true, map[int]any{5: map[int]any{1: 0, 2: 1}, 7: empty})
	sync("refresh-not-empty", "a key that is not known", true, map[int]any{7: map[int]any{1: 1}})
	sync("sent-to-upper-case", "address is not canonical", false, map[int]any{1: map[int]any{1: "Bob@example.org", 2: hello, 3: []int{1}}})
	sync("sent-to-device-zero", "no device", true, map[int]any{1: map[int]any{1: bob, 2: hello, 3: []int{0}}})
	sync("sent-to-device-twice", "a device twice", false, map[int]any{1: map[int]any{1: bob, 2: hello, 3: []int{3, 3}}})
	sync("sent-to-nine-devices", "too many devices", true, map[int]any{1: map[int]any{1: bob, 2: hello, 3: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}}})
	sync("read-nothing", "no ids", true, map[int]any{2: map[int]any{1: [][]byte{}}})
	sync("read-descending", "ids out of order", false, map[int]any{2: map[int]any{1: [][]byte{two, one}}})
	sync("contact-short-key", "key of 31 bytes", true, map[int]any{3: map[int]any{1: bob, 2: make([]byte, 31), 3: "", 4: false, 5: true, 6: false, 7: 1}})
	sync("contact-long-alias", "alias of 65 bytes", true, map[int]any{3: map[int]any{1: bob, 2: make([]byte, 32), 3: strings.Repeat("x", 65), 4: false, 5: true, 6: false, 7: 1}})
	sync("claims-state-3", "no such state", true, map[int]any{4: map[int]any{1: bob, 2: 1, 3: 3, 4: [][]byte{one}}})
	sync("ask-for-nothing", "limit of zero", true, map[int]any{5: map[int]any{1: 0, 2: 0}})
	sync("page-in-place", "the next position is not above the first", false, map[int]any{6: map[int]any{1: 5, 2: 5, 3: 9, 4: [][]byte{{1}}}})
	sync("page-empty-entry", "an entry of no bytes", true, map[int]any{6: map[int]any{1: 5, 2: 6, 3: 9, 4: [][]byte{{}}}})
	sync("page-refused-with-entries", "a refusal holds nothing", false, map[int]any{6: map[int]any{1: 5, 2: 0, 3: 0, 4: [][]byte{{1}}, 5: true}})
	refusedBody(6, "repair-of-nothing", "ErrMalformed: nothing was lost", body(map[int]any{1: 1, 2: 0}), false)
	refusedBody(6, "repair-what-3", "ErrMalformed: neither asks nor is done", body(map[int]any{1: 3, 2: 1}), true)
	refusedBody(6, "repair-since-zero", "ErrMalformed: a second form of not known", body(map[int]any{1: 2, 2: 1, 3: 0}), true)
	negative("trailing-bytes", "ErrMalformed: bytes after the object", append(codec.Marshal(good), 0x01), true)
	for name, b := range map[string][]byte{
		"padding-too-long": padTo(codec.Marshal(good), 16), "padding-missing": codec.Marshal(good), "padding-without-mark": make([]byte, 256),
	} {
		out = append(out, vector{Name: name, Kind: "negative", Reason: "ErrPadding", Padded: hex.EncodeToString(b)})
	}

	for name, initial := range map[string][]byte{"envelope": {}, "envelope-with-initial": []byte("an initial message")} {
		e := envelope(t, initial, []byte("a ratchet message"))
		out = append(out, vector{Name: name, Kind: "positive", From: e.From.String(), Initial: str(hex.EncodeToString(initial)),
			Message: hex.EncodeToString(e.Message), Envelope: &encoded{CDDL: "content-envelope", Encoded: hex.EncodeToString(e.Encode())}})
	}
	e := envelope(t, nil, []byte("a message of a group"))
	e.To = 0
	out = append(out, vector{Name: "envelope-of-group", Kind: "positive", From: e.From.String(), Initial: str(""),
		Message: hex.EncodeToString(e.Message), Envelope: &encoded{CDDL: "content-envelope", Encoded: hex.EncodeToString(e.Encode())}})
	refusedEnvelope := func(name, reason string, refuses bool, elements ...any) {
		out = append(out, vector{Name: name, Kind: "negative", Reason: "ErrMalformed: " + reason,
			Envelope: &encoded{CDDL: "content-envelope", Encoded: hex.EncodeToString(codec.Marshal(elements)), Refuses: refuses}})
	}
	from, m := "alice@example.org", []byte("m")
	refusedEnvelope("envelope-version-2", "unknown version", true, 2, from, 1, 2, []byte{}, m)
	refusedEnvelope("envelope-upper-case", "address is not canonical", false, 1, "Alice@example.org", 1, 2, []byte{}, m)
	refusedEnvelope("envelope-from-device-zero", "no device", true, 1, from, 0, 2, []byte{}, m)
	refusedEnvelope("envelope-of-group-with-initial", "a message of a group has no handshake", false, 1, from, 1, 0, []byte{1}, m)
	refusedEnvelope("envelope-without-message", "empty message", true, 1, from, 1, 2, []byte{}, []byte{})
	// Maps above give no order; the file has one.
	sortVectors(out)
	return out
}

func sortVectors(v []vector) {
	for i := range v {
		for j := i; j > 0 && v[j].Kind == v[j-1].Kind && v[j].Name < v[j-1].Name; j-- {
			v[j], v[j-1] = v[j-1], v[j]
		}
	}
}

// R-CNT-01, R-CNT-02, R-CNT-03, R-CNT-04, R-CNT-05, R-CNT-09, R-CNT-10 to R-CNT-15
func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(map[string]any{"area": "content", "vectors": vectors(t)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pinned, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, pinned) {
		t.Error("the code makes other vectors than the pinned ones")
	}
	rules, err := spec.ParseRules(spec.Files())
	if err != nil {
		t.Fatal(err)
	}
	file, err := spec.ReadVectors(pinned)
	if err != nil {
		t.Fatal(err)
	}
	all, err := conform.Check(rules, &file)
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Outcome != conform.Passed || !slices.Contains(r.By, "code") {
			t.Errorf("%s: %s: %s", r.Name, r.Outcome, r.Why)
		}
	}
}
