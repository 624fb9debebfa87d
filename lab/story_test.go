package lab

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
)

var stories = flag.Uint64("lab.n", 30, "how many stories to tell")

// R-LAB-07, R-LAB-35: whatever happens, the judges agree, and they have something to
// agree on.
func TestR_LAB_07_JudgesAgreeInStories(t *testing.T) {
	opened, closed, healed, accepted, public := 0, 0, 0, 0, 0
	refused := map[string]int{}
	trial := NewTrial()
	for seed := range *stories {
		s := Story(Topic(seed%4), rand.New(rand.NewPCG(seed, 5)).IntN, 60)
		r, err := trial.Run(t.Context(), s)
		if err != nil {
			t.Errorf("story %d: %v", seed, err)
			continue
		}
		for _, v := range r.Verdicts {
			opened, closed = opened+len(v.Opened), closed+v.Closed
			if v.Healed > 0 {
				healed++
			}
		}
		accepted, public = accepted+r.Accepted, public+r.Public
		for why, n := range r.Refused {
			refused[why] += n
		}
	}
	if opened < 100 || closed < 1000 || healed < 10 || accepted == 0 || public == 0 {
		t.Errorf("the stories are not worth telling: opened %d, closed %d, healed %d, accepted %d, public %d", opened, closed, healed, accepted, public)
	}
	t.Log(opened, closed, healed, accepted, public, refused)
}

func FuzzStory(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 3))
	trial := NewTrial()
	for range 4 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := FromBytes(Anything, b)
		if _, err := trial.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	})
}

func names(steps []Step) (out []string) {
	for _, s := range steps {
		out = append(out, s.Do)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
