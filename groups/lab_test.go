package groups_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/pawl-chat/pawl/lab"
	"pgregory.net/rapid"
)

// Here the laboratory tells stories about groups whose members come and go, whose keys are stolen, and whose log is shown in two ways.
// Each run holds that what opens is what was sent, once, and that both judges
// agree on what a thief reads (R-LAB-35).

func TestLab(t *testing.T) {
	trial := lab.NewTrial()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") }
		if _, err := trial.Run(context.Background(), lab.Story(lab.Talking, choose, rapid.IntRange(1, 25).Draw(t, "steps"))); err != nil {
			t.Fatal(err)
		}
	})
}

// The stories must be worth telling.
func TestLabMeetsEverything(t *testing.T) {
	trial := lab.NewTrial()
	met := map[string]int{}
	stolen, public := 0, 0
	for seed := range uint64(60) {
		r, err := trial.Run(t.Context(), lab.Story(lab.Talking, rand.New(rand.NewPCG(seed, 8)).IntN, 50))
		if err != nil {
			t.Fatalf("story %d: %v", seed, err)
		}
		for why, n := range r.Refused {
			met[why] += n
		}
		for _, v := range r.Verdicts {
			stolen += len(v.Opened)
			public += v.Public + v.Signing
		}
	}
	for _, why := range []string{"groups: message was opened before", "groups: the role does not allow this change", "groups: already a member", "lab: the sender holds another group log"} {
		if met[why] == 0 {
			t.Errorf("no story met %q", why)
		}
	}
	if stolen == 0 || public == 0 {
		t.Errorf("thieves read %d messages; of %d the keys were public", stolen, public)
	}
	t.Log(stolen, public, met)
}

func FuzzLab(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 4 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	trial := lab.NewTrial()
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := trial.Run(t.Context(), lab.FromBytes(lab.Talking, b)); err != nil {
			t.Fatal(err)
		}
	})
}
