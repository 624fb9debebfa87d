package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/lab"
	"github.com/pawl-chat/pawl/prekeys"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

var drills = flag.Int("drill.n", 2, "how many random schedules are drilled")

// lossy is a mailbox that loses some of what it has accepted.
type lossy struct {
	server.Mailbox

	mu    sync.Mutex
	rng   *rand.Rand
	share float64
}

func (l *lossy) Append(ctx context.Context, all []server.Envelope) ([]server.Result, error) {
	l.mu.Lock()
	var kept []server.Envelope
	lost := make([]bool, len(all))
	for i := range all {
		if lost[i] = l.rng.Float64() < l.share; !lost[i] {
			kept = append(kept, all[i])
		}
	}
	l.mu.Unlock()
	results, err := l.Mailbox.Append(ctx, kept)
	if err != nil {
		return nil, err
	}
	out := make([]server.Result, len(all))
	for i := range all {
		if !lost[i] {
			out[i], results = results[0], results[1:]
		}
	}
	return out, nil
}

// R-SEC-08, R-SEC-09: three people talk, two by two and in a group, over a server that loses
// messages, and are killed and opened again meanwhile. Whoever is robbed, and when, what
// opens is what the status says.
func TestR_SEC_08_DrillsAgreeInRandomTalks(t *testing.T) {
	tried := map[string]int{}
	for seed := range *drills {
		randomTalk(t, uint64(seed), tried)
	}
	for _, what := range []string{lab.TryMissing, lab.TryReceived, lab.TryTheirs, lab.TryYours, lab.TryHealed, lab.TryRead, lab.TryFirst} {
		if tried[what] == 0 {
			t.Errorf("nothing was tried of %s", what)
		}
	}
	t.Log(tried)
}

func randomTalk(t *testing.T, seed uint64, tried map[string]int) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	rng := rand.New(rand.NewPCG(seed, 77))
	store := memstore.New()
	box := &lossy{Mailbox: store, rng: rng}
	s, err := server.New(server.Config{Stores: server.Stores{Directory: store, Mailbox: box, Wake: store}, Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(serving) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	invite, err := s.Invite(ctx, server.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"alice", "bob", "carol"}
	homes, open := map[string]client.Config{}, map[string]client.API{}
	for _, n := range names {
		dir := t.TempDir()
		homes[n] = client.Config{Home: filepath.Join(dir, n), Unlock: client.Unlock{KeyFile: filepath.Join(dir, "key")}}
		if open[n], err = client.Register(ctx, homes[n], client.RegisterRequest{Name: n, Invite: invite}); err != nil {
			t.Fatal(err)
		}
		defer func() { open[n].Close() }()
	}
	g, err := open["alice"].CreateGroup(ctx, "talk", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for range 40 {
		box.mu.Lock()
		box.share = []float64{0, 0, 0.4}[rng.IntN(3)]
		who, what, to := names[rng.IntN(3)], rng.IntN(8), names[rng.IntN(3)]
		box.mu.Unlock()
		switch what {
		case 0, 1, 2:
			if to == who {
				to = g.ID
			}
			said++
			_, err = open[who].Send(ctx, to, fmt.Sprint("text ", said), client.SendOptions{})
			if errors.Is(err, client.ErrUnknownGroup) || errors.Is(err, client.ErrUnknownRecipient) {
				err = nil // not let in yet
			}
		case 3, 4, 5:
			err = open[who].Sync(ctx)
		case 6:
			open[who].Close()
			open[who], err = client.Open(ctx, homes[who])
		default:
			rob(t, ctx, open[who], fmt.Sprint("seed ", seed, ", ", who), tried)
		}
		if err != nil {
			t.Fatalf("seed %d, %s does %d: %v", seed, who, what, err)
		}
	}
	for _, share := range []float64{1, 1, 0} {
		box.mu.Lock()
		box.share = share
		box.mu.Unlock()
		if _, err := open["alice"].Send(ctx, "bob", "at the end", client.SendOptions{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if err := open["bob"].Sync(ctx); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, n := range names {
		rob(t, ctx, open[n], fmt.Sprint("seed ", seed, ", at the end, ", n), tried)
	}
	parts, end, err := attempt(ctx, split{open["bob"]}, "")
	if err != nil || !end.Agrees || end.Tried < 200 {
		t.Errorf("seed %d, in parts: %s, %v", seed, wrong(parts), err)
	}
}

// split is a home that is too much for one copy.
type split struct{ client.API }

func (s split) SecurityCopy(ctx context.Context, who string) (client.SecurityCopy, error) {
	x, err := s.API.SecurityCopy(ctx, who)
	if who == "" {
		x.Sessions, x.Partly = nil, true
	}
	return x, err
}

// rob drills the state of a device and holds it against its report.
func rob(t *testing.T, ctx context.Context, c client.API, when string, tried map[string]int) {
	t.Helper()
	x, err := c.SecurityCopy(ctx, "")
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer x.Erase()
	// A few prekeys of each kind are enough here.
	for i := range x.Report.Prekeys {
		k := &x.Report.Prekeys[i]
		k.Held = min(k.Held, 2)
	}
	taken := map[prekeys.Kind]int{}
	x.Prekeys = slices.DeleteFunc(x.Prekeys, func(b []byte) bool {
		p, err := prekeys.ParsePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		taken[p.Info().Kind]++
		return taken[p.Info().Kind] > 2
	})
	in, err := stolenOf(x)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	trials, err := lab.Drill(ctx, in)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	objects, end := judged(trials, x.Report)
	if !end.Agrees {
		t.Errorf("%s: %s", when, wrong(objects))
	}
	for _, o := range objects {
		tried[o.What] += o.Tried
	}
}
