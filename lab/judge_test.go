package lab

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// played plays steps between alice and bob.
func played(t *testing.T, steps ...Step) *world {
	t.Helper()
	s := &Scenario{Name: "test", People: map[string]int{"alice": 1, "bob": 1}, Steps: steps}
	w, err := s.play(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func say(who, to string, n int) Step { return Step{Do: "send", Who: who, To: to, Count: n} }

var deliver = Step{Do: "deliver"}

// talk is some rounds, with a theft of bob in the middle of his chain.
func talk() []Step {
	return []Step{
		say("alice", "bob", 2), deliver, say("bob", "alice", 2), deliver, {Do: "compromise", Who: "bob", As: "theft"},
		say("bob", "alice", 1), deliver, say("alice", "bob", 1), deliver, say("bob", "alice", 1), deliver, say("alice", "bob", 1), deliver,
	}
}

func verdict(t *testing.T, w *world) Verdict {
	t.Helper()
	v, cells, err := w.judge(w.trace.index(), w.loots[0])
	if err != nil || cells == 0 {
		t.Fatal(err, cells)
	}
	return v
}

// R-LAB-05, R-LAB-06, R-LAB-07: each judge sees what the other says, and a
// judge who errs is found: one that forgets a rule, is told of a key that was
// not stolen or not of one that was, or an attacker who misses a way.
func TestR_LAB_07_JudgesCanDiffer(t *testing.T) {
	w := played(t, talk()...)
	if v := verdict(t, w); !v.Agree || !slices.Equal(v.Opened, []int{5, 6}) {
		t.Fatalf("%+v", v)
	}
	l := w.loots[0]
	opened, err := w.attack(l)
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
			n := g.names[name{role: content, n: uint64(letter.index)}]
			if follows[n] != opened[letter.index] {
				return true
			}
		}
		return false
	}
	g := w.trace.graph
	if differ(g, known) {
		t.Fatal("the judges differ without a reason")
	}
	// Of the rules, some must be missed.
	missed := 0
	for r := range g.heads {
		less := &graph{g.names, slices.Delete(slices.Clone(g.heads), r, r+1), slices.Delete(slices.Clone(g.body), r, r+1)}
		if differ(less, known) {
			missed++
		}
	}
	if missed < 5 {
		t.Errorf("only %d of %d rules are missed", missed, len(g.heads))
	}
	// Each stolen key that opens something is needed.
	missed = 0
	for i := range known {
		if differ(g, slices.Delete(slices.Clone(known), i, i+1)) {
			missed++
		}
	}
	if missed < 2 {
		t.Errorf("only %d of %d stolen values are missed", missed, len(known))
	}
	// A key that an implementation forgot to erase shows at once.
	for _, letter := range w.letters[:4] {
		if !differ(g, append(slices.Clone(known), name{messageKey, letter.seed, uint64(letter.number)})) {
			t.Errorf("the key of letter %d could have been kept unseen", letter.index)
		}
	}
	// An attacker who was not given all: the verdict itself finds it.
	for p, rows := range l.sessions {
		for id := range rows {
			delete(l.sessions[p], id)
		}
	}
	if v := verdict(t, w); len(v.Opened) != 0 || !v.Agree {
		t.Errorf("an empty copy: %+v", v)
	}
	d := w.device
	bob, err := d("bob")
	if err != nil {
		t.Fatal(err)
	}
	later := bob.disk.copy()
	follows := g.index().close(known)
	l.disk = later // another theft than the one the closure is told of
	opened, err = w.attack(l)
	if err != nil {
		t.Fatal(err)
	}
	same := true
	for _, letter := range w.letters {
		same = same && follows[g.names[name{role: content, n: uint64(letter.index)}]] == opened[letter.index]
	}
	if same {
		t.Error("two thefts at different times open the same")
	}
}

// R-LAB-06: chains longer than a device would follow hold no attacker up.
func TestR_LAB_06_LongChains(t *testing.T) {
	for _, c := range []struct {
		before, after, again int
	}{{999, 2, 3}, {1000, 0, 0}, {1001, 1, 1}, {1500, 700, 5}, {1999, 0, 0}, {2000, 1, 0}, {2001, 1, 0}, {2600, 2300, 2200}, {10, 2500, 2505}} {
		s := &Scenario{Name: "long", People: map[string]int{"alice": 1, "bob": 1}, Steps: []Step{
			{Do: "withhold", Who: "bob", What: "one-time prekeys"}, say("alice", "bob", 1), deliver,
			{Do: "backup", Who: "bob", As: "old"}, say("bob", "alice", 1), {Do: "backup", Who: "bob", As: "begun"},
			say("bob", "alice", c.before-1), {Do: "compromise", Who: "bob", As: "theft"}, say("bob", "alice", c.after+1),
			{Do: "restore", As: "begun"}, say("bob", "alice", c.again+1), {Do: "restore", As: "old"}, say("bob", "alice", 2),
		}}
		r, err := s.Run(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		// All of it falls, but for a chain that the copy begins anew.
		if v := r.Verdicts[0]; !v.Agree || len(v.Opened) != r.Messages-2 {
			t.Errorf("%+v: %d of %d messages, differ on %s", c, len(v.Opened), r.Messages, Ranges(v.Differ))
		}
	}
}

// R-LAB-06: nor do numbers that come twice, further apart than a device would
// follow.
func TestR_LAB_06_LongChainTwice(t *testing.T) {
	s := &Scenario{Name: "twice", People: map[string]int{"alice": 1, "bob": 1}, Steps: []Step{
		say("alice", "bob", 1), deliver, say("bob", "alice", 9), {Do: "backup", Who: "bob", As: "old"}, {Do: "compromise", Who: "bob", As: "theft"},
		say("bob", "alice", 4500), {Do: "restore", As: "old"}, say("bob", "alice", 4600),
	}}
	r, err := s.Run(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Verdicts[0]; !v.Agree || len(v.Opened) != 9100 || v.Closed != 10 {
		t.Errorf("%d of %d messages, differ on %s", len(v.Opened), r.Messages, Ranges(v.Differ))
	}
}

// R-LAB-04: records that contradict each other stop the run, and the ends of
// a session confirm each other.
func TestR_LAB_04_RecordsConfirmEachOther(t *testing.T) {
	w := played(t, talk()...)
	if w.trace.agreed < 8 {
		t.Errorf("only %d values were seen by both ends", w.trace.agreed)
	}
	chain := name{chainKey, key{1}, 3}
	if err := w.trace.see(chain, key{2}); err != nil {
		t.Fatal(err)
	}
	if err := w.trace.see(chain, key{2}); err != nil {
		t.Error("the same value again:", err)
	}
	if err := w.trace.see(chain, key{3}); err != errTrace {
		t.Error("two values of one name:", err)
	}
	for root, from := range w.trace.steps {
		if err := w.trace.step(root.of, key{}, from[1], from[0], nil); err != errTrace {
			t.Error("two origins of one root key:", err)
		}
	}
}

// R-LAB-05: a record that is read and written is the same, and what it holds
// has names.
func TestR_LAB_05_RecordsAreReadWhole(t *testing.T) {
	w := played(t, append(talk(), say("alice", "bob", 4), Step{Do: "drop", Who: "bob", Count: 2}, deliver)...)
	n := 0
	for _, d := range w.devices {
		for _, pair := range d.pairs {
			for _, s := range pair.Sessions() {
				h := read(s.State)
				again, err := h.state()
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(again.AppendRecord(nil), s.State.AppendRecord(nil)) {
					t.Error("another record after reading and writing")
				}
				n += len(held(s.State))
			}
		}
	}
	if n < 7 {
		t.Errorf("only %d values in two records", n)
	}
}

// R-LAB-08: windows are counted in messages and time.
func TestR_LAB_08_Windows(t *testing.T) {
	w := &world{now: began, written: map[int]*text{}, sent: 9}
	l := &loot{self: peer{"bob", 1}, at: began.Add(time.Hour), sent: 3}
	for n := 1; n <= 9; n++ {
		w.written[n] = &text{at: began.Add(time.Duration(n) * 20 * time.Minute)}
		to := "bob"
		if n == 5 {
			to = "carol" // not of the victim's
		}
		w.letters = append(w.letters, &letter{message: n, from: peer{"alice", 2}, to: peer{to, 3}})
	}
	for _, c := range []struct {
		open           []int
		healed, before int
		in             time.Duration
	}{
		{nil, 0, 0, 20 * time.Minute},
		{[]int{1, 2}, 0, 2, 20 * time.Minute},
		{[]int{2, 4, 6}, 2, 1, 80 * time.Minute},
		{[]int{4, 7}, 3, 0, 100 * time.Minute},
		{[]int{9}, -1, 0, 20 * time.Minute},
		{[]int{4, 6, 7, 8, 9}, -1, 0, 0},
	} {
		open := map[int]bool{}
		for _, n := range c.open {
			open[n] = true
		}
		var v Verdict
		w.measure(&v, l, open, map[int]bool{2: true})
		if v.Healed != c.healed || v.Before != c.before || v.Closed != 9-len(c.open) || c.healed >= 0 && v.HealedIn != c.in {
			t.Errorf("%v: %+v", c.open, v)
		}
		if open[2] && (v.Read != 1 || v.Oldest < 20*time.Minute) {
			t.Errorf("%v: %+v", c.open, v)
		}
	}
	l.sent = 9
	var v Verdict
	if w.measure(&v, l, nil, nil); v.Healed != -1 {
		t.Error("nothing was written after the theft, and healing was seen")
	}
}

// R-LAB-09: who takes what a thief writes follows what was stolen and when, and
// disclosed keys are found on the wire.
func TestR_LAB_09_Forging(t *testing.T) {
	w := played(t, talk()[:5]...)
	v := verdict(t, w)
	if !slices.Equal(v.Forges, []string{"alice"}) || !slices.Equal(v.FooledBy, []string{"alice"}) {
		t.Errorf("right after the theft: %+v", v)
	}
	if v := verdict(t, played(t, talk()...)); len(v.Forges)+len(v.FooledBy) != 0 {
		t.Errorf("after healing: %+v", v)
	}
	if n := w.forgeable(w.letters); n != 0 {
		t.Errorf("%d messages are forgeable while all chains are open", n)
	}
	w = played(t, talk()...)
	if n := w.forgeable(w.letters); n != 5 {
		t.Errorf("%d messages are forgeable after three rounds", n)
	}
	for k := range w.letters {
		if w.forgeable(w.letters[:k]) > max(0, k-2) {
			t.Errorf("of %d letters the last round is forgeable", k)
		}
	}
	w.letters[0].body[20] ^= 1
	if n := w.forgeable(w.letters); n != 4 {
		t.Errorf("a letter that was changed counts: %d", n)
	}
}

// R-LAB-12: the seed decides, and two runs of one seed judge alike.
func TestR_LAB_12_Seeds(t *testing.T) {
	s := &Scenario{
		Name: "talk", People: map[string]int{"alice": 1, "bob": 1},
		Steps: []Step{{Do: "talk", Between: []string{"alice", "bob"}, Count: 200, Loss: 10, Late: 10, Twice: 5, Thefts: 10}},
	}
	var runs []*Report
	for _, seed := range []uint64{3, 3, 4} {
		r, err := s.Run(t.Context(), seed)
		if err != nil || !r.Met {
			t.Fatal(err, r)
		}
		r.Agreed = 0
		for i := range r.Wire { // ids are drawn anew
			r.Wire[i].Session = ""
		}
		runs = append(runs, r)
	}
	if !reflect.DeepEqual(runs[0], runs[1]) {
		t.Errorf("one seed, two reports:\n%+v\n%+v", runs[0], runs[1])
	}
	if reflect.DeepEqual(runs[0].Verdicts, runs[2].Verdicts) {
		t.Error("two seeds, one report")
	}
}

// R-LAB-11: judging is fast enough to be used while one thinks.
func TestR_LAB_11_Speed(t *testing.T) {
	began := time.Now()
	r, err := large().Run(t.Context(), 0)
	if err != nil || !r.Met || len(r.Verdicts) != 40 || r.Messages != 1000 || r.Cells < 40_000 {
		t.Fatal(err, r)
	}
	took := time.Since(began)
	t.Log(took)
	if took > 5*time.Second {
		t.Errorf("1000 messages under 40 thefts took %s", took)
	}
}
