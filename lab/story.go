package lab

import (
	"context"
	"fmt"
	"slices"
)

// Topic is what a story is about. A story about one thing has the rest in it,
// more rarely.
type Topic int

// Topics.
const (
	Anything Topic = iota
	Pairwise       // two people and a bad network
	Sessions       // sessions that cross, are lost and come back
	Talking        // groups
)

// Story makes up a scenario of n steps, in which everything happens that there
// is, in an order that choose decides: it returns a number from 0 and below k.
// So a generator, a property test or a fuzzer can tell it (R-LAB-35). Steps may
// be refused by the devices; none is one that a scenario cannot have.
func Story(about Topic, choose func(k int) int, n int) *Scenario {
	t := &teller{choose: choose, hours: 2000, messages: 1000, Scenario: &Scenario{Name: "story", People: map[string]int{"alice": 1 + choose(2), "bob": 1}, Seed: uint64(choose(1000))}}
	if choose(3) == 0 || about == Talking {
		t.People["carol"] = 1
	}
	if about == Pairwise {
		t.People = map[string]int{"alice": 1, "bob": 1}
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		for i := range t.People[name] {
			if i == 0 {
				t.people, t.devices = append(t.people, name), append(t.devices, name)
			} else {
				t.devices = append(t.devices, fmt.Sprintf("%s/%d", name, i+1))
			}
		}
	}
	if about == Talking {
		t.Steps = append(t.Steps, Step{Do: "group", Who: "alice", Group: "team", With: []string{"bob", "carol"}}, Step{Do: "deliver"})
		t.groups = []string{"team"}
	}
	for len(t.Steps) < n {
		name := fmt.Sprint("name ", len(t.Steps))
		st := Step{Do: "send", Who: t.any(t.devices), To: t.any(t.people), Count: choose(4)}
		switch kind := choose(4); {
		case about == Talking && kind > 0, about == Anything && kind == 0:
			t.talking(&st)
		default:
			t.pairwise(&st, name, about)
		}
		t.hours, t.messages = t.hours-st.Hours, t.messages-st.Count
		if t.hours < 0 || t.messages < 0 { // a story stays short
			st = Step{Do: "deliver"}
		}
		t.Steps = append(t.Steps, st)
	}
	return t.Scenario
}

// FromBytes tells the story that b says: a choice a byte, until there are no
// more.
func FromBytes(about Topic, b []byte) *Scenario {
	told := 0
	return Story(about, func(k int) int {
		if told == len(b) {
			return 0
		}
		told++
		return int(b[told-1]) % k
	}, 1+min(len(b)/6, 40))
}

// teller is a story while it is told.
type teller struct {
	*Scenario
	choose                                   func(int) int
	hours, messages                          int // left
	people, devices, thefts, backups, groups []string
}

func (t *teller) any(words []string) string { return words[t.choose(len(words))] }

// pairwise is a step between people, on the network, or of the relay.
func (t *teller) pairwise(st *Step, name string, about Topic) {
	choose := t.choose
	switch choose(24) {
	case 0, 1, 2, 3, 4, 5:
		st.Do = "deliver"
		if choose(3) == 0 {
			st.Who = ""
		}
	case 6:
		st.Do = t.any([]string{"drop", "duplicate", "reorder", "reorder", "tamper", "restart"})
	case 7, 21:
		st.Do = t.any([]string{"delay", "release"})
	case 8:
		st.Do, st.As = "backup", name
		t.backups = append(t.backups, name)
	case 9:
		if len(t.backups) > 0 && choose(4) == 0 {
			st.Do, st.As = "restore", t.any(t.backups)
		}
	case 10, 11, 12:
		if len(t.thefts) < 8 {
			st.Do, st.As, st.Quantum = "compromise", name, choose(3) == 0 && about == Anything
			t.thefts = append(t.thefts, name)
		}
	case 13:
		if len(t.thefts) > 0 {
			st.Do, st.Theft, st.Count = "impersonate", t.any(t.thefts), 1+choose(2)
			if len(t.groups) > 0 && choose(2) == 0 {
				st.Group = t.any(t.groups)
			}
		}
	case 14:
		st.Do, st.Hours = "wait", []int{1, 30, 200, 400, 800}[min(choose(5), choose(5))]
	case 15:
		st.Do, st.What = t.any([]string{"withhold", "relent"}), t.any([]string{"device list", "mail"})
		if choose(6) == 0 {
			st.What = "one-time prekeys"
		}
	case 16:
		st.Crash = t.any([]string{crashBefore, crashAfter})
	case 17:
		st.Do, st.Crash = "deliver", t.any([]string{crashBefore, crashAfter})
	case 18:
		if choose(4) == 0 && about != Pairwise {
			st.Do = "revoke"
		}
	case 19:
		t.lie(st, name, about)
	case 20:
		st.Count = choose(80)
	case 22:
		st.Do, st.Between, st.Count = "talk", []string{"alice", "bob"}, choose(40)
		st.Loss, st.Late, st.Twice = choose(30), choose(30), choose(30)
	}
}

// lie is a step of a relay that shows what is not so, now and then.
func (t *teller) lie(st *Step, name string, about Topic) {
	if t.choose(6) > 0 || len(t.thefts) >= 8 || about == Pairwise {
		return
	}
	switch t.choose(5) {
	case 0, 1, 2:
		st.Do, st.As, st.Who, st.What, st.To = "substitute", name, t.any(t.people), t.any([]string{"account", "prekeys"}), ""
		if st.What == "account" && t.choose(2) == 0 {
			st.To = t.any(t.people)
		}
		t.thefts = append(t.thefts, name)
	case 3:
		st.Do, st.As, st.Between = "middle", name, []string{"alice", "bob"}
		t.thefts = append(t.thefts, inMiddle(name, "alice"), inMiddle(name, "bob"))
	case 4:
		st.Do, st.What, st.Who = "fork", "device list", t.any(t.people)
	}
}

// talking is a step in a group, or one that makes one.
func (t *teller) talking(st *Step) {
	if len(t.groups) == 0 || len(t.groups) < 3 && t.choose(20) == 0 {
		st.Do, st.Group, st.With = "group", fmt.Sprint("group ", len(t.groups)), []string{t.any(t.people)}
		t.groups = append(t.groups, st.Group)
		return
	}
	st.Do, st.Group = "say", t.any(t.groups)
	switch t.choose(16) {
	case 0, 1, 2, 3:
		st.Do, st.Group, st.Count = "deliver", "", 0
		if t.choose(2) == 0 {
			st.Who = ""
		}
	case 4:
		st.Do = "join"
	case 5:
		st.Do = t.any([]string{"remove", "join", "rekey", "leave"})
		if st.Do == "leave" && t.choose(3) > 0 {
			st.Do = "rekey"
		}
	case 6:
		st.Do = "rekey"
	case 7:
		if t.choose(3) == 0 {
			st.Do, st.What = t.any([]string{"withhold", "relent"}), "group log"
		}
	case 8:
		if t.choose(4) == 0 {
			st.Do, st.What = "fork", "group log"
		}
	case 9:
		st.Crash = t.any([]string{crashBefore, crashAfter})
	case 10:
		st.Do, st.To = "compare", t.any(t.devices)
	}
}

// Trial plays many scenarios with the same people, which is most of what a
// short one costs. It is for one goroutine at a time.
type Trial struct{ kits *kits }

// NewTrial makes a Trial.
func NewTrial() *Trial { return &Trial{newKits()} }

// Run plays a scenario and holds it to what is so in every one (R-LAB-35): what
// opens is what was sent, once, and at no device after it has disclosed the key; the
// judges agree; nobody raises an alarm about a relay that tells no lies; and no thief opens what was read before the theft, unless a device
// was set back or no one-time key was to be had. It returns ErrFault where one
// of these is not so.
func (t *Trial) Run(ctx context.Context, s *Scenario) (*Report, error) {
	r, err := s.run(ctx, 0, t.kits)
	if err != nil {
		return nil, err
	}
	lies := slices.ContainsFunc(s.Steps, func(st Step) bool {
		return slices.Contains([]string{"substitute", "middle", "fork", "withhold"}, st.Do)
	})
	if r.Found > 0 && !lies {
		return r, fmt.Errorf("%w: %d lies were found that nobody told", ErrFault, r.Found)
	}
	weak := slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Do == "restore" || st.What == "one-time prekeys" })
	for _, v := range r.Verdicts {
		switch {
		case !v.Agree:
			return r, fmt.Errorf("%w: %s of %s: the judges differ on %v", ErrFault, v.At, v.Who, v.Differ)
		case len(v.Opened)+v.Closed != r.Messages || v.Read > v.Before:
			return r, fmt.Errorf("%w: %s: figures that cannot be: %+v", ErrFault, v.At, v)
		case v.Read > 0 && !weak:
			return r, fmt.Errorf("%w: %s of %s opens %d messages that were read before", ErrFault, v.At, v.Who, v.Read)
		}
	}
	return r, nil
}
