// Package storytest has the laboratory tell stories about a package: chance
// decides what people, thieves and the relay do, and each run holds that what
// opens is what was sent, once, and that both judges agree on what a thief reads
// (spec/lab.md, R-LAB-35).
//
// Not its concern: which stories there are. Package lab makes them.
package storytest

import (
	"context"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pawl-chat/pawl/lab"
)

// Check plays stories that are made smaller when one fails.
func Check(t *testing.T, about lab.Topic) {
	t.Helper()
	trial := lab.NewTrial()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") }
		if _, err := trial.Run(context.Background(), lab.Story(about, choose, rapid.IntRange(1, 25).Draw(t, "steps"))); err != nil {
			t.Fatal(err)
		}
	})
}

// Worth holds that stories are worth telling: in a fixed set of them letters are
// refused for each of the reasons, thieves read something, and keys become public.
func Worth(t *testing.T, about lab.Topic, reasons ...string) {
	t.Helper()
	trial := lab.NewTrial()
	met := map[string]int{}
	stolen, public := 0, 0
	for seed := range uint64(60) {
		r, err := trial.Run(t.Context(), lab.Story(about, rand.New(rand.NewPCG(seed, 8)).IntN, 50))
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
	for _, why := range reasons {
		if met[why] == 0 {
			t.Errorf("no story met %q", why)
		}
	}
	if stolen == 0 || public == 0 {
		t.Errorf("thieves read %d messages; of %d the keys were public", stolen, public)
	}
	t.Log(stolen, public, met)
}

// Seed gives a fuzzer stories to start from.
func Seed(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 4 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
}

// Fuzz plays the stories that bytes stand for.
func Fuzz(f *testing.F, about lab.Topic) {
	trial := lab.NewTrial()
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := trial.Run(t.Context(), lab.FromBytes(about, b)); err != nil {
			t.Fatal(err)
		}
	})
}
