package groups_test

import (
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
)

// TestMissingSince: the times of skipped keys are those at which they were.
func TestMissingSince(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := groups.NewSending(groups.NewID(), 1, groups.Sender{Address: "alice@lab.example", Device: 7, Identity: [32]byte{9}}, now, groups.Before{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := groups.Accept(s.Key(), s.Sender())
	if err != nil {
		t.Fatal(err)
	}
	if first, last := r.MissingSince(); !first.IsZero() || !last.IsZero() {
		t.Fatal("nothing is missing", first, last)
	}
	for i := range 6 {
		m, err := s.Seal(1, groups.Head{}, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		if s = m.Next; i%3 != 2 {
			continue
		}
		o, err := r.Open(m.Message, now.Add(time.Duration(i)*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		r = o.Next
	}
	if first, last := r.MissingSince(); r.Missing() != 4 || !first.Equal(now.Add(2*time.Minute)) || !last.Equal(now.Add(5*time.Minute)) {
		t.Fatal(r.Missing(), first, last)
	}
}
