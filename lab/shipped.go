package lab

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed scenarios/*.toml
var files embed.FS

// Shipped returns the scenarios that come with pawl, by name in ascending
// order: each a published attack or failure, with what is expected of it
// (R-LAB-10).
func Shipped() []*Scenario {
	entries, err := files.ReadDir("scenarios")
	if err != nil {
		panic("lab: the embedded scenarios cannot be read")
	}
	var out []*Scenario
	for _, e := range entries {
		s, err := Source(strings.TrimSuffix(e.Name(), ".toml"))
		if err != nil {
			panic("lab: an embedded scenario is wrong") // a test reads them all
		}
		scenario, err := Parse(s)
		if err != nil {
			panic("lab: an embedded scenario is wrong")
		}
		out = append(out, scenario)
	}
	return out
}

// Source returns the file of a shipped scenario, to learn from.
func Source(name string) ([]byte, error) {
	b, err := files.ReadFile(path.Join("scenarios", path.Base(name)+".toml"))
	if err != nil {
		return nil, fmt.Errorf("%w: none of this name is shipped", ErrScenario)
	}
	return b, nil
}
