package lab

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/pawl-chat/pawl/internal/devicelist"
)

// ErrScenario: a scenario that cannot be read, or that names what is not there.
var ErrScenario = errors.New("lab: not a scenario")

// Scenario is a story with what is expected of it (spec/lab.md, "Scenario
// files").
type Scenario struct {
	Name     string         `toml:"name"`
	Title    string         `toml:"title"`
	Cites    []string       `toml:"cites"`
	Pitfalls []int          `toml:"pitfalls"`
	Seed     uint64         `toml:"seed"`
	People   map[string]int `toml:"people"` // name and number of devices
	Steps    []Step         `toml:"steps"`
	Expect   []Expectation  `toml:"expect"`
	Outcome  *Outcome       `toml:"outcome"`
}

// Step is one action. Which fields count is said by Do.
type Step struct {
	Do       string   `toml:"do"`
	Who      string   `toml:"who"`
	To       string   `toml:"to"`
	As       string   `toml:"as"`
	Theft    string   `toml:"theft"`
	What     string   `toml:"what"`
	Count    int      `toml:"count"`
	Crash    string   `toml:"crash"`
	Hours    int      `toml:"hours"`
	Between  []string `toml:"between"`
	Group    string   `toml:"group"`
	With     []string `toml:"with"`     // people let in at once
	Loss     int      `toml:"loss"`     // percent of letters
	Late     int      `toml:"late"`     // percent of letters
	Twice    int      `toml:"twice"`    // percent of letters
	Burst    int      `toml:"burst"`    // at most so many messages in a row, 6 if 0; with 1, each is delivered at once
	Receipts bool     `toml:"receipts"` // what is delivered is acknowledged
	Thefts   int      `toml:"thefts"`   // of the first of between, evenly spread
	Quantum  bool     `toml:"quantum"`  // the thief knows every X25519 private key
	Oneway   bool     `toml:"one-way"`  // only the first of between writes
}

// Expectation is what a verdict is to say. A field left out is not held.
type Expectation struct {
	At       string   `toml:"at"`
	Opened   *string  `toml:"opened"`        // ranges of message numbers: "3-7 9"
	Healed   *int     `toml:"healed"`        // -1: not seen
	Within   *int     `toml:"healed-within"` // at most so many
	Read     *int     `toml:"read-before"`
	Public   *int     `toml:"public"`
	Signing  *int     `toml:"signing"`
	Entries  *int     `toml:"entries"` // of group logs
	Forges   []string `toml:"forges"`
	FooledBy []string `toml:"fooled-by"`
}

// Outcome is what a run is to count. A field left out is not held.
type Outcome struct {
	Opened   *int           `toml:"opened"`
	Unsent   *int           `toml:"unsent"`
	Accepted *int           `toml:"accepted"` // letters of thieves that devices took
	Public   *int           `toml:"public"`   // messages whose MAC keys anybody knows in the end
	Found    *int           `toml:"found"`    // lies of the relay that somebody found out
	Refused  map[string]int `toml:"refused"`  // by reason
}

// Parse reads a scenario file, strictly (R-LAB-13).
func Parse(b []byte) (*Scenario, error) {
	if len(b) > MaxScenario {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrScenario, MaxScenario)
	}
	var s Scenario
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		var at *toml.DecodeError
		var unknown *toml.StrictMissingError
		switch {
		case errors.As(err, &unknown) && len(unknown.Errors) > 0:
			row, _ := unknown.Errors[0].Position()
			return nil, fmt.Errorf("%w: line %d: a field that no scenario has: %s", ErrScenario, row, strings.Join(unknown.Errors[0].Key(), "."))
		case errors.As(err, &at):
			row, _ := at.Position()
			return nil, fmt.Errorf("%w: line %d: %s", ErrScenario, row, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%w: %s", ErrScenario, strings.TrimPrefix(err.Error(), "toml: "))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}

func (s *Scenario) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrScenario, fmt.Sprintf(format, args...))
	}
	if s.Name == "" || len(s.Steps) == 0 {
		return fail("it needs a name and steps")
	}
	if len(s.People) == 0 || len(s.People) > MaxPeople || len(s.Steps) > MaxSteps {
		return fail("from 1 to %d people and at most %d steps", MaxPeople, MaxSteps)
	}
	for name, n := range s.People {
		if n < 1 || n > devicelist.MaxActive || name == "" || strings.Contains(name, "/") {
			return fail("%q: a person has a name and 1 to %d devices", name, devicelist.MaxActive)
		}
	}
	messages, thefts, hours := 0, 0, 0
	named := map[string]bool{}
	for i, st := range s.Steps {
		act, ok := acts()[st.Do]
		switch {
		case !ok:
			return fail("step %d: there is no action %q", i+1, st.Do)
		case st.Count < 0 || st.Burst < 0 || st.Hours < 0 || st.Thefts < 0 || st.Loss < 0 || st.Loss > 100 || st.Late < 0 || st.Late > 100 || st.Twice < 0 || st.Twice > 100:
			return fail("step %d: a number is out of range", i+1)
		case st.Crash != "" && st.Crash != crashBefore && st.Crash != crashAfter:
			return fail("step %d: a crash is %q or %q", i+1, crashBefore, crashAfter)
		}
		messages += max(1, st.Count)
		hours += st.Hours
		switch {
		case act.thief && st.As == "", st.Do == "impersonate" && !named[st.Theft]:
			return fail("step %d: a theft has a name, given by an earlier step", i+1)
		case act.thief && named[st.As]:
			return fail("step %d: %q has happened already", i+1, st.As)
		case act.thief:
			named[st.As] = true
			thefts++
		}
		if st.Do == "middle" && st.As != "" {
			for _, who := range st.Between {
				named[inMiddle(st.As, who)] = true
				thefts++
			}
		}
		for n := range st.Thefts {
			named[theftName(n)] = true
			thefts++
		}
	}
	if messages > MaxMessages || thefts > MaxThefts || hours > MaxHours {
		return fail("at most %d messages, %d thefts and %d hours", MaxMessages, MaxThefts, MaxHours)
	}
	for _, e := range s.Expect {
		if !named[e.At] {
			return fail("something is expected of %q, which does not happen", e.At)
		}
		if e.Opened != nil {
			if _, err := Numbers(*e.Opened); err != nil {
				return err
			}
		}
	}
	return nil
}

func theftName(n int) string { return "theft " + strconv.Itoa(n+1) }

// Ranges writes ascending numbers as Numbers reads them: "3-7 9".
func Ranges(numbers []int) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(numbers[j]))
		}
		i = j + 1
	}
	return b.String()
}

// Numbers reads ranges of message numbers.
func Numbers(s string) ([]int, error) {
	var out []int
	for f := range strings.FieldsSeq(s) {
		low, high, span := strings.Cut(f, "-")
		a, err := strconv.Atoi(low)
		b := a
		if span && err == nil {
			b, err = strconv.Atoi(high)
		}
		if err != nil || a < 1 || b < a || b > MaxMessages || len(out) > 0 && a <= out[len(out)-1] {
			return nil, fmt.Errorf("%w: %q are not ranges of message numbers", ErrScenario, s)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	return out, nil
}

// met lists how a verdict differs from what was expected.
func (e *Expectation) met(v *Verdict) (missed []string) {
	miss := func(what string, want, got any) {
		missed = append(missed, fmt.Sprintf("%s: %s: expected %v, found %v", e.At, what, want, got))
	}
	if e.Opened != nil {
		if want, _ := Numbers(*e.Opened); !slices.Equal(want, v.Opened) {
			miss("opened", Ranges(want), Ranges(v.Opened))
		}
	}
	number := func(what string, want *int, got int) {
		if want != nil && *want != got {
			miss(what, *want, got)
		}
	}
	number("healed", e.Healed, v.Healed)
	if e.Within != nil && (v.Healed < 0 || v.Healed > *e.Within) {
		miss("healed-within", *e.Within, v.Healed)
	}
	number("read-before", e.Read, v.Read)
	number("public", e.Public, v.Public)
	number("signing", e.Signing, v.Signing)
	number("entries", e.Entries, v.Entries)
	if e.Forges != nil && !slices.Equal(e.Forges, v.Forges) {
		miss("forges", e.Forges, v.Forges)
	}
	if e.FooledBy != nil && !slices.Equal(e.FooledBy, v.FooledBy) {
		miss("fooled-by", e.FooledBy, v.FooledBy)
	}
	return missed
}

func (o *Outcome) met(r *Report) (missed []string) {
	if o == nil {
		return nil
	}
	number := func(what string, want *int, got int) {
		if want != nil && *want != got {
			missed = append(missed, fmt.Sprintf("%s: expected %d, found %d", what, *want, got))
		}
	}
	number("opened", o.Opened, r.Delivered)
	number("unsent", o.Unsent, r.Unsent)
	number("accepted", o.Accepted, r.Accepted)
	number("public", o.Public, r.Public)
	number("found", o.Found, r.Found)
	if o.Refused != nil {
		for why, n := range o.Refused {
			number("refused: "+why, &n, r.Refused[why])
		}
		for why, n := range r.Refused {
			if _, ok := o.Refused[why]; !ok {
				missed = append(missed, fmt.Sprintf("refused: %s: expected none, found %d", why, n))
			}
		}
	}
	slices.Sort(missed)
	return missed
}

// span is how long a wait lasts.
func (st *Step) span() time.Duration { return time.Duration(st.Hours) * time.Hour }
