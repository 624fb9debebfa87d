package client

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	scenarioSeed  = flag.Uint64("scenario.seed", 0, "run the one schedule of this seed, and tell what happens in it")
	scenarioCount = flag.Int("scenario.n", fewScenarios, "how many schedules to run")
)

// TestScenarios runs random schedules of several people with several devices
// and holds the invariants of docs/design/scenarios.md against each.
func TestScenarios(t *testing.T) {
	img := newImages(t, 4, "alice", "bob", "carol", "dave")
	if *scenarioSeed != 0 {
		play(t, img, *scenarioSeed, true)
		return
	}
	for range *scenarioCount {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			play(t, img, seed, false)
		})
	}
}

// play runs one schedule.
func play(t *testing.T, img *images, seed uint64, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newScenario(t, img, seed)
		s.run()
		if verbose || len(s.faults) > 0 {
			t.Log("\n" + strings.Join(s.events, "\n"))
		}
		if len(s.faults) > 0 {
			t.Errorf("seed %d: %s\nreplay: go test ./client -run 'TestScenarios$' -scenario.seed %d", seed, strings.Join(s.faults, "\n"), seed)
		}
	})
}
