package groups

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// R-GRP-04, R-GRP-09, R-GRP-12, R-GRP-15: whatever happens, nothing opens twice,
// refused messages change nothing, and nobody reads what is not for them.
func TestStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newStory(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "c") }, rapid.IntRange(2, 4).Draw(t, "members"))
		for range rapid.IntRange(1, 80).Draw(t, "actions") {
			if err := w.act(); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			if err := w.insiders(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.readers(); err != nil {
			t.Fatal(err)
		}
	})
}

// tell plays one story from a generator of its own.
func tell(seed uint64, actions int, leaks bool) (*story, error) {
	r := rand.New(rand.NewPCG(seed, 4))
	w := newStory(r.IntN, 2+int(seed%4))
	w.leaks = leaks
	for i := range actions {
		if err := w.act(); err != nil {
			return w, err
		}
		if i%6 > 0 {
			continue
		}
		if err := w.insiders(); err != nil {
			return w, err
		}
	}
	// At rest, a new epoch and two messages of everybody disclose all that was
	// closed.
	w.epoch++
	for range 3 {
		if err := w.settle(); err != nil {
			return w, err
		}
		for _, d := range w.members() {
			if err := w.send(d, []byte("at rest"), false); err != nil {
				return w, err
			}
		}
	}
	for _, d := range w.members() {
		if len(d.pending) > 0 && !leaks {
			return w, errors.New("a chain that everybody has closed is not disclosed")
		}
	}
	if err := w.settle(); err != nil {
		return w, err
	}
	for range 20 {
		if err := w.insiders(); err != nil {
			return w, err
		}
	}
	return w, w.readers()
}

// TestR_GRP_16_DisclosedChainsAreDead holds the disclosure property over random
// schedules: before a seed is out nobody but its owner makes what others take;
// once it is out every member makes messages that verify, and nobody takes them.
// R-GRP-17, R-GRP-18, R-GRP-05
func TestR_GRP_16_DisclosedChainsAreDead(t *testing.T) {
	disclosed, opened, removed := 0, 0, 0
	refusals := map[error]int{}
	for seed := range uint64(25) {
		w, err := tell(seed, 250, false)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		disclosed += len(w.public)
		for _, d := range w.devices {
			opened += len(d.opened)
			if !d.member {
				removed++
			}
		}
		for err, n := range w.errs {
			refusals[err] += n
		}
	}
	// The stories must have been worth telling.
	if disclosed < 200 || opened < 1000 || removed < 30 {
		t.Errorf("only %d seeds disclosed, %d messages opened, %d devices removed", disclosed, opened, removed)
	}
	for _, err := range []error{ErrDuplicate, ErrTooOld, ErrClosed} {
		if refusals[err] == 0 {
			t.Errorf("no story met %v", err)
		}
	}
	t.Log(disclosed, opened, removed, refusals)
}

// The property must be able to fail: a device that discloses before the others
// have closed the chain is caught.
func TestDisclosurePropertyFindsEarlyDisclosure(t *testing.T) {
	for seed := range uint64(100) {
		if _, err := tell(seed, 250, true); errors.Is(err, errLive) {
			return
		} else if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Error("not found")
}
