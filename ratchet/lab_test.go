package ratchet_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/pawl-chat/pawl/lab"
	"pgregory.net/rapid"
)

// Here the laboratory tells stories about the ratchet under sessions, on a bad network, with devices that are robbed and set back.
// Each run holds that what opens is what was sent, once, and that both judges
// agree on what a thief reads (R-LAB-35).

func TestLab(t *testing.T) {
	trial := lab.NewTrial()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") }
		if _, err := trial.Run(context.Background(), lab.Story(lab.Pairwise, choose, rapid.IntRange(1, 25).Draw(t, "steps"))); err != nil {
			t.Fatal(err)
		}
	})
}

// Forward secrecy and healing: a state stolen at any of forty moments opens
// nothing that was opened before, and nothing after each side has made one new
// ratchet key.
func TestStolenStates(t *testing.T) {
	s := &lab.Scenario{Name: "talk", Seed: 1, People: map[string]int{"alice": 1, "bob": 1}, Steps: []lab.Step{
		{Do: "talk", Between: []string{"alice", "bob"}, Count: 400, Loss: 10, Late: 10, Twice: 5, Thefts: 40},
	}}
	r, err := lab.NewTrial().Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Verdicts {
		last := 0
		for _, n := range v.Opened {
			last = max(last, n)
		}
		if v.Read != 0 || v.Healed < 0 && last < 380 || v.Healed > 40 || len(v.Opened) == 0 {
			t.Errorf("%s: %+v", v.At, v)
		}
	}
}

// The stories must be worth telling.
func TestLabMeetsEverything(t *testing.T) {
	trial := lab.NewTrial()
	met := map[string]int{}
	stolen, public := 0, 0
	for seed := range uint64(60) {
		r, err := trial.Run(t.Context(), lab.Story(lab.Pairwise, rand.New(rand.NewPCG(seed, 8)).IntN, 50))
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
	for _, why := range []string{"ratchet: message was opened before", "ratchet: message is forged", "ratchet: the peer uses an old state"} {
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
		if _, err := trial.Run(t.Context(), lab.FromBytes(lab.Pairwise, b)); err != nil {
			t.Fatal(err)
		}
	})
}
