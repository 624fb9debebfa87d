package lab

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
)

// R-LAB-01: every action is in the chapter, happens in a shipped scenario or in
// a story, and an unknown one is refused.
func TestR_LAB_01_Actions(t *testing.T) {
	chapter, err := os.ReadFile("../spec/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, s := range Shipped() {
		for _, n := range names(s.Steps) {
			used[n] = true
		}
	}
	for seed := range 40 {
		n := seed
		for _, do := range names(Story(Topic(seed%4), func(k int) int { n = n*1103515245 + 12345; return n >> 8 & 0xffff % k }, 40).Steps) {
			used[do] = true
		}
	}
	used["talk"] = true // large
	for do := range acts() {
		if !bytes.Contains(chapter, []byte("`"+do+"`")) {
			t.Errorf("the chapter does not explain %s", do)
		}
		if !used[do] {
			t.Errorf("no scenario and no story has %s", do)
		}
	}
	for _, steps := range [][]Step{
		{{Do: "steal"}}, {{Do: ""}}, {{Do: "send", Who: "carol", To: "bob"}}, {{Do: "send", Who: "alice", To: "carol"}}, {{Do: "send", Who: "alice/2", To: "bob"}},
		{{Do: "send", Who: "alice/x", To: "bob"}}, {{Do: "deliver", Who: "carol"}}, {{Do: "compromise", Who: "alice"}}, {{Do: "compromise", Who: "carol", As: "x"}},
		{{Do: "impersonate", Theft: "x", To: "bob"}}, {{Do: "restore", As: "x"}}, {{Do: "backup", Who: "carol"}}, {{Do: "link", Who: "carol"}}, {{Do: "link", Who: "alice/1"}},
		{{Do: "talk", Between: []string{"alice"}}}, {{Do: "talk", Between: []string{"alice", "carol"}}}, {{Do: "substitute", Who: "bob", As: "x"}},
		{{Do: "substitute", Who: "carol", What: "account", As: "x"}}, {{Do: "withhold", Who: "bob", What: "air"}}, {{Do: "send", Who: "alice", To: "bob", Crash: "during"}},
		{{Do: "compromise", Who: "bob", As: "x"}, {Do: "compromise", Who: "bob", As: "x"}}, {{Do: "send", Count: -1}}, {{Do: "talk", Loss: 101}},
	} {
		s := &Scenario{Name: "x", People: map[string]int{"alice": 1, "bob": 1}, Steps: steps}
		if _, err := s.Run(t.Context(), 1); !errors.Is(err, ErrScenario) {
			t.Errorf("%+v: %v", steps, err)
		}
	}
}

// R-LAB-02: a crash before the commit leaves the disk as it was, one after it
// as it would be; what is on the disk is what lives.
func TestR_LAB_02_Crashes(t *testing.T) {
	w := played(t, say("alice", "bob", 1), deliver, say("bob", "alice", 1), deliver)
	alice, _ := w.device("alice")
	bob, _ := w.device("bob")
	same := func(a, b disk) bool {
		return reflect.DeepEqual(a.sessions, b.sessions) && maps.EqualFunc(a.prekeys, b.prekeys, func(x, y kept) bool { return bytes.Equal(x.record, y.record) }) && bytes.Equal(a.replay, b.replay)
	}
	before := alice.disk.copy()
	if err := w.send(alice, "bob", crashBefore, false); err != nil || !same(before, alice.disk) || len(bob.mailbox) != 0 || w.sent != 2 {
		t.Error("a message that was not stored has left", err)
	}
	if err := w.send(alice, "bob", crashAfter, false); err != nil || same(before, alice.disk) || len(bob.mailbox) != 1 || w.sent != 3 {
		t.Error("a message that was stored is lost", err)
	}
	before = bob.disk.copy()
	if err := w.deliver(bob, 1, crashBefore); err != nil || !same(before, bob.disk) || len(bob.mailbox) != 1 || w.letters[2].opened {
		t.Error("opened and not stored, it must come again", err)
	}
	if err := w.deliver(bob, 1, crashAfter); err != nil || same(before, bob.disk) || len(bob.mailbox) != 1 || !w.letters[2].opened {
		t.Error("stored and not acknowledged, it must come again", err)
	}
	before = bob.disk.copy()
	if err := w.deliver(bob, 1, ""); err != nil || !same(before, bob.disk) || w.counts.refused["ratchet: message was opened before"] != 1 {
		t.Error("and is then a duplicate that changes nothing", err, w.counts.refused)
	}
	for _, d := range w.devices {
		for p, pair := range d.pairs {
			again, err := d.disk.pair(p)
			if err != nil || !bytes.Equal(again.Active().Head(), pair.Active().Head()) {
				t.Error("what lives is not what is stored", err)
			}
		}
	}
}

// R-LAB-03: what was stolen stays as it was, and is all that a device keeps.
func TestR_LAB_03_TheCopyIsWhole(t *testing.T) {
	w := played(t, talk()[:5]...)
	l := w.loots[0]
	bob, _ := w.device("bob")
	if !reflect.DeepEqual(l.sessions, bob.disk.sessions) || len(l.prekeys) != len(bob.disk.prekeys) || len(l.prekeys) < 200 ||
		l.identity != bob.own.IdentityKey.Export() || !bytes.Equal(l.sign, bob.disk.sign) || len(l.lists) != 2 || len(l.replay) == 0 {
		t.Error("the copy is not what the device has")
	}
	before := l.disk.copy()
	for _, st := range talk()[5:] {
		if err := acts()[st.Do].do(w, &st); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(before.sessions, l.sessions) || reflect.DeepEqual(l.sessions, bob.disk.sessions) {
		t.Error("the copy moves with the device")
	}
	if err := w.impersonate(l, bob, "alice"); err != nil || len(l.later) == 0 || !reflect.DeepEqual(before.sessions, l.sessions) {
		t.Error("what a thief does later is not kept apart", err)
	}
}

// A world that goes wrong says so.
func TestWorldFindsFaults(t *testing.T) {
	w := played(t, say("alice", "bob", 1), deliver, say("bob", "alice", 1))
	alice, _ := w.device("alice")
	l := w.letters[1]
	for what, change := range map[string]func(*letter){
		"another text":    func(l *letter) { l.text = []byte("other") },
		"another place":   func(l *letter) { l.number++ },
		"another session": func(l *letter) { l.session[0] ^= 1 },
		"changed":         func(l *letter) { l.tampered = true },
		"opened twice":    func(l *letter) { l.opened = true },
	} {
		c := *l
		change(&c)
		if err := w.open(alice, &c, crashBefore); !errors.Is(err, ErrFault) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.open(alice, l, ""); err != nil || !l.opened {
		t.Error(err)
	}
	// The thief's judge finds a false text too.
	w = played(t, talk()...)
	w.letters[5].text = []byte("other")
	if _, err := w.attack(w.loots[0]); !errors.Is(err, ErrFault) {
		t.Error("the attack opened another text than was sent:", err)
	}
}

// R-LAB-13: files are read strictly, and their numbers are bounded.
func TestR_LAB_13_Files(t *testing.T) {
	good, err := Source("state-theft")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Parse(good); err != nil || s.Name != "state-theft" || len(s.Steps) != 13 || *s.Expect[0].Healed != 2 || s.Expect[0].Forges == nil {
		t.Fatal(err)
	}
	head := "name = \"x\"\n[people]\nalice = 1\nbob = 1\n"
	for _, c := range []struct{ file, says string }{
		{"", "needs a name"},
		{"name = \"x\"", "steps"},
		{"nam = \"x\"", "line 1: a field that no scenario has: nam"},
		{head + "[[steps]]\ndo = \"send\"\nwhom = \"alice\"", "whom"},
		{head + "[[steps]]\ndo = \"fly\"", "no action"},
		{head + "[[steps]]\ndo = 7", "line 6"},
		{head + "[[steps]]\ndo = \"wait\"\nhours = 99999", "hours"},
		{head + "[[steps]]\ndo = \"send\"\ncount = 99999", "messages"},
		{head + "[[steps]]\ndo = \"talk\"\nthefts = 9999", "thefts"},
		{head + "carol = 99\n[[steps]]\ndo = \"wait\"", "devices"},
		{head + "[[steps]]\ndo = \"wait\"\n[[expect]]\nat = \"never\"", "does not happen"},
		{head + "[[steps]]\ndo = \"compromise\"\nas = \"a\"\nwho = \"bob\"\n[[expect]]\nat = \"a\"\nopened = \"9-3\"", "ranges"},
		{strings.Repeat("#", MaxScenario+1), "longer"},
	} {
		_, err := Parse([]byte(c.file))
		if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: %v, want %q", c.file, err, c.says)
		}
	}
	for _, s := range []string{"", "1", "1-3", "1-3 5 7-8", "2 4 6"} {
		n, err := Numbers(s)
		if err != nil || Ranges(n) != s {
			t.Errorf("%q: %v %v", s, n, err)
		}
	}
	for _, s := range []string{"0", "3-1", "x", "1-", "-1", "1 1", "2-4 4", "1,2", "1-999999999"} {
		if n, err := Numbers(s); err == nil {
			t.Errorf("%q: %v", s, n)
		}
	}
	if _, err := Source("../doc.go"); !errors.Is(err, ErrScenario) {
		t.Error(err)
	}
}

// The wire of a report tells the run.
func TestWire(t *testing.T) {
	s := &Scenario{Name: "x", People: map[string]int{"alice": 1, "bob": 1}, Steps: talk()}
	r, err := s.Run(t.Context(), 1)
	if err != nil || len(r.Wire) != 8 || r.Letters != 8 || r.Verdicts[0].Wire != 4 || r.Verdicts[0].Sent != 4 {
		t.Fatal(err, r)
	}
	chains := []uint64{1, 1, 2, 2, 2, 3, 4, 5}
	for i, l := range r.Wire {
		if l.Chain != chains[i] || l.Message != i+1 || !l.Opened || l.First != (i < 2) || (l.From == "alice") != (l.Chain%2 == 1) || l.Session != r.Wire[0].Session || l.After <= 0 {
			t.Errorf("%d: %+v", i, l)
		}
	}
}

// What is expected and not found is said.
func TestExpectationsFail(t *testing.T) {
	n, other := 1, "1-8"
	s := &Scenario{Name: "x", People: map[string]int{"alice": 1, "bob": 1}, Steps: talk(),
		Expect:  []Expectation{{At: "theft", Opened: &other, Healed: &n, Read: &n, Public: &n, Forges: []string{"carol"}, FooledBy: []string{"carol"}}},
		Outcome: &Outcome{Opened: &n, Unsent: &n, Accepted: &n, Public: &n, Refused: map[string]int{"none": 3}},
	}
	r, err := s.Run(t.Context(), 1)
	if err != nil || r.Met || len(r.Missed) != 11 {
		t.Errorf("%v: %d: %q", err, len(r.Missed), r.Missed)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range Shipped() {
		b, err := Source(s.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if (err == nil) != (s != nil) || err != nil && !errors.Is(err, ErrScenario) {
			t.Fatal(err)
		}
		if err == nil && s.check() != nil {
			t.Fatal("parsed and refused")
		}
	})
}
