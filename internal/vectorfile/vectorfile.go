// Package vectorfile keeps a package's test vectors in step with the file in
// spec/vectors that pins them. Tests import it and nothing else does.
//
// Not its concern: what the vectors say; the test that makes them also checks
// them against the code.
package vectorfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write spec/vectors from the code instead of comparing")

// Vector is one vector: its name, whether it is to be accepted, the named
// error if not, and fields of its area.
type Vector struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
	Fields Fields `json:"fields"`
}

// Fields are the inputs and outputs of a vector: text, byte strings in
// hexadecimal, and objects made by Object.
type Fields map[string]any

// Object is an encoded object and the rule in spec/cddl that it belongs to.
func Object(rule string, encoded []byte) any {
	return map[string]string{"cddl": rule, "encoded": hex.EncodeToString(encoded)}
}

// Positive makes a vector that is to be accepted.
func Positive(name string, fields Fields) Vector {
	return Vector{Name: name, Kind: "positive", Fields: fields}
}

// Negative makes a vector that is to be refused with the named error.
func Negative(name, reason string, fields Fields) Vector {
	return Vector{Name: name, Kind: "negative", Reason: reason, Fields: fields}
}

// Check compares the vectors with the file at path, or writes them there when
// the test runs with -update.
func Check(t *testing.T, path, area string, vectors []Vector) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range vectors {
		if v.Name == "" || seen[v.Name] || (v.Kind == "negative") != (v.Reason != "") {
			t.Errorf("vector %q: name used twice, or no reason", v.Name)
		}
		seen[v.Name] = true
	}
	Pin(t, path, struct {
		Area    string   `json:"area"`
		Vectors []Vector `json:"vectors"`
	}{area, vectors})
}

// Pin compares a value's JSON with the file at path and returns what the file
// holds; with -update it writes the file first.
func Pin(t *testing.T, path string, value any) []byte {
	t.Helper()
	made, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pinned, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, pinned) {
		t.Errorf("%s differs from what the code makes; if that is meant, run with -update and say so in the changelog", path)
	}
	return pinned
}
