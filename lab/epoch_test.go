package lab

import "testing"

// R-LAB-06, R-LAB-07: in talks with much that comes late, chains come to rest on
// epochs that the victim answered after the theft with what it had drawn before. Both
// judges see that they are open. Without the letter that the thief seals for itself
// they differ in these.
func TestR_LAB_06_EpochAnsweredAfterTheTheft(t *testing.T) {
	for _, seed := range []uint64{47, 48, 50, 52, 56} {
		s := &Scenario{
			Name: "talk", Seed: seed, People: map[string]int{"alice": 1, "bob": 1},
			Steps: []Step{{Do: "talk", Between: []string{"alice", "bob"}, Count: 300, Loss: 5, Late: 25, Twice: 2, Thefts: 100}},
		}
		w, err := s.play(t.Context(), seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		var epochs uint32
		for _, d := range w.devices {
			for _, p := range d.pairs {
				epochs = max(epochs, p.Active().State.Epoch())
			}
		}
		if epochs < 5 {
			t.Errorf("seed %d: the talk rests on epoch %d", seed, epochs)
		}
		r, err := w.report(t.Context(), s, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Verdicts {
			if !v.Agree {
				t.Errorf("seed %d, %s: the judges differ in %v", seed, v.At, v.Differ)
			}
		}
	}
}
