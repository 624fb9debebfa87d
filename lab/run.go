package lab

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is what a run showed.
type Report struct {
	Scenario  *Scenario
	Seed      uint64
	Verdicts  []Verdict
	Wire      []Letter       // everything that went over the wire, in order
	Messages  int            // that people wrote
	Letters   int            // sealed copies on the wire
	Cells     int            // copies judged by both judges, over all thefts
	Delivered int            // letters that devices opened
	Unsent    int            // messages that were not sent, because what the relay showed was refused
	Injected  int            // messages that thieves wrote
	Accepted  int            // letters of thieves that devices took
	Found     int            // lies of the relay that somebody found out
	Entries   int            // of group logs
	Public    int            // messages whose MAC keys anybody knows in the end
	Refused   map[string]int // letters and messages refused, by reason
	Lasted    time.Duration  // on the world's clock
	Agreed    int            // values that two records of the run have, alike
	Missed    []string       // expectations that were not met
	Met       bool           // all were, and the judges agree
}

// Run plays a scenario. seed 0 is the scenario's own. An error says that there
// is no result: ctx has ended, the scenario asks for what is not there, or the world found a
// fault. Verdicts that were not expected are no error: see Report.Met.
func (s *Scenario) Run(ctx context.Context, seed uint64) (*Report, error) {
	return s.run(ctx, seed, nil)
}

// Record is Run, and writes a trace of it that Replay judges again (R-LAB-24).
// After an error the trace is not whole.
func (s *Scenario) Record(ctx context.Context, seed uint64, to io.Writer) (*Report, error) {
	return s.record(ctx, seed, nil, newJournal(to))
}

func (s *Scenario) run(ctx context.Context, seed uint64, k *kits) (*Report, error) {
	return s.record(ctx, seed, k, nil)
}

func (s *Scenario) record(ctx context.Context, seed uint64, k *kits, j *journal) (*Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if seed == 0 {
		seed = s.Seed
	}
	w, err := s.perform(ctx, seed, k, j)
	if err != nil {
		return nil, err
	}
	j.state(w)
	w.journal = nil // what judges try has not happened
	r, err := w.report(ctx, s, seed)
	if err == nil && j != nil {
		err = j.end(r)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// play does what the steps say.
func (s *Scenario) play(ctx context.Context, seed uint64, k *kits) (*world, error) {
	return s.perform(ctx, seed, k, nil)
}

func (s *Scenario) perform(ctx context.Context, seed uint64, k *kits, j *journal) (*world, error) {
	w := newWorld(seed, k)
	w.journal = j
	j.begin(s, seed)
	for _, name := range slices.Sorted(maps.Keys(s.People)) {
		p, err := w.join(name, false)
		if err != nil {
			return nil, fmt.Errorf("%w: %q cannot be a name", ErrScenario, name)
		}
		w.people[name] = p
		for range s.People[name] - 1 {
			if _, err := w.link(p); err != nil {
				return nil, err
			}
		}
	}
	for i := range s.Steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if j != nil && j.err != nil {
			return nil, j.err
		}
		j.step(i+1, w.now)
		if err := acts()[s.Steps[i].Do].do(w, &s.Steps[i]); err != nil {
			return nil, fmt.Errorf("step %d, %s: %w", i+1, s.Steps[i].Do, err)
		}
	}
	return w, nil
}

func (w *world) report(ctx context.Context, s *Scenario, seed uint64) (*Report, error) {
	c := &w.counts
	r := &Report{
		Scenario: s, Seed: seed, Wire: w.wire(), Messages: w.sent, Letters: len(w.letters), Delivered: c.opened, Unsent: c.unsent,
		Injected: c.injected, Found: c.found, Entries: len(w.entries), Accepted: c.accepted, Public: w.forgeable(w.letters), Refused: c.refused, Lasted: w.now.Sub(began), Agreed: w.trace.agreed, Met: true,
	}
	if err := w.disclosedIsDead(); err != nil {
		return nil, err
	}
	x := w.trace.index()
	for _, l := range w.loots {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, cells, err := w.judge(x, l)
		if err != nil {
			return nil, fmt.Errorf("judging %s: %w", l.name, err)
		}
		r.Verdicts = append(r.Verdicts, v)
		r.Cells += cells
		r.Met = r.Met && v.Agree
	}
	for _, e := range s.Expect {
		for i := range r.Verdicts {
			if r.Verdicts[i].At == e.At {
				r.Missed = append(r.Missed, e.met(&r.Verdicts[i])...)
			}
		}
	}
	r.Missed = append(r.Missed, s.Outcome.met(r)...)
	r.Met = r.Met && len(r.Missed) == 0
	return r, nil
}
