package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// killSeed names the variable that repeats the kills of one run.
const killSeed = "PAWL_KILL_SEED"

// burst is how many messages each of the two people sends.
const burst = 1000

// ran is one process of the program.
type ran struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	killed bool
	ended  chan struct{}
}

// arena is a server and homes whose processes are killed.
type arena struct {
	t      *testing.T
	pawl   string
	dir    string
	listen string
	invite string

	mu       sync.Mutex
	rand     *rand.Rand
	running  map[string]*ran
	progress int      // lines printed by all processes
	at       []int    // progress at which the next kills happen
	victims  []string // who is killed then
	kills    map[string]int
	printed  map[string]int // lines of each role, for the failure message
	moved    chan struct{}  // a line came; has room for one
	over     bool
}

func newArena(t *testing.T, seed uint64) *arena {
	path, err := exec.LookPath("pawl")
	if err != nil {
		t.Fatal(err)
	}
	s := &arena{
		t: t, pawl: path, dir: t.TempDir(), listen: "127.0.0.1:0", rand: rand.New(rand.NewPCG(seed, 0)),
		running: map[string]*ran{}, kills: map[string]int{}, printed: map[string]int{}, moved: make(chan struct{}, 1),
	}
	t.Cleanup(func() {
		s.mu.Lock()
		s.over = true
		left := slices.Collect(maps.Values(s.running))
		s.mu.Unlock()
		for _, r := range left {
			r.cmd.Process.Kill()
			<-r.ended
		}
	})
	return s
}

// command is a call of the program on a person's home.
func (s *arena) command(person string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.pawl, args...)
	cmd.Env = append(os.Environ(), "PAWL_HOME="+filepath.Join(s.dir, person), "HOME="+s.dir)
	return cmd
}

// must runs a command that has to succeed and returns what it printed.
func (s *arena) must(person string, args ...string) string {
	s.t.Helper()
	cmd := s.command(person, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", person, args, err, stderr.String())
	}
	return string(out)
}

// run starts a command as a role and passes each line it prints to line, until
// it ends.
func (s *arena) run(role string, cmd *exec.Cmd, line func(string)) *ran {
	s.t.Helper()
	r := &ran{cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &r.stderr
	out, err := cmd.StdoutPipe()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.over {
		err = cmd.Start()
	}
	if err != nil || s.over {
		if err != nil {
			s.t.Errorf("%s: %v", role, err)
		}
		s.over = true
		close(r.ended)
		return r
	}
	s.running[role] = r
	go func() {
		defer close(r.ended)
		sc := bufio.NewScanner(out)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			line(sc.Text())
			s.step(role)
		}
		cmd.Wait()
	}()
	return r
}

// step counts a line, and kills whose moment has come.
func (s *arena) step(role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress++
	s.printed[role]++
	for len(s.at) > 0 && s.at[0] <= s.progress {
		if r := s.running[s.victims[0]]; r != nil && !r.killed {
			select {
			case <-r.ended: // between two lives
			default:
				r.killed = true
				r.cmd.Process.Kill()
				s.kills[s.victims[0]]++
			}
		}
		s.at, s.victims = s.at[1:], s.victims[1:]
	}
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// plan draws the moments: so many kills of each role, spread over the lines of
// the burst.
func (s *arena) plan(of map[string]int) {
	roles := make([]string, 0, len(of))
	for role := range of {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range roles {
		for range of[role] {
			s.victims = append(s.victims, role)
			s.at = append(s.at, s.progress+1+s.rand.IntN(3*burst))
		}
	}
	s.rand.Shuffle(len(s.victims), func(i, j int) { s.victims[i], s.victims[j] = s.victims[j], s.victims[i] })
	slices.Sort(s.at)
}

func (s *arena) intn(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

// ending reports whether a process that ended was killed, and fails the test
// when it ended for a reason that is none.
func (s *arena) ending(role string, r *ran, allowed ...int) (killed, over bool) {
	<-r.ended
	s.mu.Lock()
	killed, over = r.killed, s.over
	s.mu.Unlock()
	if code := r.cmd.ProcessState.ExitCode(); !killed && !over && !slices.Contains(allowed, code) {
		s.t.Errorf("%s ended by itself with %d: %s", role, code, r.stderr.String())
	}
	return killed, over
}

// serve keeps a server running on the same port and directory, and returns when
// the first one answers.
func (s *arena) serve() {
	s.t.Helper()
	ready := make(chan struct{}, 1)
	go func() {
		for {
			listen := s.listen
			r := s.run("server", s.command("", "serve", "--json", "--data", filepath.Join(s.dir, "server"), "--listen", listen), func(line string) {
				var o struct{ Listen, Invite string }
				if err := json.Unmarshal([]byte(line), &o); err != nil || o.Listen == "" {
					s.t.Errorf("the server said %q", line)
				}
				s.listen, s.invite = o.Listen, o.Invite
				select {
				case ready <- struct{}{}:
				default:
				}
			})
			// 1: a dialling client may hold the port for a moment.
			if _, over := s.ending("server", r, 1); over {
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		s.t.Fatal("the server does not start")
	}
}

// span is what one life of a sender was given to send, the numbers from first
// to end, and how far it is known to have come.
type span struct {
	first, end, printed int
	whole               bool // it ended by itself
}

// sender sends numbers from a home, one life after the other, until a burst is
// known to be sent.
func (s *arena) sender(role, person, to string) (spans []span) {
	for known, next := 0, 0; known < burst; {
		sp := span{first: next, end: next + burst - known, printed: next - 1}
		var in strings.Builder
		for i := sp.first; i < sp.end; i++ {
			fmt.Fprintf(&in, "%d\n", i)
		}
		wait := []string{"none", "accepted"}[s.intn(2)]
		cmd := s.command(person, "send", to, "--lines", "--json", "--wait", wait)
		cmd.Stdin = strings.NewReader(in.String())
		r := s.run(role, cmd, func(line string) {
			var o struct{ Text string }
			n, err := 0, json.Unmarshal([]byte(line), &o)
			if err == nil {
				n, err = strconv.Atoi(o.Text)
			}
			if err != nil || n <= sp.printed || n >= sp.end {
				s.t.Errorf("%s printed %q after %d", role, line, sp.printed)
				return
			}
			sp.printed = n
		})
		// 3 and 8: the server was away, and all or some lines were queued.
		killed, over := s.ending(role, r, 0, 3, 8)
		if over {
			return spans
		}
		if sp.whole = !killed; sp.whole {
			sp.printed = sp.end - 1 // also those that were queued without a line
		}
		known, next = known+sp.printed-sp.first+1, sp.end
		spans = append(spans, sp)
	}
	return spans
}

// receiver follows a home, one life after the other, and collects what the
// lives print.
func (s *arena) receiver(role, person string, got *[]string) {
	for {
		r := s.run(role, s.command(person, "recv", "--follow", "--json"), func(line string) {
			var o struct{ ID string }
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				s.t.Errorf("%s printed %q", role, line)
			}
			s.mu.Lock()
			*got = append(*got, o.ID)
			s.mu.Unlock()
		})
		if _, over := s.ending(role, r); over {
			return
		}
	}
}

// entry is one message of a history.
type entry struct {
	ID, Direction, Kind, Cause, Text, Status string
}

func (s *arena) history(person, with, direction string) (list []entry) {
	s.t.Helper()
	for line := range strings.Lines(s.must(person, "history", with, "--json", "--limit", strconv.Itoa(10*burst))) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		if e.Direction == direction {
			list = append(list, e)
		}
	}
	return list
}

// settled reports whether nothing waits to leave a home.
func (s *arena) settled(person string) bool {
	var o struct{ Outbox int }
	if err := json.Unmarshal([]byte(s.must(person, "status", "--json")), &o); err != nil {
		s.t.Fatal(err)
	}
	return o.Outbox == 0
}

// TestKilledAnywhere: two people send a thousand messages each while their
// processes and the server are killed at random moments. Every message that
// was durable at its sender is shown exactly once, in order (R-CLT-01,
// R-CLT-13, R-REL-15, R-OWN-01).
func TestKilledAnywhere(t *testing.T) {
	seed := rand.Uint64()
	if v := os.Getenv(killSeed); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d repeats these kills", killSeed, seed)
	began := time.Now()
	s := newArena(t, seed)
	s.serve()
	s.must("alice", "register", "alice", "--invite", s.invite)
	s.must("bob", "register", "bob", "--invite", s.invite)
	s.plan(map[string]int{"server": 5, "alice sends": 3, "bob sends": 3, "alice receives": 3, "bob receives": 3})

	var sent [2][]span
	var got [2][]string
	var senders sync.WaitGroup
	for i, p := range [2][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		go s.receiver(p[0]+" receives", p[0], &got[i])
		senders.Go(func() { sent[i] = s.sender(p[0]+" sends", p[0], p[1]) })
	}
	senders.Wait()
	t.Logf("sent after %v", time.Since(began))
	for _, person := range []string{"alice", "bob", "alice", "bob"} {
		for {
			// Taking what waits for a reader of its own asks the server for all of it.
			s.command(person, "recv", "--consumer", "drain").Run()
			if s.settled(person) {
				break
			}
			if time.Since(began) > 3*time.Minute {
				t.Fatalf("%s does not get rid of its messages; lines %v, kills %v", person, s.printed, s.kills)
			}
		}
	}
	for i, p := range [2][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		s.must(p[1], "recv", "--consumer", "drain")
		mine, theirs := s.history(p[0], p[1], "out"), s.history(p[1], p[0], "in")
		check(t, p[0], sent[i], mine, theirs)
		// The reader prints all of it, and repeats only what its last life was
		// not seen to have taken.
		last := theirs[len(theirs)-1].ID
		for !s.has(&got[1-i], last) {
			select {
			case <-s.moved:
			case <-time.After(20 * time.Second):
				t.Fatalf("%s does not print the last message", p[1])
			}
		}
		s.mu.Lock()
		place := map[string]int{}
		for n, e := range theirs {
			place[e.ID] = n
		}
		at := -1
		for _, id := range got[1-i] {
			n, ok := place[id]
			if !ok {
				continue // a notice, or of another conversation
			}
			if n > at+1 {
				t.Fatalf("%s printed message %d after %d", p[1], n, at)
			}
			at = max(at, n)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	t.Logf("kills %v in %v", s.kills, time.Since(began))
	if s.kills["server"] == 0 || len(s.kills) < 3 {
		t.Errorf("too few were killed: %v", s.kills)
	}
	s.mu.Unlock()
	for _, role := range []string{"alice receives", "bob receives", "server"} {
		s.mu.Lock()
		s.over = true
		r := s.running[role]
		s.mu.Unlock()
		r.cmd.Process.Signal(syscall.SIGTERM)
		<-r.ended
	}
}

func (s *arena) has(list *[]string, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(*list, id)
}

// check holds what a receiver shows against what the lives of a sender did: of
// each life's numbers a beginning without a gap, at least as long as is known.
func check(t *testing.T, sender string, spans []span, mine, theirs []entry) {
	t.Helper()
	var want []string
	for _, e := range mine {
		if e.Status == "sending" || e.Status == "failed" {
			t.Errorf("%s has a message %s as %s", sender, e.Text, e.Status)
		}
		want = append(want, e.Text)
	}
	var shown []string
	for _, e := range theirs {
		if e.Kind != "text" {
			t.Errorf("of %s's messages one is shown as %s, %s", sender, e.Kind, e.Cause)
		}
		shown = append(shown, e.Text)
	}
	if !slices.Equal(shown, want) {
		t.Fatalf("%s has %d messages, the other side shows %d:\n%s\n%s", sender, len(want), len(shown), want, shown)
	}
	if len(shown) < burst {
		t.Errorf("only %d messages of %s came", len(shown), sender)
	}
	for _, sp := range spans {
		n := sp.first
		for len(shown) > 0 && shown[0] == strconv.Itoa(n) && n < sp.end {
			n, shown = n+1, shown[1:]
		}
		if n <= sp.printed {
			t.Errorf("of %s's messages %d to %d only those before %d came", sender, sp.first, sp.printed, n)
		}
	}
	if len(shown) > 0 {
		t.Errorf("%d messages of %s are out of order or came twice: %s", len(shown), sender, shown)
	}
}
