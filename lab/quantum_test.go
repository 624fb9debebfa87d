package lab

import (
	"testing"
)

// healing is how many messages of a talk a quantum thief reads, over sixteen
// thefts: in the mean and at most.
func healing(t *testing.T, st Step) (mean float64, most int) {
	t.Helper()
	st.Do, st.Between, st.Burst, st.Thefts, st.Quantum = "talk", []string{"alice", "bob"}, 1, 16, true
	s := &Scenario{Name: "quantum", Seed: 3, People: map[string]int{"alice": 1, "bob": 1}, Steps: []Step{say("bob", "alice", 1), deliver, st}}
	r, err := s.Run(t.Context(), 0)
	if err != nil || !r.Met {
		t.Fatal(err, r)
	}
	n := 0
	for _, v := range r.Verdicts {
		if v.Read > 0 {
			t.Errorf("%s opens %d messages that were read", v.At, v.Read)
		}
		if v.Healed >= 0 {
			mean, n, most = mean+float64(v.Healed), n+1, max(most, v.Healed)
		}
	}
	if n < 10 {
		t.Fatalf("healing was seen after %d of 16 thefts", n)
	}
	return mean / float64(n), most
}

// R-LAB-37: with default padding a talk in turns heals from a quantum thief
// within twelve messages each way in the mean and sixteen at most; with receipts
// or loss as measured.
func TestR_LAB_37_Healing(t *testing.T) {
	for _, c := range []struct {
		what string
		Step
		mean float64
		most int
	}{
		{"both ways", Step{Count: 400}, 24, 32},
		{"both ways, receipts", Step{Count: 300, Receipts: true}, 14, 20},
		{"both ways, loss 10", Step{Count: 400, Loss: 10}, 34, 60},
		{"both ways, loss 20", Step{Count: 400, Loss: 20}, 38, 60},
		{"both ways, loss 30", Step{Count: 400, Loss: 30}, 46, 75},
		{"one way, receipts", Step{Count: 300, Oneway: true, Receipts: true}, 13, 18},
		{"one way, receipts, loss 30", Step{Count: 300, Oneway: true, Receipts: true, Loss: 30}, 26, 45},
		{"one way, heartbeats", Step{Count: 2400, Oneway: true}, 800, 1000},
	} {
		mean, most := healing(t, c.Step)
		t.Logf("%s: %.1f messages in the mean, %d at most", c.what, mean, most)
		if mean > c.mean || most > c.most {
			t.Errorf("%s: %.1f messages in the mean, %d at most", c.what, mean, most)
		}
	}
}

// R-LAB-36: a thief of the same state who has no quantum computer reads less,
// and the two judges can differ about one who has.
func TestR_LAB_36_QuantumThief(t *testing.T) {
	w := played(t, Step{Do: "talk", Between: []string{"alice", "bob"}, Count: 60, Burst: 1},
		Step{Do: "compromise", Who: "alice", As: "theft"}, Step{Do: "compromise", Who: "alice", As: "quantum", Quantum: true},
		Step{Do: "talk", Between: []string{"alice", "bob"}, Count: 60, Burst: 1})
	x := w.trace.index()
	var v [2]Verdict
	for i, l := range w.loots {
		var err error
		if v[i], _, err = w.judge(x, l); err != nil || !v[i].Agree {
			t.Fatal(err, v[i])
		}
	}
	if len(v[0].Opened) > 2 || len(v[1].Opened) < 10 || v[1].Healed != len(v[1].Opened) {
		t.Errorf("%v, %v", v[0], v[1])
	}
	w.loots[0].quantum = true
	if again, _, err := w.judge(x, w.loots[0]); err != nil || len(again.Opened) != len(v[1].Opened) {
		t.Error(err, again)
	}
	// Without the private keys the attack comes to a halt, and that shows.
	w.trace.privates = map[key]key{}
	if without, _, err := w.judge(x, w.loots[1]); err != nil || without.Agree {
		t.Error(err, without)
	}
	// A secret that came from elsewhere than the exchange shows too.
	w = played(t, Step{Do: "talk", Between: []string{"alice", "bob"}, Count: 60, Burst: 1}, Step{Do: "compromise", Who: "alice", As: "quantum", Quantum: true},
		Step{Do: "talk", Between: []string{"alice", "bob"}, Count: 60, Burst: 1})
	for n := range w.trace.names {
		if n.role == epochKey {
			w.trace.rule(n, w.trace.agreements()[0])
		}
	}
	if with, _, err := w.judge(w.trace.index(), w.loots[0]); err != nil || with.Agree {
		t.Error(err, with)
	}
}
