package lab

import "testing"

// large is 1 000 messages under 40 thefts.
func large() *Scenario {
	return &Scenario{
		Name: "talk", Seed: 4, People: map[string]int{"alice": 1, "bob": 1},
		Steps: []Step{{Do: "talk", Between: []string{"alice", "bob"}, Count: 1000, Loss: 5, Late: 5, Twice: 2, Thefts: 40}},
	}
}

// BenchmarkJudge plays and judges them.
func BenchmarkJudge(b *testing.B) {
	s := large()
	for b.Loop() {
		r, err := s.Run(b.Context(), 0)
		if err != nil || !r.Met {
			b.Fatal(err, r)
		}
	}
}

// BenchmarkClosure is one theft's closure over their graph.
func BenchmarkClosure(b *testing.B) {
	w, err := large().play(b.Context(), 4, nil)
	if err != nil {
		b.Fatal(err)
	}
	x := w.trace.index()
	known, err := w.loots[20].known()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		x.close(known)
	}
}

// BenchmarkAttack is one theft's attack on them.
func BenchmarkAttack(b *testing.B) {
	w, err := large().play(b.Context(), 4, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.attack(w.loots[20]); err != nil {
			b.Fatal(err)
		}
	}
}
