package session

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
)

// stored returns sessions in every state that is stored: an own start without
// an answer, one with, the peer's, and one with skipped keys.
func stored(tb testing.TB) []*Session {
	tb.Helper()
	s := newStage(tb, 20)
	s.begins(s.a)
	out := []*Session{s.a.pair.Active()}
	s.talk(s.a)
	s.talk(s.b)
	s.write(s.a)
	s.talk(s.a)
	return append(out, s.a.pair.Active(), s.b.pair.Active())
}

func TestR_SES_11_Record(t *testing.T) {
	for i, s := range stored(t) {
		head, skipped := s.Head(), s.Skipped()
		got, err := Parse(head, skipped)
		if err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
		if !bytes.Equal(got.Head(), head) || !bytes.Equal(got.Skipped(), skipped) ||
			!got.Started.Equal(s.Started) || !got.LastUsed.Equal(s.LastUsed) || got.Rank != s.Rank || (got.Initial == nil) != (s.Initial == nil) {
			t.Errorf("session %d is another one", i)
		}
		for n := range head {
			if _, err := Parse(head[:n], skipped); !errors.Is(err, ErrRecord) {
				t.Fatalf("session %d: prefix of %d bytes: %v", i, n, err)
			}
		}
		for n := range skipped {
			if _, err := Parse(head, skipped[:n]); !errors.Is(err, ErrRecord) {
				t.Fatalf("session %d: %d bytes of skipped keys: %v", i, n, err)
			}
		}
		if _, err := Parse(append(bytes.Clone(head), 0), skipped); !errors.Is(err, ErrRecord) {
			t.Errorf("session %d: longer: %v", i, err)
		}
	}
	all := stored(t)
	if _, err := Parse(all[1].Head(), all[2].Skipped()); !errors.Is(err, ErrRecord) {
		t.Error("parts of two sessions join")
	}
	unanswered, answered, responder := all[0], all[1], all[2]
	for name, c := range map[string]struct {
		s *Session
		f func(*record)
	}{
		"version 0":            {answered, func(r *record) { r.Version = 0 }},
		"version 2":            {answered, func(r *record) { r.Version = 2 }},
		"short id":             {answered, func(r *record) { r.ID = r.ID[1:] }},
		"short ad":             {answered, func(r *record) { r.AD = r.AD[1:] }},
		"rank 0":               {answered, func(r *record) { r.Rank = 0 }},
		"rank":                 {answered, func(r *record) { r.Rank = 1 << 63 }},
		"started":              {answered, func(r *record) { r.Started = 1 << 63 }},
		"heard":                {answered, func(r *record) { r.Heard = 1 << 63 }},
		"last used":            {answered, func(r *record) { r.LastUsed = 1 << 63 }},
		"strength 0":           {answered, func(r *record) { r.Strength = 0 }},
		"strength 5":           {answered, func(r *record) { r.Strength = 5 }},
		"strength wraps":       {answered, func(r *record) { r.Strength = 257 }},
		"elsewhere":            {answered, func(r *record) { r.Elsewhere = 2 * FollowAfter }},
		"answered, initial":    {answered, func(r *record) { r.Initial = unanswered.Initial }},
		"received, unanswered": {answered, func(r *record) { r.Answered, r.Initial, r.ID = false, unanswered.Initial, unanswered.ID[:] }},
		"nothing received":     {unanswered, func(r *record) { r.Answered, r.Initial = true, []byte{} }},
		"no initial":           {unanswered, func(r *record) { r.Initial = []byte{} }},
		"another's initial":    {unanswered, func(r *record) { r.Initial = append(r.Initial, 1) }},
		"unanswered responder": {unanswered, func(r *record) { r.Initiator = false }},
		"responder's initial":  {responder, func(r *record) { r.Initial = []byte{1} }},
		"empty head":           {answered, func(r *record) { r.Head = []byte{} }},
	} {
		var r record
		if err := codec.Unmarshal(c.s.Head(), MaxRecord, &r); err != nil {
			t.Fatal(err)
		}
		r.Initial = bytes.Clone(r.Initial)
		c.f(&r)
		if _, err := Parse(codec.Marshal(r), c.s.Skipped()); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := *unanswered
	big.Initial = make([]byte, MaxRecord)
	if _, err := Parse(big.Head(), big.Skipped()); !errors.Is(err, ErrRecord) {
		t.Error("a record beyond its bound")
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		if v.Record != nil {
			head, _ := hex.DecodeString(v.Record.Encoded)
			skipped, _ := hex.DecodeString(v.Skipped)
			f.Add(head, skipped)
		}
	}
	f.Fuzz(func(t *testing.T, head, skipped []byte) {
		s, err := Parse(head, skipped)
		if err == nil && (!bytes.Equal(s.Head(), head) || !bytes.Equal(s.Skipped(), skipped)) {
			t.Errorf("%x and %x are read but written otherwise", head, skipped)
		}
	})
}
