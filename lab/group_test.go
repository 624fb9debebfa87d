package lab

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/pawl-chat/pawl/groups"
)

// team plays steps among alice, bob and carol, who begin with a group.
func team(t *testing.T, steps ...Step) *world {
	t.Helper()
	s := &Scenario{
		Name: "test", People: map[string]int{"alice": 1, "bob": 1, "carol": 1},
		Steps: append([]Step{{Do: "group", Who: "alice", Group: "team", With: []string{"bob", "carol"}}, deliver}, steps...),
	}
	w, err := s.play(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func saying(who string, n int) Step { return Step{Do: "say", Who: who, Group: "team", Count: n} }

func (w *world) roster(t *testing.T, who string) groups.Roster {
	t.Helper()
	d, err := w.device(who)
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.disk.shelves[w.groups["team"]].takes()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// R-LAB-30: devices that follow one log have one roster, every message is opened
// by every member, and what lives is on the disk.
func TestR_LAB_30_Groups(t *testing.T) {
	w := team(t, saying("alice", 2), saying("bob", 1), deliver, saying("carol", 1), deliver,
		Step{Do: "rekey", Who: "bob", Group: "team"}, deliver, saying("alice", 1), saying("bob", 1), saying("carol", 1), deliver, saying("alice", 1), deliver)
	a := w.roster(t, "alice")
	if a.Epoch != 2 || len(a.Members) != 3 || !reflect.DeepEqual(a, w.roster(t, "bob")) || !reflect.DeepEqual(a, w.roster(t, "carol")) {
		t.Errorf("%+v", a)
	}
	said, told := 0, map[groups.ChainID]bool{}
	for _, l := range w.letters {
		if !l.opened {
			t.Errorf("letter %d was not opened", l.index)
		}
		if l.said != nil && l.message > 0 {
			said++
		}
		if l.discloses != nil {
			told[l.discloses.Chain] = true
		}
	}
	if said != 16 || len(told) != 3 {
		t.Errorf("%d copies of 8 messages, %d of 3 chains disclosed", said, len(told))
	}
	if n := w.signable(w.letters); n != 4 {
		t.Errorf("%d messages of the first epoch could be anybody's", n)
	}
	if len(w.counts.refused) != 0 || w.counts.unsent != 0 {
		t.Errorf("%v", w.counts.refused)
	}
	// A crash before the commit forgets the message, one after it sends it.
	d, _ := w.device("alice")
	before := d.disk.copy()
	if err := w.say(d, w.groups["team"], crashBefore, false); err != nil || !reflect.DeepEqual(before.shelves, d.disk.shelves) || w.sent != 8 {
		t.Error("a message that was not stored", err)
	}
	if err := w.say(d, w.groups["team"], crashAfter, false); err != nil || reflect.DeepEqual(before.shelves, d.disk.shelves) || w.sent != 9 {
		t.Error("a message that was stored", err)
	}
	// Who is out holds nothing.
	for _, st := range []Step{{Do: "remove", Who: "alice", Group: "team", To: "bob"}, deliver} {
		if err := acts()[st.Do].do(w, &st); err != nil {
			t.Fatal(err)
		}
	}
	bob, _ := w.device("bob")
	if s := bob.disk.shelves[w.groups["team"]]; !s.out || s.own != nil || len(s.chains)+len(s.secrets)+len(s.closing) != 0 {
		t.Errorf("%+v", s)
	}
	if w.roster(t, "alice").Epoch != 3 || len(w.roster(t, "carol").Members) != 2 {
		t.Error("bob is still in")
	}
}

// R-LAB-30: what comes twice, in another order or changed is refused or opened as it
// is; what comes before its keys waits.
func TestR_LAB_30_ABadNetwork(t *testing.T) {
	w := team(t, saying("alice", 6), Step{Do: "duplicate", Who: "bob", Count: 4}, Step{Do: "reorder", Who: "bob"}, Step{Do: "tamper", Who: "carol", Count: 3}, deliver,
		Step{Do: "delay", Who: "bob"}, saying("carol", 2), Step{Do: "reorder", Who: "alice"}, deliver)
	opened := map[string]int{}
	for _, l := range w.letters {
		if l.said != nil && l.opened {
			opened[w.find(l.to).name]++
		}
	}
	if opened["bob"] != 8 || opened["carol"] != 3 || opened["alice"] != 2 {
		t.Errorf("%v, %v", opened, w.counts.refused)
	}
	if w.counts.refused[reason(groups.ErrDuplicate)] != 4 {
		t.Errorf("%v", w.counts.refused)
	}
}

// R-LAB-31: the judges of groups can err, and it shows: a rule too few, a stolen
// key too few, or one that was kept unseen.
func TestR_LAB_31_JudgesCanDiffer(t *testing.T) {
	w := team(t, saying("alice", 2), saying("carol", 1), deliver, saying("bob", 1), deliver, Step{Do: "compromise", Who: "bob", As: "theft"}, saying("alice", 2), saying("carol", 1), saying("bob", 1), deliver,
		Step{Do: "rekey", Who: "alice", Group: "team"}, deliver, saying("alice", 1), deliver)
	l := w.loots[0]
	v := verdict(t, w)
	if !v.Agree || !slices.Equal(v.Opened, []int{5, 6, 7, 8, 9}) || v.Read != 0 || v.Entries != len(w.entries) {
		t.Fatalf("%+v", v)
	}
	a, err := w.ransack(l)
	if err != nil {
		t.Fatal(err)
	}
	known, err := l.known()
	if err != nil {
		t.Fatal(err)
	}
	differ := func(g *graph, known []name) bool {
		follows := g.index().close(known)
		for _, letter := range w.letters {
			if follows[g.names[name{role: content, n: uint64(letter.index)}]] != a.opened[letter.index] {
				return true
			}
		}
		for _, e := range w.entries {
			if follows[g.names[name{role: logEntry, n: uint64(e.index)}]] != a.log[e.index] {
				return true
			}
		}
		return false
	}
	g := w.trace.graph
	if differ(g, known) {
		t.Fatal("they differ without a reason")
	}
	roles := map[role]int{}
	for r := range g.heads {
		less := &graph{g.names, slices.Delete(slices.Clone(g.heads), r, r+1), slices.Delete(slices.Clone(g.body), r, r+1)}
		if differ(less, known) {
			for n, id := range g.names {
				if id == g.heads[r] {
					roles[n.role]++
				}
			}
		}
	}
	for _, r := range []role{senderKey, groupKey, content, logEntry} {
		if roles[r] == 0 {
			t.Errorf("no rule about %d is missed", r)
		}
	}
	missed := 0
	for i := range known {
		if known[i].role == senderKey && differ(g, slices.Delete(slices.Clone(known), i, i+1)) {
			missed++
		}
	}
	if missed != 3 {
		t.Errorf("%d of the 3 chains that bob held are missed", missed)
	}
	for _, letter := range w.letters {
		if letter.said != nil && letter.message > 0 && letter.message < 5 && !differ(g, append(slices.Clone(known), groupKeyOf(letter.said.key.Chain, letter.number))) {
			t.Errorf("the key of message %d could have been kept unseen", letter.message)
		}
	}
	// A secret opens the log and no message.
	for _, letter := range w.letters {
		letter.text = []byte("other")
	}
	if _, err := w.attack(l); !errors.Is(err, ErrFault) {
		t.Error("the thief opened another message than was said:", err)
	}
}

// R-LAB-31: a receiver's record that contradicts the sender's stops the run.
func TestR_LAB_31_RecordsConfirmEachOther(t *testing.T) {
	w := team(t, saying("alice", 3), Step{Do: "drop", Who: "bob", Count: 1}, deliver)
	bob, _ := w.device("bob")
	n := 0
	for _, x := range bob.disk.shelves[w.groups["team"]].chains {
		c, err := x.receiving()
		if err != nil || w.trace.heard(c) != nil {
			t.Fatal(err)
		}
		names, values := heldChain(c)
		n += len(names)
		for i := range names {
			values[i][0] ^= 1
			if err := w.trace.see(names[i], values[i]); err != errTrace && names[i].role == senderKey {
				t.Error(err)
			}
		}
		if c, err = c.Close(nil); err != nil {
			t.Fatal(err)
		} else if names, _ := heldChain(c); len(names) != 0 {
			t.Error("a closed chain holds keys")
		}
	}
	if n != 2 {
		t.Errorf("%d values in a chain with one skipped key", n)
	}
}

// R-LAB-32: who holds a chain of another's makes nothing; who holds an own one is
// taken for its owner until the epoch ends; a key that was disclosed too early
// is found.
func TestR_LAB_32_Forging(t *testing.T) {
	w := team(t, saying("bob", 1), saying("alice", 1), deliver, Step{Do: "compromise", Who: "bob", As: "theft"})
	if v := verdict(t, w); !slices.Equal(v.Forges, []string{"alice", "alice in team", "carol", "carol in team"}) {
		t.Errorf("%+v", v)
	}
	for _, st := range []Step{{Do: "rekey", Who: "alice", Group: "team"}, deliver, saying("bob", 1), deliver} {
		if err := acts()[st.Do].do(w, &st); err != nil {
			t.Fatal(err)
		}
	}
	if v := verdict(t, w); slices.Contains(v.Forges, "alice in team") || w.signable(w.letters) != 1 {
		t.Errorf("%+v, %d", v, w.signable(w.letters))
	}
	if err := w.disclosedIsDead(); err != nil {
		t.Error(err)
	}
	for i, l := range w.letters {
		if l.discloses == nil {
			continue
		}
		last := w.letters[len(w.letters)-1]
		bob, _ := w.device("bob")
		own, err := groups.ParseSending(bob.disk.shelves[w.groups["team"]].own)
		if err != nil {
			t.Fatal(err)
		}
		l.discloses = &groups.Disclosed{Chain: own.ID(), Seed: own.Seed()}
		if err := w.disclosedIsDead(); !errors.Is(err, ErrFault) {
			t.Errorf("letter %d discloses a chain that is open, unseen: %v (%d)", i, err, last.index)
		}
		break
	}
}

// R-LAB-33: who compares finds out, who does not is read.
func TestR_LAB_33_InTheMiddle(t *testing.T) {
	steps := []Step{{Do: "middle", Between: []string{"alice", "bob"}, As: "relay"}}
	for range 20 {
		steps = append(steps, say("alice", "bob", 2), deliver, say("bob", "alice", 1), deliver)
	}
	s := &Scenario{Name: "middle", People: map[string]int{"alice": 1, "bob": 1}, Steps: steps}
	r, err := s.Run(t.Context(), 1)
	if err != nil || !r.Met || len(r.Verdicts) != 2 {
		t.Fatal(err, r)
	}
	all := slices.Concat(r.Verdicts[0].Opened, r.Verdicts[1].Opened)
	slices.Sort(all)
	if len(slices.Compact(all)) != 60 || r.Accepted != 60 || r.Found != 0 {
		t.Errorf("of 60 messages the relay reads %d, and %d of its own are taken", len(all), r.Accepted)
	}
	s.Steps = append(s.Steps, Step{Do: "compare", Who: "bob", To: "alice"}, Step{Do: "compare", Who: "alice", To: "bob"}, say("alice", "bob", 1), deliver)
	if r, err = s.Run(t.Context(), 1); err != nil || r.Found != 1 || r.Unsent != 1 || r.Messages != 60 {
		t.Fatal(err, r)
	}
}

// R-LAB-13: the letters of a run are bounded, however many its messages have.
func TestR_LAB_13_Letters(t *testing.T) {
	w := team(t, saying("alice", 1))
	w.letters = make([]*letter, MaxLetters)
	alice, _ := w.device("alice")
	if err := w.say(alice, w.groups["team"], "", false); !errors.Is(err, ErrScenario) {
		t.Error(err)
	}
}
