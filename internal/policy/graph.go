// Package policy is the floor plan of the module as data, and the checks that
// hold it: which package may reach which, with the reason for each ban; which
// modules are required, and why; what source files may not contain. The tests
// apply it to the tree as it is and, so that a check cannot rot, to small trees
// that break each rule.
//
// That the server is blind is one of these rules: no package that can read a
// message is reachable from it, so blindness is a property of the build
// (R-THR-01).
//
// Not its concern: how code is written inside a package; that is for
// staticcheck and reviewers.
package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the module's path. In patterns "./x" means Module + "/x".
const Module = "github.com/pawl-chat/pawl"

// Graph has every package of a build and what each imports.
type Graph map[string]Package

// Package is one node.
type Package struct {
	Imports []string
	Own     bool // belongs to this module
}

// Ban says that nothing in From may reach anything in To.
type Ban struct {
	From   []string // patterns: a path, or a path and "/..."
	To     []string
	Direct bool // only imports that From's own files name
	Why    string
}

// Violation is one path that a ban forbids.
type Violation struct {
	Path []string // from the banned package to what it reaches
	Why  string
}

func (v Violation) String() string {
	short := make([]string, len(v.Path))
	for i, p := range v.Path {
		short[i] = shorten(p)
	}
	return strings.Join(short, " → ") + ": " + v.Why
}

func shorten(path string) string {
	if rest, ok := strings.CutPrefix(path, Module+"/"); ok {
		return "./" + rest
	}
	if path == Module {
		return "."
	}
	return path
}

// matches reports whether a package path fits one of the patterns.
func matches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "." {
			return path == Module
		}
		if rest, ok := strings.CutPrefix(p, "./"); ok {
			p = Module + "/" + rest
		}
		if root, ok := strings.CutSuffix(p, "/..."); ok {
			return path == root || strings.HasPrefix(path, root+"/")
		}
		return path == p
	})
}

// Check returns a shortest path for each package and ban that are in conflict.
func (g Graph) Check(bans []Ban) []Violation {
	var out []Violation
	for _, b := range bans {
		for _, from := range g.paths() {
			if !matches(b.From, from) {
				continue
			}
			if path := g.find(from, b.To, b.Direct); path != nil {
				out = append(out, Violation{path, b.Why})
			}
		}
	}
	return out
}

// find is a breadth-first search for a package other than from that fits.
func (g Graph) find(from string, to []string, direct bool) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if direct && queue[0] != from {
			return nil
		}
		for _, next := range g[queue[0]].Imports {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if matches(to, next) {
				path := []string{next}
				for p := queue[0]; p != ""; p = before[p] {
					path = append(path, p)
				}
				slices.Reverse(path)
				return path
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func (g Graph) paths() []string {
	var out []string
	for p := range g {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// CheckLayers holds that every own package stands in exactly one layer and
// imports own packages only from layers before its own.
func (g Graph) CheckLayers(layers [][]string) []string {
	var out []string
	at := map[string]int{}
	for _, p := range g.paths() {
		if !g[p].Own {
			continue
		}
		at[p] = -1
		for i, l := range layers {
			if !matches(l, p) {
				continue
			}
			if at[p] >= 0 {
				out = append(out, fmt.Sprintf("%s stands in two layers", shorten(p)))
			}
			at[p] = i
		}
		if at[p] < 0 {
			out = append(out, fmt.Sprintf("%s stands in no layer: say in plan.go where it belongs", shorten(p)))
		}
	}
	for _, p := range g.paths() {
		for _, i := range g[p].Imports {
			if g[p].Own && g[i].Own && at[p] >= 0 && at[i] >= at[p] {
				out = append(out, fmt.Sprintf("%s imports %s, which does not lie below it", shorten(p), shorten(i)))
			}
		}
	}
	return out
}

// Missing returns the own packages that a plan names without a wildcard and
// that are not there, less those that are excused.
func (g Graph) Missing(layers [][]string, bans []Ban, later map[string]string) []string {
	var out []string
	named := slices.Concat(layers...)
	for _, b := range bans {
		named = append(append(named, b.From...), b.To...)
	}
	slices.Sort(named)
	for _, n := range slices.Compact(named) {
		if !strings.HasPrefix(n, "./") || strings.HasSuffix(n, "/...") {
			continue
		}
		_, there := g[Module+n[1:]]
		_, excused := later[n]
		switch {
		case !there && !excused:
			out = append(out, n+" is in the plan and not in the tree")
		case there && excused:
			out = append(out, n+" is in the tree: take it off the list of later packages")
		}
	}
	return out
}
