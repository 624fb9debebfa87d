package client

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/x3dh"
)

// groupNames are the people of the schedules about groups.
var groupNames = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"}

// TestGroupScenarios runs random schedules of one group and holds the
// invariants of docs/design/group-scenarios.md against each: the rosters agree
// (R-GRP-40, R-GRP-46, R-GRP-47, R-GRP-49), every message is shown once
// (R-GRP-50, R-GRP-52, R-GRP-53, R-GRP-66, R-GRP-67), and who is out, and who has
// stolen a state, opens nothing more (R-GRP-42, R-GRP-44, R-GRP-45, R-GRP-51).
func TestGroupScenarios(t *testing.T) {
	img := newImages(t, 3, groupNames...)
	var sum thefts
	t.Cleanup(func() { t.Log(&sum) })
	if *scenarioSeed != 0 {
		playGroup(t, img, *scenarioSeed, &sum, true)
		return
	}
	n := *scenarioCount
	if n == fewScenarios {
		n = fewGroupScenarios
	}
	for range n {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			playGroup(t, img, seed, &sum, false)
		})
	}
}

// playGroup runs one schedule.
func playGroup(t *testing.T, img *images, seed uint64, sum *thefts, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, img, seed)
		c.run()
		sum.add(&c.thefts)
		if verbose || len(c.faults) > 0 {
			t.Log("\n" + strings.Join(c.events, "\n"))
		}
		if len(c.faults) > 0 {
			t.Errorf("seed %d: %s\nreplay: go test ./client -run 'TestGroupScenarios$' -scenario.seed %d", seed, strings.Join(c.faults, "\n"), seed)
		}
	})
}

// crowd is a schedule about one group.
type crowd struct {
	*scenario
	archive *archive
	id      groups.ID // zero until somebody has made it
	changes []*wish
	texts   []*saying
	names   int // given so far
	thefts  thefts
	parties map[peerKey]x3dh.Party
}

// newCrowd draws three to twelve people with one to three devices each.
func newCrowd(t *testing.T, img *images, seed uint64) *crowd {
	c := &crowd{scenario: newTheatre(t, img, seed), archive: newArchive(), parties: map[peerKey]x3dh.Party{}}
	c.scenario.crowd, c.ledger.crowd = c, c
	home := t.TempDir()
	people, most := 3+c.rng.IntN(3), 3
	if c.rng.IntN(5) == 0 {
		people, most = 6+c.rng.IntN(len(img.people)-5), 1+c.rng.IntN(2)
	}
	for i := range people {
		c.cast(home, i, 1+c.rng.IntN(most))
	}
	return c
}
