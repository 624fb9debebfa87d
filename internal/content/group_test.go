package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/internal/content"
)

func TestR_CNT_16_Group(t *testing.T) {
	for _, n := range []int{1, 400, content.MaxText, 72 << 10} {
		signal := bytes.Repeat([]byte{7}, n)
		c, err := content.NewGroup(signal, now)
		if err != nil {
			t.Fatal(n, err)
		}
		got, err := content.Decode(c.Encode())
		if err != nil || got.Kind != content.KindGroup || !bytes.Equal(got.Body, signal) || !same(got, c) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if !bytes.Equal(got.Encode(), c.Encode()) {
			t.Errorf("%d bytes: encodes to other bytes", n)
		}
	}
	if _, err := content.NewGroup(nil, now); !errors.Is(err, content.ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := content.NewGroup(make([]byte, content.MaxSync), now); !errors.Is(err, content.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := content.Decode(padded(object{Kind: 7, ID: id[:], SentAt: 1, TTL: 0, Body: []byte{}})); !errors.Is(err, content.ErrMalformed) {
		t.Errorf("empty body: %v", err)
	}
	// It is nothing that a person sent.
	c, err := content.NewGroup([]byte{1}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.NewSync(content.Sync{Sent: content.NewSent(bob, c, nil)}, now); !errors.Is(err, content.ErrMalformed) {
		t.Errorf("as something sent: %v", err)
	}
}

func TestR_CNT_17_Mentions(t *testing.T) {
	var many []string
	for i := range content.MaxMentions {
		many = append(many, fmt.Sprintf("user%02d@example.org", i))
	}
	for name, in := range map[string][]string{"none": nil, "one": {bob}, "disorder, twice": {bob, "alice@example.org", bob}, "many": many} {
		c, err := content.NewText(id, now, 0, content.Text{Text: "hello", Mentions: in})
		if err != nil {
			t.Fatal(name, err)
		}
		want := slices.Compact(slices.Sorted(slices.Values(in)))
		got, err := content.Decode(c.Encode())
		if err != nil || !slices.Equal(got.Text.Mentions, want) || !same(got, c) {
			t.Errorf("%s: %q %v", name, got.Text.Mentions, err)
		}
	}
	for name, c := range map[string]struct {
		text content.Text
		want error
	}{
		"33 people":                 {content.Text{Mentions: append(many, bob)}, content.ErrTooLong},
		"not canonical":             {content.Text{Mentions: []string{"Bob@example.org"}}, content.ErrMalformed},
		"nobody":                    {content.Text{Mentions: []string{""}}, content.ErrMalformed},
		"no room by a longest text": {content.Text{Text: strings.Repeat("x", content.MaxText), Subject: strings.Repeat("y", content.MaxSubject), Mentions: many}, content.ErrTooLong},
	} {
		if _, err := content.NewText(id, now, 0, c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: made: %v", name, err)
		}
	}
	for name, list := range map[string]any{
		"empty list": []string{}, "disorder": []string{bob, "alice@example.org"}, "twice": []string{bob, bob},
		"not canonical": []string{"Bob@example.org"}, "a number": []int{1}, "one string": bob, "null": nil,
	} {
		o := object{Kind: 1, ID: id[:], SentAt: 1, TTL: 0, Body: body(map[int]any{1: "hi", 4: list})}
		if _, err := content.Decode(padded(o)); !errors.Is(err, content.ErrMalformed) {
			t.Errorf("%s: decoded: %v", name, err)
		}
	}
}
