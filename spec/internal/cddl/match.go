package cddl

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrMismatch is wrapped by every refusal of Match that concerns the value.
var ErrMismatch = errors.New("cddl: does not match")

// maxSteps bounds the work of one Match; recursion is bounded by maxNest.
const (
	maxSteps = 1 << 20
	maxNest  = 128
)

type matcher struct {
	spec  *Spec
	used  map[string]bool
	steps int
	nest  int
}

func mismatch(path, format string, args ...any) error {
	if path == "" {
		path = "item"
	}
	return fmt.Errorf("%w: %s: %s", ErrMismatch, path, fmt.Sprintf(format, args...))
}

// enter counts a step and a level; leave ends the level.
func (m *matcher) enter(path string) error {
	m.steps++
	m.nest++
	if m.steps > maxSteps || m.nest > maxNest {
		return mismatch(path, "too much to follow: is there a rule that contains only itself?")
	}
	return nil
}

func (m *matcher) leave() { m.nest-- }

func (m *matcher) match(n node, v Value, path string) error {
	if err := m.enter(path); err != nil {
		return err
	}
	defer m.leave()
	switch n := n.(type) {
	case literalNode:
		if !Value(n).equal(v) {
			return mismatch(path, "want %v, found %v", Value(n), v)
		}
		return nil
	case choiceNode:
		for _, c := range n {
			if m.match(c, v, path) == nil {
				return nil
			}
		}
		return mismatch(path, "none of %d choices fits %v", len(n), v)
	case refNode:
		return m.ref(string(n), v, path)
	case rangeNode:
		low, high, err := m.bounds(n)
		if err != nil {
			return err
		}
		if !v.integer() || v.compare(low) < 0 || v.compare(high) > 0 || n.exclusive && v.compare(high) == 0 {
			return mismatch(path, "%v is outside the range %v to %v", v, low, high)
		}
		return nil
	case arrayNode:
		if v.Kind != Array {
			return mismatch(path, "want an array, found %v", v)
		}
		rest, err := m.array(n.entries, v.Items, path)
		if err == nil && len(rest) > 0 {
			err = mismatch(path, "%d elements too many", len(rest))
		}
		return err
	case mapNode:
		if v.Kind != Map {
			return mismatch(path, "want a map, found %v", v)
		}
		rest, err := m.members(n.entries, v.Pairs, path)
		if err == nil && len(rest) > 0 {
			err = mismatch(path, "key %v is not known here", rest[0].Key)
		}
		return err
	case controlNode:
		return m.control(n, v, path)
	}
	return mismatch(path, "a group stands where a type is wanted")
}

// prelude holds the types of RFC 8610 appendix D that pawl's encoding has.
var prelude = map[string][]Kind{
	"uint": {Uint}, "nint": {Nint}, "int": {Uint, Nint},
	"bstr": {Bytes}, "bytes": {Bytes}, "tstr": {Text}, "text": {Text}, "bool": {Bool},
	"any": {Uint, Nint, Bytes, Text, Array, Map, Bool, Null},
}

func (m *matcher) ref(name string, v Value, path string) error {
	if kinds, ok := prelude[name]; ok {
		for _, k := range kinds {
			if v.Kind == k {
				return nil
			}
		}
		return mismatch(path, "want %s, found %v", name, v)
	}
	r := m.spec.rules[name]
	if r.typ == nil {
		return mismatch(path, "%s is a group, a type is wanted", name)
	}
	err := m.match(r.typ, v, path)
	if err == nil {
		m.used[name] = true
	}
	return err
}

// constant follows references to a literal.
func (m *matcher) constant(n node) (Value, error) {
	for range maxDepth {
		switch x := n.(type) {
		case literalNode:
			return Value(x), nil
		case refNode:
			r, ok := m.spec.rules[string(x)]
			if !ok {
				return Value{}, mismatch(string(x), "want a constant")
			}
			m.used[string(x)] = true
			n = r.typ
		default:
			return Value{}, mismatch("", "want a constant")
		}
	}
	return Value{}, mismatch("", "want a constant")
}

func (m *matcher) bounds(n rangeNode) (low, high Value, err error) {
	if low, err = m.constant(n.low); err != nil {
		return
	}
	if high, err = m.constant(n.high); err != nil {
		return
	}
	if !low.integer() || !high.integer() {
		err = mismatch("", "a range needs integers")
	}
	return
}

func (m *matcher) control(n controlNode, v Value, path string) error {
	if err := m.match(n.target, v, path); err != nil {
		return err
	}
	switch n.op {
	case "cbor":
		if v.Kind != Bytes {
			return mismatch(path, ".cbor wants bytes, found %v", v)
		}
		inner, err := Decode(v.Data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return m.match(n.argument, inner, path+"<cbor>")
	case "size":
		return m.size(n.argument, v, path)
	case "regexp":
		if v.Kind != Text || !n.pattern.Match(v.Data) {
			return mismatch(path, "%v does not match the pattern", v)
		}
		return nil
	}
	w, err := m.constant(n.argument)
	if err != nil {
		return err
	}
	if n.op == "eq" || n.op == "ne" {
		if v.equal(w) != (n.op == "eq") {
			return mismatch(path, "%v is not .%s %v", v, n.op, w)
		}
		return nil
	}
	if !v.integer() || !w.integer() {
		return mismatch(path, ".%s compares integers", n.op)
	}
	c := v.compare(w)
	if ok := n.op == "lt" && c < 0 || n.op == "le" && c <= 0 || n.op == "gt" && c > 0 || n.op == "ge" && c >= 0; !ok {
		return mismatch(path, "%v is not .%s %v", v, n.op, w)
	}
	return nil
}

// size is .size: the length in bytes of a string, or the bytes an unsigned
// integer fits in.
func (m *matcher) size(argument node, v Value, path string) error {
	length := uint64(len(v.Data))
	switch v.Kind {
	case Bytes, Text:
	case Uint:
		w, err := m.constant(argument)
		if err != nil {
			return err
		}
		if w.Kind == Uint && (w.N >= 8 || v.N < 1<<(8*w.N)) {
			return nil
		}
		return mismatch(path, "%v does not fit in %v bytes", v, w)
	default:
		return mismatch(path, ".size wants a string or an unsigned integer, found %v", v)
	}
	if err := m.match(argument, Value{Kind: Uint, N: length}, path); err != nil {
		return mismatch(path, "%v has not the size asked for", v)
	}
	return nil
}

// grouped returns the entries an entry stands for when it is a group, inline
// or by name.
func (m *matcher) grouped(e entry) ([]entry, bool) {
	if e.value == nil {
		return e.group, true
	}
	if r, ok := e.value.(refNode); ok && e.key == nil {
		if g, ok := m.spec.rules[string(r)]; ok && g.typ == nil {
			m.used[string(r)] = true
			return g.group, true
		}
	}
	return nil, false
}

// array takes the items that the entries want, in order and as many as each
// allows, and returns what is left. As in RFC 8610 it never goes back.
func (m *matcher) array(entries []entry, items []Value, path string) ([]Value, error) {
	if err := m.enter(path); err != nil {
		return nil, err
	}
	defer m.leave()
	all := len(items)
	for _, e := range entries {
		var last error
		count := 0
		for e.max < 0 || count < e.max {
			at := path + "[" + strconv.Itoa(all-len(items)) + "]"
			before := len(items)
			if g, ok := m.grouped(e); ok {
				rest, err := m.array(g, items, path)
				if err != nil {
					last = err
					break
				}
				items = rest
				if len(items) == before {
					// A group that takes nothing is there as often as asked.
					count = max(count, e.min)
					break
				}
			} else {
				if len(items) == 0 {
					last = mismatch(at, "an element is missing")
					break
				}
				if last = m.match(e.value, items[0], at); last != nil {
					break
				}
				items = items[1:]
			}
			count++
		}
		if count < e.min {
			return nil, last
		}
	}
	return items, nil
}

// members takes the pairs that the entries want and returns what is left. A
// key that fits decides: when its value does not fit, the map is refused (the
// cut of RFC 8610 §3.5.4, here for => as well).
func (m *matcher) members(entries []entry, pairs []Pair, path string) ([]Pair, error) {
	if err := m.enter(path); err != nil {
		return nil, err
	}
	defer m.leave()
	for _, e := range entries {
		if g, ok := m.grouped(e); ok {
			rest, err := m.members(g, pairs, path)
			if err == nil {
				pairs = rest
			} else if e.min > 0 {
				return nil, err
			}
			continue
		}
		if e.key == nil {
			return nil, mismatch(path, "a member has no key")
		}
		count := 0
		var left []Pair
		for _, p := range pairs {
			if e.max >= 0 && count == e.max || m.match(e.key, p.Key, path) != nil {
				left = append(left, p)
				continue
			}
			if err := m.match(e.value, p.Value, path+"."+p.Key.String()); err != nil {
				return nil, err
			}
			count++
		}
		if count < e.min {
			return nil, mismatch(path, "a member is missing (key %s)", describe(e.key))
		}
		pairs = left
	}
	return pairs, nil
}

func describe(n node) string {
	switch n := n.(type) {
	case literalNode:
		if n.Kind == Text {
			return string(n.Data)
		}
		return Value(n).String()
	case refNode:
		return string(n)
	}
	return "of a type"
}
