package spec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/pawl-chat/pawl/spec/internal/cddl"
)

// ErrVectors: a file that is not one of vectors in pawl's form.
var ErrVectors = errors.New("spec: not a file of vectors")

// VectorFile is a file of vectors, as spec/vectors/README.md describes it.
type VectorFile struct {
	Area    string
	Vectors []Vector
}

// Vector is one vector of a file.
type Vector struct {
	Name, Kind, Reason string
	// Fields are its inputs and outputs, undecoded.
	Fields map[string]json.RawMessage
	// Objects are the encoded objects inside it that name a rule.
	Objects []Object
}

// Object is an encoded object, and the rule that it belongs to.
type Object struct {
	Rule    string
	Encoded []byte
	Refuses bool // the rule is to refuse it
}

// ReadVectors reads a file of vectors. Its error names the line or the vector.
func ReadVectors(b []byte) (VectorFile, error) {
	var doc struct {
		Area    string
		Vectors []map[string]json.RawMessage
	}
	fail := func(format string, args ...any) (VectorFile, error) {
		return VectorFile{}, fmt.Errorf("%w: %s", ErrVectors, fmt.Sprintf(format, args...))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		at := d.InputOffset()
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			at = syntax.Offset
		case errors.As(err, &kind):
			at = kind.Offset
		}
		return fail("line %d: %v", 1+bytes.Count(b[:min(int(at), len(b))], []byte("\n")), err)
	}
	if d.More() {
		return fail("something comes after the object: invalid")
	}
	if doc.Area == "" || len(doc.Vectors) == 0 {
		return fail("it needs an area and vectors")
	}
	out := VectorFile{Area: doc.Area}
	for i, fields := range doc.Vectors {
		v := Vector{Fields: fields}
		for name, to := range map[string]*string{"name": &v.Name, "kind": &v.Kind, "reason": &v.Reason} {
			if raw, ok := fields[name]; ok && json.Unmarshal(raw, to) != nil {
				return fail("vector %d: %s is not text", i+1, name)
			}
		}
		all, err := json.Marshal(fields)
		if err != nil {
			return fail("vector %d: %v", i+1, err)
		}
		var any any
		if err := json.Unmarshal(all, &any); err != nil {
			return fail("vector %d: %v", i+1, err)
		}
		if v.Objects, err = objects(any); err != nil {
			return fail("vector %d, %q: %v", i+1, v.Name, err)
		}
		if raw, ok := fields["fields"]; ok {
			v.Fields = nil
			if err := json.Unmarshal(raw, &v.Fields); err != nil {
				return fail("vector %d, %q: fields is not an object", i+1, v.Name)
			}
		}
		out.Vectors = append(out.Vectors, v)
	}
	return out, nil
}

// Form lists what a file of vectors has that the conventions do not allow: a
// name that is missing or used twice, a kind that is none, a reason out of place.
func (f *VectorFile) Form() (problems []string) {
	seen := map[string]bool{}
	kinds := map[string]int{}
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for i, v := range f.Vectors {
		if v.Name == "" || seen[v.Name] {
			say("vector %d: the name %q is empty or taken", i+1, v.Name)
		}
		seen[v.Name] = true
		kinds[v.Kind]++
		switch {
		case v.Kind != "positive" && v.Kind != "negative":
			say("%s: kind is %q", v.Name, v.Kind)
		case v.Kind == "positive" && v.Reason != "":
			say("%s: a positive vector has a reason", v.Name)
		case v.Kind == "negative" && v.ErrorName() == "":
			say("%s: the reason %q does not begin with the name of an error", v.Name, v.Reason)
		}
		for _, o := range v.Objects {
			if o.Refuses && v.Kind != "negative" {
				say("%s: cddl_refuses belongs to negative vectors", v.Name)
			}
		}
	}
	return problems
}

// ErrorName is the name of the Go error that a negative vector is refused with.
func (v *Vector) ErrorName() string {
	word, _, _ := strings.Cut(v.Reason, ":")
	return word[strings.LastIndexByte(word, '.')+1:]
}

// objects finds every JSON object below v that names a rule and an encoding.
func objects(v any) ([]Object, error) {
	var out []Object
	var walk func(any) error
	walk = func(v any) error {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				if err := walk(e); err != nil {
					return err
				}
			}
		case map[string]any:
			rule, named := v["cddl"].(string)
			text, encoded := v["encoded"].(string)
			switch {
			case named && !encoded:
				return errors.New("has cddl without encoded")
			case named:
				b, err := hex.DecodeString(text)
				if err != nil || text != strings.ToLower(text) {
					return errors.New("encoded is not lower-case hexadecimal")
				}
				refuses, _ := v["cddl_refuses"].(bool)
				out = append(out, Object{rule, b, refuses})
			}
			for _, e := range v {
				if err := walk(e); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return out, walk(v)
}

// Rules are the rules of all CDDL.
type Rules struct{ all *cddl.Spec }

// ParseRules reads every file cddl/*.cddl.
func ParseRules(files fs.FS) (Rules, error) {
	names, err := fs.Glob(files, "cddl/*.cddl")
	if err != nil {
		return Rules{}, err
	}
	var sources []cddl.Source
	for _, n := range names {
		b, err := fs.ReadFile(files, n)
		if err != nil {
			return Rules{}, err
		}
		sources = append(sources, cddl.Source{Name: path.Base(n), Text: string(b)})
	}
	s, err := cddl.Parse(sources...)
	return Rules{s}, err
}

// Fits holds the objects of a vector against their rules and returns the rules
// that a positive one reached.
func (r Rules) Fits(v *Vector) (reached []string, problems []string) {
	known := map[string]bool{}
	for _, name := range r.all.Rules() {
		known[name] = true
	}
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, o := range v.Objects {
		used, err := r.all.Match(o.Rule, o.Encoded)
		switch {
		case !known[o.Rule]:
			say("there is no rule %q", o.Rule)
		case o.Refuses && err == nil:
			say("%s does not refuse the object", o.Rule)
		case v.Kind == "positive" && err != nil:
			say("%s: %v", o.Rule, err)
		case v.Kind == "positive":
			reached = append(reached, used...)
		}
	}
	return reached, problems
}
