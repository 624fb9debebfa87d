package lab

import (
	"testing"
)

// R-LAB-10: the shipped scenarios are tests: each plays as it expects, under
// its own seed and another.
func TestR_LAB_10_ShippedScenarios(t *testing.T) {
	all := Shipped()
	if len(all) < 6 {
		t.Errorf("only %d scenarios", len(all))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if len(s.Cites) == 0 || s.Title == "" || len(s.Expect) == 0 && s.Outcome == nil {
				t.Error("it needs a title, a citation and something expected")
			}
			for _, seed := range []uint64{0, 77} {
				r, err := s.Run(t.Context(), seed)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range r.Verdicts {
					t.Logf("%s %s: opened %s, read %d, healed %d, forges %v, fooled by %v, agree %v", v.At, v.Who, Ranges(v.Opened), v.Read, v.Healed, v.Forges, v.FooledBy, v.Agree)
				}
				if !r.Met {
					t.Errorf("seed %d: %q", seed, r.Missed)
				}
				for _, v := range r.Verdicts {
					if !v.Agree {
						t.Errorf("%s: the judges differ on %v", v.At, v.Differ)
					}
				}
				t.Log(r.Refused, r.Delivered, r.Unsent, r.Accepted, r.Public)
			}
		})
	}
}
