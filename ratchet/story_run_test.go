package ratchet

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// R-RAT-01, R-RAT-08, R-RAT-09, R-RAT-11, R-RAT-12, R-RAT-13, R-RAT-14,
// R-RAT-15, R-RAT-16: whatever happens, package and model agree, refused
// messages change nothing, and what is disclosed is dead.
func TestStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newStory(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") })
		for range rapid.IntRange(1, 150).Draw(t, "actions") {
			if err := w.act(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.disclosedIsDead(); err != nil {
			t.Fatal(err)
		}
	})
}

// play tells one story from a generator of its own.
func play(seed uint64, actions int, leaks, careless bool) (*story, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newStory(r.IntN)
	w.leaks, w.careless = leaks, careless
	for range actions {
		if err := w.act(); err != nil {
			return w, err
		}
		if len(w.devices[0].sent)+len(w.devices[1].sent) < 200 || r.IntN(20) == 0 {
			if err := w.disclosedIsDead(); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// TestR_RAT_17_DisclosedSeedsAreDead holds the disclosure property over random
// schedules with crashes of both kinds, after every action.
// R-RAT-18, R-RAT-19, R-RAT-20, R-RAT-21
func TestR_RAT_17_DisclosedSeedsAreDead(t *testing.T) {
	disclosed := 0
	var epochs uint32
	refusals := map[error]int{}
	for seed := range uint64(50) {
		w, err := play(seed, 120, false, false)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := w.finish(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := w.disclosedIsDead(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := w.allDisclosed(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		i := seed % 2
		if err := w.part(w.devices[i], w.devices[1-i]); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		epochs += w.devices[0].state.mixed + w.devices[1].state.mixed
		disclosed += len(w.devices[0].disclosed) + len(w.devices[1].disclosed)
		for err, n := range w.errs {
			refusals[err] += n
		}
	}
	// The stories must have been worth telling.
	if disclosed < 250 {
		t.Errorf("only %d seeds disclosed", disclosed)
	}
	if epochs < 80 {
		t.Errorf("only %d epochs mixed in", epochs)
	}
	for _, err := range []error{ErrMalformed, ErrUnknownChain, ErrForged, ErrDuplicate, ErrTooOld, ErrTooFarAhead} {
		if refusals[err] == 0 {
			t.Errorf("no story met %v", err)
		}
	}
	t.Log(disclosed, epochs, refusals)
}

// The property must be able to fail: a device that discloses the seed of a
// chain still open is caught, and so is one that lets a message leave before
// the state that forgot the chain is durable.
func TestDisclosurePropertyFindsEarlyDisclosure(t *testing.T) {
	for name, broken := range map[string]struct{ leaks, careless bool }{
		"open chain": {leaks: true}, "message before state": {careless: true},
	} {
		found := 0
		for seed := range uint64(2000) {
			_, err := play(seed, 120, broken.leaks, broken.careless)
			if errors.Is(err, errLive) {
				found++
			} else if err != nil && !errors.Is(err, errOver) {
				t.Fatalf("%s: seed %d: %v", name, seed, err)
			}
			if found > 0 {
				break
			}
		}
		if found == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}
