package ratchet_test

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/storytest"
	"github.com/pawl-chat/pawl/lab"
)

// Here the laboratory tells stories about the ratchet under sessions, on a bad network, with devices that are robbed and set back (R-LAB-35).

func TestLab(t *testing.T) { storytest.Check(t, lab.Pairwise) }

func TestLabMeetsEverything(t *testing.T) {
	storytest.Worth(t, lab.Pairwise,
		"ratchet: message was opened before",
		"ratchet: message is forged",
		"ratchet: the peer uses an old state",
	)
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

func FuzzLab(f *testing.F) {
	storytest.Seed(f)
	storytest.Fuzz(f, lab.Pairwise)
}
