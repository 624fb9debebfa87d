package lab

import (
	"runtime"
	"testing"
)

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

// heap is what is in use once everything that can go has gone.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// long is a run of 10 000 messages in ten parts: between two people, or with a
// third of them in a group of four devices.
func long(group bool) []Step {
	var steps []Step
	if group {
		steps = append(steps, Step{Do: "group", Who: "alice", Group: "team", With: []string{"bob", "carol"}}, deliver)
	}
	for range 10 {
		n := 1000
		if group {
			n = 660
		}
		steps = append(steps, Step{Do: "talk", Between: []string{"alice", "bob"}, Count: n, Loss: 5, Late: 5, Twice: 2})
		if group {
			steps = append(steps, Step{Do: "say", Who: "carol", Group: "team", Count: 170}, deliver, Step{Do: "say", Who: "bob", Group: "team", Count: 170}, deliver)
		}
	}
	return steps
}

// R-LAB-34: a long run takes memory in proportion to its letters, and no more,
// while it is played and while it is judged.
func TestR_LAB_34_LongRuns(t *testing.T) {
	const perLetter = 4 << 10
	for _, group := range []bool{false, true} {
		s := &Scenario{Name: "long", People: map[string]int{"alice": 1, "bob": 1, "carol": 1}, Steps: []Step{{Do: "deliver"}}}
		w, err := s.play(t.Context(), 4, nil)
		if err != nil {
			t.Fatal(err)
		}
		least := heap()
		check := func(when string) {
			if used, most := heap(), least+uint64(len(w.letters))*perLetter; used > most {
				t.Errorf("%s, %d messages in %d letters: %d MiB, and %d at the beginning", when, w.sent, len(w.letters), used>>20, least>>20)
			}
		}
		alice, err := w.device("alice")
		if err != nil {
			t.Fatal(err)
		}
		for i, st := range long(group) {
			if err := acts()[st.Do].do(w, &st); err != nil {
				t.Fatal(err)
			}
			if st.Do == "talk" {
				check("played")
				if i%4 == 0 {
					w.compromise(alice, theftName(i))
				}
			}
		}
		if w.sent != 10_000 || len(w.loots) < 2 {
			t.Fatal(w.sent, len(w.loots))
		}
		x := w.trace.index()
		for _, l := range w.loots {
			v, _, err := w.judge(x, l)
			if err != nil || !v.Agree || v.Read > 0 {
				t.Fatal(err, v)
			}
			check("judged")
		}
		used := heap()
		t.Logf("%d letters: %d MiB, %d bytes a letter", len(w.letters), used>>20, (used-least)/uint64(len(w.letters)))
		runtime.KeepAlive(w)
		runtime.KeepAlive(x)
	}
}

// BenchmarkLongRun plays 10 000 messages and says what they take.
func BenchmarkLongRun(b *testing.B) {
	s := &Scenario{Name: "long", People: map[string]int{"alice": 1, "bob": 1, "carol": 1}, Steps: long(false)}
	for b.Loop() {
		before := heap()
		w, err := s.play(b.Context(), 4, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/float64(len(w.letters)), "bytes/letter")
		runtime.KeepAlive(w)
	}
}
