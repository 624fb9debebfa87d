package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var stories = flag.Uint64("lab.n", 30, "how many stories to tell")

// tell makes up a scenario: up to n steps of everything there is.
func tell(choose func(int) int, n int) *Scenario {
	s := &Scenario{Name: "story", People: map[string]int{"alice": 1 + choose(2), "bob": 1}, Seed: uint64(choose(1000))}
	if choose(3) == 0 {
		s.People["carol"] = 1
	}
	devices := []string{"alice", "bob"}
	if s.People["alice"] == 2 {
		devices = append(devices, "alice/2")
	}
	people := []string{"alice", "bob"}
	if s.People["carol"] == 1 {
		devices, people = append(devices, "carol"), append(people, "carol")
	}
	any := func(words []string) string { return words[choose(len(words))] }
	thefts, backups := []string{}, []string{}
	for i := range n {
		name := fmt.Sprint("name ", i)
		st := Step{Do: "send", Who: any(devices), To: any(people), Count: choose(4)}
		switch choose(24) {
		case 0, 1, 2, 3, 4, 5:
			st.Do = "deliver"
			if choose(3) == 0 {
				st.Who = ""
			}
		case 6:
			st.Do = any([]string{"drop", "duplicate", "reorder", "reorder", "tamper", "restart"})
		case 7, 21:
			st.Do = any([]string{"delay", "release"})
		case 8:
			st.Do, st.As = "backup", name
			backups = append(backups, name)
		case 9:
			if len(backups) > 0 && choose(4) == 0 {
				st.Do, st.As = "restore", any(backups)
			}
		case 10, 11, 12:
			if len(thefts) < 8 {
				st.Do, st.As = "compromise", name
				thefts = append(thefts, name)
			}
		case 13:
			if len(thefts) > 0 {
				st.Do, st.Theft, st.Count = "impersonate", any(thefts), 1+choose(2)
			}
		case 14:
			st.Do, st.Hours = "wait", []int{1, 30, 200, 400, 800}[min(choose(5), choose(5))]
		case 15:
			st.Do, st.What = any([]string{"withhold", "relent"}), any([]string{"device list", "mail"})
			if choose(6) == 0 {
				st.What = "one-time prekeys"
			}
		case 16:
			st.Crash = any([]string{crashBefore, crashAfter})
		case 17:
			st.Do, st.Crash = "deliver", any([]string{crashBefore, crashAfter})
		case 18:
			if choose(4) == 0 {
				st.Do = "revoke"
			}
		case 19:
			if choose(6) == 0 && len(thefts) < 8 {
				st.Do, st.As, st.Who, st.What = "substitute", name, any(people), any([]string{"account", "prekeys"})
				thefts = append(thefts, name)
			}
		case 20:
			st.Count = choose(80)
		case 22:
			st.Do, st.Between, st.Count = "talk", []string{"alice", "bob"}, choose(40)
			st.Loss, st.Late, st.Twice = choose(30), choose(30), choose(30)
		}
		s.Steps = append(s.Steps, st)
	}
	return s
}

// play runs a story and holds what must hold of every one.
func play(ctx context.Context, s *Scenario, k *kits) (*Report, error) {
	r, err := s.run(ctx, 0, k)
	if err != nil {
		return nil, err
	}
	for _, v := range r.Verdicts {
		if !v.Agree {
			return r, fmt.Errorf("%s of %s: the judges differ on %v", v.At, v.Who, v.Differ)
		}
		if len(v.Opened)+v.Closed != r.Messages || v.Read > v.Before {
			return r, fmt.Errorf("%s: figures that cannot be: %+v", v.At, v)
		}
		// Forward secrecy, where nothing has taken it away: see last-resort
		// and old-copy.
		weak := slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Do == "restore" || st.What == "one-time prekeys" })
		if v.Read > 0 && !weak {
			return r, fmt.Errorf("%s of %s opens %d messages that were read before", v.At, v.Who, v.Read)
		}
	}
	return r, nil
}

// R-LAB-07: whatever happens, the judges agree, and they have something to
// agree on.
func TestR_LAB_07_JudgesAgreeInStories(t *testing.T) {
	opened, closed, healed, accepted, public := 0, 0, 0, 0, 0
	refused := map[string]int{}
	k := newKits()
	for seed := range *stories {
		s := tell(rand.New(rand.NewPCG(seed, 5)).IntN, 60)
		r, err := play(t.Context(), s, k)
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
	k := newKits()
	for range 4 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		told := 0
		s := tell(func(n int) int {
			if told >= len(b) {
				return 0
			}
			told++
			return int(b[told-1]) % n
		}, min(len(b)/4, 25))
		for i := range s.Steps { // short ones: most of the cost is keys
			s.Steps[i].Hours, s.Steps[i].Count = min(s.Steps[i].Hours, 40), min(s.Steps[i].Count, 8)
		}
		if len(s.Steps) == 0 {
			return
		}
		if _, err := play(t.Context(), s, k); err != nil && !errors.Is(err, ErrScenario) {
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
