// Package cddl reads the part of CDDL (RFC 8610) that pawl's specification
// uses and holds encoded objects against it, so that the documents in
// spec/cddl, the vectors in spec/vectors and the code cannot drift apart.
//
// The part: rules, choices (/), maps with literal or typed keys, arrays, groups
// by name and inline, occurrence (? * + n*m), integer ranges, the controls
// .size .cbor .regexp .lt .le .gt .ge .eq .ne, literals, and the prelude types
// uint nint int bstr bytes tstr text bool any. Anything else (tags, floats,
// generics, sockets, unwrapping) is an error and never ignored. Maps are
// closed.
//
// Not its concern: the product's own decoding. Only tests of the specification
// import it, and it shares no code with internal/codec.
package cddl

import (
	"fmt"
	"sort"
)

// Spec is a set of rules.
type Spec struct {
	rules map[string]rule
}

// Source is one file of rules.
type Source struct {
	Name string // for errors
	Text string
}

// Parse reads files that share one namespace. A rule defined twice, a name of
// the prelude defined again, a reference to nothing and every construct
// outside the supported part are errors.
func Parse(sources ...Source) (*Spec, error) {
	s := &Spec{rules: map[string]rule{}}
	where := map[string]string{}
	for _, src := range sources {
		tokens, err := scan(src.Text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src.Name, err)
		}
		rules, err := (&parser{tokens: tokens}).rules()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src.Name, err)
		}
		for _, r := range rules {
			if _, ok := prelude[r.name]; ok {
				return nil, fmt.Errorf("%s: line %d: %s belongs to the prelude", src.Name, r.line, r.name)
			}
			if other, ok := where[r.name]; ok {
				return nil, fmt.Errorf("%s: line %d: %s is defined already, in %s", src.Name, r.line, r.name, other)
			}
			s.rules[r.name], where[r.name] = r, src.Name
		}
	}
	for _, name := range s.Rules() {
		r := s.rules[name]
		if err := s.resolve(r); err != nil {
			return nil, fmt.Errorf("%s: line %d: rule %s: %w", where[name], r.line, name, err)
		}
	}
	return s, nil
}

// Rules returns the names of all rules, sorted.
func (s *Spec) Rules() []string {
	out := make([]string, 0, len(s.rules))
	for n := range s.rules {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Match checks that encoded is exactly one object of the rule, in
// deterministic encoding, and returns the names of the rules that took part.
func (s *Spec) Match(rule string, encoded []byte) (used []string, err error) {
	if _, ok := s.rules[rule]; !ok {
		return nil, fmt.Errorf("cddl: there is no rule %q", rule)
	}
	v, err := Decode(encoded)
	if err != nil {
		return nil, err
	}
	m := &matcher{spec: s, used: map[string]bool{}}
	if err := m.ref(rule, v, ""); err != nil {
		return nil, err
	}
	for n := range m.used {
		used = append(used, n)
	}
	sort.Strings(used)
	return used, nil
}

// resolve finds references to nothing.
func (s *Spec) resolve(r rule) error {
	if r.typ != nil {
		return s.resolveNode(r.typ)
	}
	return s.resolveEntries(r.group)
}

func (s *Spec) resolveEntries(es []entry) error {
	for _, e := range es {
		for _, n := range []node{e.key, e.value} {
			if err := s.resolveNode(n); err != nil {
				return err
			}
		}
		if err := s.resolveEntries(e.group); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) resolveNode(n node) error {
	all := func(ns ...node) error {
		for _, n := range ns {
			if err := s.resolveNode(n); err != nil {
				return err
			}
		}
		return nil
	}
	switch n := n.(type) {
	case refNode:
		if _, ok := prelude[string(n)]; ok {
			return nil
		}
		if _, ok := s.rules[string(n)]; !ok {
			return fmt.Errorf("%q is not defined", string(n))
		}
	case choiceNode:
		return all(n...)
	case rangeNode:
		return all(n.low, n.high)
	case controlNode:
		return all(n.target, n.argument)
	case arrayNode:
		return s.resolveEntries(n.entries)
	case mapNode:
		return s.resolveEntries(n.entries)
	}
	return nil
}
