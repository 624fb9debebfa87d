package conform

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/spec"
)

func rules(t testing.TB) spec.Rules {
	t.Helper()
	r, err := spec.ParseRules(spec.Files())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shipped reads pawl's own vectors.
func shipped(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := fs.Glob(spec.Files(), "vectors/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no vectors", err)
	}
	out := map[string][]byte{}
	for _, n := range names {
		if out[strings.TrimSuffix(path.Base(n), ".json")], err = fs.ReadFile(spec.Files(), n); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func checked(t testing.TB, b []byte) (spec.VectorFile, []Result) {
	t.Helper()
	f, err := spec.ReadVectors(b)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Check(rules(t), &f)
	if err != nil || len(all) != len(f.Vectors) {
		t.Fatal(f.Area, err)
	}
	return f, all
}

// R-LAB-28: pawl's own vectors pass, and every area that is said to be held
// against code is, by accepting and by refusing.
func TestR_LAB_28_Shipped(t *testing.T) {
	for name, b := range shipped(t) {
		counts := map[Outcome]int{}
		code := map[string]int{}
		_, all := checked(t, b)
		for _, r := range all {
			counts[r.Outcome]++
			if slices.Contains(r.By, "code") {
				code[r.Kind]++
			}
			if r.Outcome == Failed || (r.Outcome == Passed) != (r.Why == "") || (r.Outcome == NotChecked) != (len(r.By) == 0) {
				t.Errorf("%s, %s: %s by %q: %s", name, r.Name, r.Outcome, r.By, r.Why)
			}
		}
		t.Log(name, counts, code)
		if known := slices.Contains(Areas(), name); known != (code["positive"] > 0) || known != (code["negative"] > 0) {
			t.Errorf("%s: %d positive and %d negative vectors are held against code", name, code["positive"], code["negative"])
		}
	}
}

// again is a file of one vector, changed.
func again(t testing.TB, area string, v map[string]any) (Result, error) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"area": area, "vectors": []any{v}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := spec.ReadVectors(b)
	if err != nil {
		return Result{}, err
	}
	all, err := Check(rules(t), &f)
	if err != nil {
		return Result{}, err
	}
	return all[0], nil
}

// R-LAB-28: a checker that finds nothing checks nothing: of every vector that
// is held against code some change is found, and a negative one is refused with
// its own error only.
func TestR_LAB_28_ChangesAreFound(t *testing.T) {
	for name, b := range shipped(t) {
		var doc struct{ Vectors []map[string]any }
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		_, all := checked(t, b)
		perKind := map[string]int{}
		for i, v := range doc.Vectors {
			r := all[i]
			if perKind[r.Kind+shape(v)]++; !slices.Contains(r.By, "code") || perKind[r.Kind+shape(v)] > 3 {
				continue
			}
			if r.Kind == "negative" {
				c := maps.Clone(v)
				c["reason"] = "ErrNobodyKnows"
				if r, err := again(t, name, c); err != nil || r.Outcome != Failed {
					t.Errorf("%s, %s: another reason passes: %v %v", name, r.Name, r, err)
				}
				c["kind"] = "positive"
				delete(c, "reason")
				if r, err := again(t, name, c); err == nil && r.Outcome != Failed {
					t.Errorf("%s, %s: it passes as a positive one: %v %v", name, r.Name, r, err)
				}
				continue
			}
			at := v
			if f, ok := v["fields"].(map[string]any); ok {
				at = f
			}
			found := 0
			for _, field := range slices.Sorted(maps.Keys(at)) {
				s, ok := at[field].(string)
				if !ok || field == "name" || field == "kind" || field == "function" || s == "" {
					continue
				}
				other := "0"
				if strings.HasSuffix(s, "0") {
					other = "1"
				}
				for _, changed := range []string{s[:len(s)-1] + other, s + "00"} {
					at[field] = changed
					if r, err := again(t, name, v); err != nil || r.Outcome == Failed {
						found++
					}
				}
				at[field] = s
			}
			if steps, ok := at["steps"].([]any); ok {
				step := steps[0].(map[string]any)
				s := step["state"].(string)
				step["state"] = s[:len(s)-2] + "ff"
				if r, err := again(t, name, v); err == nil && r.Outcome != Failed {
					t.Errorf("%s, %s: another state passes", name, r.Name)
				}
				step["state"] = s
			}
			if o, ok := at["signal"].(map[string]any); ok {
				o["encoded"] = o["encoded"].(string) + "00"
				found++
				if r, err := again(t, name, v); err == nil && r.Outcome != Failed {
					t.Errorf("%s, %s: a byte more passes", name, r.Name)
				}
			}
			if o, ok := at["record"].(map[string]any); ok && found == 0 {
				o["encoded"] = o["encoded"].(string) + "00"
				if r, err := again(t, name, v); err != nil || r.Outcome == Failed {
					found++
				}
			}
			if found == 0 {
				t.Errorf("%s, %s: no change is found", name, r.Name)
			}
		}
	}
}

// shape is which fields a vector has.
func shape(v map[string]any) string {
	if f, ok := v["fields"].(map[string]any); ok {
		v = f
	}
	return strings.Join(slices.Sorted(maps.Keys(v)), " ")
}

// R-LAB-28: what is not a file of vectors is refused with its place.
func TestR_LAB_28_Malformed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"area":"ratchet"`, "line 1"},
		{"{\n\"area\":\n}", "line 3"},
		{`{"area":"ratchet","vectors":[]}`, "needs an area and vectors"},
		{`{"area":"ratchet","vectors":[{"name":"x","kind":"perhaps"}]}`, "kind is"},
		{`{"area":"ratchet","vectors":[{"name":3,"kind":"positive"}]}`, "vector 1: name"},
		{`{"area":"ratchet","vectors":[{"name":"x","kind":"positive"}]}`, `"x": field function: is missing`},
		{`{"area":"ratchet","vectors":[{"name":"x","kind":"positive","function":"record","state":"0G"}]}`, "field state: is not lower-case hexadecimal"},
		{`{"area":"ratchet","vectors":[{"name":"x","kind":"positive","function":"record","state":7}]}`, "field state: is not bytes"},
		{`{"area":"handshake","vectors":[{"name":"x","kind":"positive","fields":{"responder_identity":"00"}}]}`, "is not 32 bytes"},
		{`{"area":"groups","vectors":[{"name":"x","kind":"positive","fields":{"function":"accept","sender":1}}]}`, "key_at_start: is missing"},
		{`{"area":"x","vectors":[{"name":"x","kind":"positive","cddl":"y"}]}`, "cddl without encoded"},
		{`{"area":"x","vectors":[{"name":"x","kind":"positive"},{"name":"x","kind":"positive"}]}`, "taken"},
		{`{"area":"x","vectors":[{"name":"x","kind":"positive"}]} {}`, "something comes after"},
		{`[]`, "line 1"},
	} {
		f, err := spec.ReadVectors([]byte(c.text))
		if err == nil {
			_, err = Check(rules(t), &f)
		}
		if !errors.Is(err, spec.ErrVectors) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

// FuzzCheck: whatever stands in a vector, it passes, fails or is refused.
func FuzzCheck(f *testing.F) {
	for _, area := range Areas() {
		var doc struct{ Vectors []json.RawMessage }
		if err := json.Unmarshal(shipped(f)[area], &doc); err != nil {
			f.Fatal(err)
		}
		seen := 0
		for _, v := range doc.Vectors {
			if len(v) < 32<<10 && seen < 12 {
				f.Add(area, string(v))
				seen++
			}
		}
		if seen == 0 {
			f.Fatal("no seed of ", area)
		}
	}
	all := rules(f)
	f.Fuzz(func(t *testing.T, area, vector string) {
		b := []byte(`{"area":"` + area + `","vectors":[` + vector + `]}`)
		file, err := spec.ReadVectors(b)
		if err == nil {
			_, err = Check(all, &file)
		}
		if err != nil && !errors.Is(err, spec.ErrVectors) {
			t.Errorf("refused with %v", err)
		}
	})
}
