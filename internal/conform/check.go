package conform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pawl-chat/pawl/spec"
)

// Outcome is what became of a vector.
type Outcome string

const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	NotChecked Outcome = "not_checked"
)

// Result is the outcome of one vector.
type Result struct {
	Area, Name, Kind string
	Outcome          Outcome
	// By says what it was held against: "cddl" for the rules of its objects,
	// "code" for the code.
	By []string
	// Why says what differs, or why nothing was checked.
	Why string
}

// errDiffers: the code accepts the vector and gives another value.
var errDiffers = errors.New("conform: another value")

// unchecked is why a vector cannot be held against exported code.
type unchecked string

func (u unchecked) Error() string { return string(u) }

// area is how the vectors of one file are checked.
type area struct {
	// check does what the vector says with the code. Its error is the code's.
	check func(*input) error
	// errs are the errors that negative vectors name.
	errs map[string]error
}

// Areas lists the areas whose vectors are held against code, in ascending order.
func Areas() []string {
	var out []string
	for name := range areas() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Check holds every vector of a file against the rules and the code (R-LAB-28).
// An error wraps spec.ErrVectors: the file is not one of vectors.
func Check(rules spec.Rules, f *spec.VectorFile) ([]Result, error) {
	if problems := f.Form(); len(problems) > 0 {
		return nil, fmt.Errorf("%w: %s", spec.ErrVectors, problems[0])
	}
	a, known := areas()[f.Area]
	var out []Result
	for i := range f.Vectors {
		v := &f.Vectors[i]
		r := Result{Area: f.Area, Name: v.Name, Kind: v.Kind, Outcome: NotChecked, Why: "pawl's code for this area has nothing to hold it against from outside"}
		// That a rule does not match says something of a negative vector only if it
		// is not to match.
		if slices.ContainsFunc(v.Objects, func(o spec.Object) bool { return o.Refuses || v.Kind == "positive" }) {
			r.By, r.Outcome, r.Why = []string{"cddl"}, Passed, ""
			if _, problems := rules.Fits(v); len(problems) > 0 {
				r.Outcome, r.Why = Failed, problems[0]
			}
		}
		if !known {
			out = append(out, r)
			continue
		}
		in := &input{fields: v.Fields}
		err := a.check(in)
		if in.bad != "" {
			return nil, fmt.Errorf("%w: vector %d, %q: %s", spec.ErrVectors, i+1, v.Name, in.bad)
		}
		var not unchecked
		if errors.As(err, &not) {
			if r.Outcome == NotChecked {
				r.Why = string(not)
			}
			out = append(out, r)
			continue
		}
		r.By = append(r.By, "code")
		why := a.judge(v, err)
		switch {
		case why != "":
			r.Outcome, r.Why = Failed, why
		case r.Outcome == NotChecked:
			r.Outcome, r.Why = Passed, ""
		}
		out = append(out, r)
	}
	return out, nil
}

// judge says what is wrong with what the code did, if anything is.
func (a *area) judge(v *spec.Vector, err error) string {
	if v.Kind == "positive" {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	want, known := a.errs[v.ErrorName()]
	switch {
	case !known:
		return fmt.Sprintf("pawl's code has no error %q here", v.ErrorName())
	case err == nil:
		return "it is accepted, and is to be refused with " + v.ErrorName()
	case !errors.Is(err, want):
		return fmt.Sprintf("it is refused with another error than %s: %v", v.ErrorName(), err)
	}
	return ""
}
