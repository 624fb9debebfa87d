package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/session"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/ratchet"
)

// stolenFrom is a device's disk as a drill takes it, with at most some prekeys
// of each kind.
func stolenFrom(d *device, some int) Stolen {
	x := Stolen{Self: d.own.Party, Identity: d.disk.identity}
	for p, rows := range d.disk.sessions {
		for _, r := range rows {
			x.Sessions = append(x.Sessions, StolenSession{p.address, p.device, r.head, r.skipped})
		}
	}
	taken := map[prekeys.Kind]int{}
	for r, k := range d.disk.prekeys {
		if taken[r.kind]++; taken[r.kind] <= some || r.kind == prekeys.Signed {
			x.Prekeys = append(x.Prekeys, k.record)
		}
	}
	return x
}

// unrest is a scenario in which letters are lost, late and out of order,
// and devices too.
func unrest(r *rand.Rand) *Scenario {
	s := &Scenario{Name: "unrest", People: map[string]int{"alice": 2, "bob": 1, "carol": 1}}
	devices, people := []string{"alice", "alice/2", "bob", "carol"}, []string{"alice", "bob", "carol"}
	for range 50 {
		st := Step{Who: devices[r.IntN(len(devices))]}
		switch r.IntN(10) {
		case 0, 1, 2:
			st.Do, st.To, st.Count = "send", people[r.IntN(len(people))], 1+r.IntN(6)
		case 3, 4, 5:
			st.Do, st.Count = "deliver", max(0, r.IntN(6)-2)
		case 6, 7:
			st.Do = []string{"drop", "drop", "reorder", "duplicate", "delay", "release", "restart"}[r.IntN(7)]
			if st.Do != "restart" {
				st.Count = 1 + r.IntN(3)
			}
		case 8:
			st = Step{Do: "wait", Hours: []int{1, 30, 200, 400}[min(r.IntN(4), r.IntN(4))]}
		default:
			st.Do, st.What = []string{"withhold", "relent"}[r.IntN(2)], "one-time prekeys"
		}
		s.Steps = append(s.Steps, st)
	}
	return s
}

// expected is what a state says of itself, in the words of a drill.
func expected(t *testing.T, x *Stolen) map[string]int {
	t.Helper()
	want := map[string]int{}
	for _, r := range x.Sessions {
		s, err := session.Parse(r.Head, r.Skipped)
		if err != nil {
			t.Fatal(err)
		}
		e := s.State.Exposure()
		want[TryMissing] += e.Skipped
		if e.Receiving {
			want[TryTheirs]++
		}
		if e.Sending {
			want[TryYours]++
			want[TryAnswer]++
		}
		want[TryAfter]++
	}
	for _, b := range x.Prekeys {
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		switch p.Info().Kind {
		case prekeys.KEMOneTime:
			want[TryFirst]++
		case prekeys.KEMLastResort:
			want[TryLast]++
			want[TryLastAnswered]++
		}
	}
	return want
}

// R-SEC-07, R-SEC-08: whatever has happened to a device, what opens in a drill is what
// its state says of itself, and the copy is as it was.
func TestR_SEC_08_DrillsOpenWhatIsClaimed(t *testing.T) {
	k := newKits()
	sum := map[string]int{}
	for seed := range uint64(20) {
		s := unrest(rand.New(rand.NewPCG(seed, 6)))
		w, err := s.play(t.Context(), seed, k)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range w.devices {
			x := stolenFrom(d, 3)
			before := fmt.Sprintf("%x", rawBytes(&x))
			trials, err := Drill(t.Context(), x)
			if err != nil {
				t.Fatalf("story %d, %s: %v", seed, d.name, err)
			}
			if fmt.Sprintf("%x", rawBytes(&x)) != before {
				t.Fatalf("story %d: the drill has changed the copy", seed)
			}
			want := expected(t, &x)
			got := map[string]int{}
			for _, r := range trials {
				got[r.What] += r.Opened
				sum[r.What] += r.Tried
			}
			for what := range got {
				if got[what] != want[what] {
					t.Errorf("story %d, %s: %d opened of %s, the state says %d", seed, d.name, got[what], what, want[what])
				}
			}
			for what, n := range want {
				if n != got[what] {
					t.Errorf("story %d, %s: of %s %d opened, the state says %d", seed, d.name, what, got[what], n)
				}
			}
		}
	}
	for _, what := range []string{TryMissing, TryReceived, TryTheirs, TryYours, TryAnswer, TryHealed, TryRead, TryAfter, TryForeign, TryFirst, TryFirstAnswered, TryLast, TryLastAnswered} {
		if sum[what] < 10 {
			t.Errorf("only %d tried of %s", sum[what], what)
		}
	}
	t.Log(sum)
}

func rawBytes(x *Stolen) (out [][]byte) {
	for _, s := range x.Sessions {
		out = append(out, s.Head, s.Skipped)
	}
	return append(out, x.Prekeys...)
}

// A drill finds a state that keeps what it should have erased: the key of a
// message that was read stands among the skipped ones again.
func TestDrillFindsKeysThatAreKept(t *testing.T) {
	w := played(t, say("alice", "bob", 5), deliver)
	bob, _ := w.device("bob")
	x := stolenFrom(bob, 0)
	s, err := session.Parse(x.Sessions[0].Head, x.Sessions[0].Skipped)
	if err != nil {
		t.Fatal(err)
	}
	h := read(s.State)
	h.receiving[0].skipped = []skipped{{number: 2, at: 1, key: key{7}}}
	h.generation++
	if s.State, err = h.state(); err != nil {
		t.Fatal(err)
	}
	x.Sessions[0].Head, x.Sessions[0].Skipped = s.Head(), s.Skipped()
	trials, err := Drill(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range trials {
		if r.What == TryMissing && r.Opened != 1 || r.What == TryReceived && (r.Tried != 4 || r.Opened != 0) {
			t.Errorf("%+v", r)
		}
	}
}

// A drill of own sender keys: what is said next opens, what was said does not.
func TestDrillOfGroups(t *testing.T) {
	s, err := groups.NewSending(groups.NewID(), 1, groups.Sender{Address: "alice@lab.example", Device: 7, Identity: [32]byte{9}}, time.Unix(1_800_000_000, 0), groups.Before{})
	if err != nil {
		t.Fatal(err)
	}
	trials, err := Drill(t.Context(), Stolen{Chains: [][]byte{s.AppendRecord(nil)}})
	if err != nil || len(trials) != 2 {
		t.Fatal(trials, err)
	}
	for _, r := range trials {
		if r.Tried != 1 || (r.What == TryGroupYours) != (r.Opened == 1) {
			t.Errorf("%+v", r)
		}
	}
}

// What cannot be read is refused, a drill can be stopped, and no key prints.
func TestDrillRefuses(t *testing.T) {
	w := played(t, say("alice", "bob", 1), deliver)
	bob, _ := w.device("bob")
	x := stolenFrom(bob, 1)
	if printed := fmt.Sprintf("%+v %x", x, x.Sessions[0]); printed != "lab.Stolen(redacted) lab.StolenSession(redacted)" {
		t.Error(printed)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Drill(ended, x); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	bad := x
	bad.Prekeys = [][]byte{{1}}
	if _, err := Drill(t.Context(), bad); !errors.Is(err, prekeys.ErrMalformed) {
		t.Error(err)
	}
	bad = x
	bad.Sessions = []StolenSession{{Peer: "x", Head: []byte{1}}}
	if _, err := Drill(t.Context(), bad); !errors.Is(err, session.ErrRecord) {
		t.Error(err)
	}
	bad = x
	bad.Chains = [][]byte{[]byte(strings.Repeat("x", 99))}
	if _, err := Drill(t.Context(), bad); !errors.Is(err, groups.ErrMalformed) {
		t.Error(err)
	}
}

// BenchmarkDrill is a drill of one session from which 100 messages are missing.
func BenchmarkDrill(b *testing.B) {
	s := &Scenario{Name: "drill", People: map[string]int{"alice": 1, "bob": 1}, Steps: []Step{
		say("alice", "bob", 101), {Do: "drop", Who: "bob", Count: 100}, deliver, say("bob", "alice", 2), deliver,
	}}
	w, err := s.play(b.Context(), 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	bob, _ := w.device("bob")
	x := stolenFrom(bob, 0)
	if got := read(firstState(b, &x)); len(got.receiving) == 0 || len(got.receiving[0].skipped) < 100 {
		b.Fatal("nothing is missing")
	}
	for b.Loop() {
		if _, err := Drill(b.Context(), x); err != nil {
			b.Fatal(err)
		}
	}
}

func firstState(b *testing.B, x *Stolen) ratchet.State {
	s, err := session.Parse(x.Sessions[0].Head, x.Sessions[0].Skipped)
	if err != nil {
		b.Fatal(err)
	}
	return s.State
}
