package cddl

import (
	"fmt"
	"regexp"
)

// A node is a type: exactly one shape for each way CDDL can say one.
type node interface{}

type (
	choiceNode  []node   // first that matches
	literalNode Value    // exactly this
	refNode     string   // a rule or a prelude type
	rangeNode   struct { // integers
		low, high node
		exclusive bool
	}
	arrayNode   struct{ entries []entry }
	mapNode     struct{ entries []entry }
	controlNode struct { // target .op argument
		target   node
		op       string
		argument node
		pattern  *regexp.Regexp // .regexp
	}
)

// entry is one member of an array, map or group.
type entry struct {
	min, max int     // occurrence; max < 0 is unbounded
	key      node    // nil when there is none
	value    node    // nil when group is set
	group    []entry // an inline group
}

type rule struct {
	name  string
	line  int
	typ   node    // nil when the rule is a group
	group []entry // for a group rule
}

type parser struct {
	tokens []token
	at     int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) take(text string) bool {
	if p.peek().is(text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) fail(want string) error {
	return fmt.Errorf("line %d: want %s, found %v", p.peek().line, want, p.peek())
}

// deeper bounds the parser's recursion.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("line %d: nested too deep", p.peek().line)
	}
	return nil
}

// rules parses a whole file.
func (p *parser) rules() ([]rule, error) {
	var out []rule
	for p.peek().kind != end {
		t := p.next()
		if t.kind != name {
			p.at--
			return nil, p.fail("a rule's name")
		}
		if !p.take("=") {
			return nil, p.fail("=")
		}
		r := rule{name: t.text, line: t.line}
		start := p.at
		typ, err := p.typ()
		if err == nil && p.ruleEnds() {
			r.typ = typ
		} else {
			// Not a type: a group in parentheses.
			p.at = start
			if !p.take("(") {
				if err == nil {
					err = p.fail("the next rule")
				}
				return nil, err
			}
			if r.group, err = p.entries(")"); err != nil {
				return nil, err
			}
			if !p.ruleEnds() {
				return nil, p.fail("the next rule")
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// ruleEnds reports whether another rule, or the end, follows.
func (p *parser) ruleEnds() bool {
	t := p.peek()
	return t.kind == end || t.kind == name && p.at+1 < len(p.tokens) && p.tokens[p.at+1].is("=")
}

// typ parses type1 *( "/" type1 ).
func (p *parser) typ() (node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	first, err := p.type1()
	if err != nil || !p.peek().is("/") {
		return first, err
	}
	choices := choiceNode{first}
	for p.take("/") {
		n, err := p.type1()
		if err != nil {
			return nil, err
		}
		choices = append(choices, n)
	}
	return choices, nil
}

var controls = map[string]bool{
	"size": true, "cbor": true, "regexp": true,
	"lt": true, "le": true, "gt": true, "ge": true, "eq": true, "ne": true,
}

// type1 parses type2 [ (".." / "..." / control) type2 ].
func (p *parser) type1() (node, error) {
	n, err := p.type2()
	if err != nil {
		return nil, err
	}
	t := p.peek()
	switch {
	case t.is("..") || t.is("..."):
		p.next()
		high, err := p.type2()
		if err != nil {
			return nil, err
		}
		return rangeNode{low: n, high: high, exclusive: t.text == "..."}, nil
	case t.kind == control:
		if !controls[t.text] {
			return nil, fmt.Errorf("line %d: control .%s is not supported", t.line, t.text)
		}
		p.next()
		c := controlNode{target: n, op: t.text}
		if c.argument, err = p.type2(); err != nil {
			return nil, err
		}
		if c.op == "regexp" {
			lit, ok := c.argument.(literalNode)
			if !ok || lit.Kind != Text {
				return nil, fmt.Errorf("line %d: .regexp wants a text", t.line)
			}
			if c.pattern, err = regexp.Compile(`\A(?:` + string(lit.Data) + `)\z`); err != nil {
				return nil, fmt.Errorf("line %d: .regexp does not compile", t.line)
			}
		}
		return c, nil
	}
	return n, nil
}

// type2 parses a literal, a name, an array, a map or a type in parentheses.
func (p *parser) type2() (node, error) {
	t := p.peek()
	switch {
	case t.kind == literal:
		p.next()
		return literalNode(t.value), nil
	case t.kind == name:
		p.next()
		switch t.text {
		case "true":
			return literalNode{Kind: Bool, N: 1}, nil
		case "false":
			return literalNode{Kind: Bool}, nil
		case "null", "nil":
			return literalNode{Kind: Null}, nil
		}
		return refNode(t.text), nil
	case p.take("["):
		es, err := p.entries("]")
		return arrayNode{es}, err
	case p.take("{"):
		es, err := p.entries("}")
		return mapNode{es}, err
	case p.take("("):
		n, err := p.typ()
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.fail(")")
		}
		return n, nil
	}
	return nil, p.fail("a type")
}

// entries parses group entries up to the closing token, which it takes.
func (p *parser) entries(closing string) ([]entry, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var out []entry
	for !p.take(closing) {
		e, err := p.entry()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.take(",") && !p.peek().is(closing) {
			return nil, p.fail(", or " + closing)
		}
	}
	return out, nil
}

func (p *parser) entry() (entry, error) {
	e := entry{min: 1, max: 1}
	if err := p.occurrence(&e); err != nil {
		return e, err
	}
	start := p.at
	n, err := p.typ()
	if err != nil || !p.peek().is(",") && !p.peek().is("}") && !p.peek().is("]") && !p.peek().is(")") && !p.peek().is(":") && !p.peek().is("=>") {
		// Not a type: an inline group.
		p.at = start
		if !p.take("(") {
			if err == nil {
				err = p.fail("the end of an entry")
			}
			return e, err
		}
		e.group, err = p.entries(")")
		return e, err
	}
	switch {
	case p.take(":"):
		// A bare word before a colon is a text key.
		if r, ok := n.(refNode); ok {
			n = literalNode{Kind: Text, Data: []byte(r)}
		}
		if _, ok := n.(literalNode); !ok {
			return e, p.fail("a literal or a word before the colon")
		}
		e.key = n
	case p.take("=>"):
		e.key = n
	default:
		e.value = n
		return e, nil
	}
	e.value, err = p.typ()
	return e, err
}

// occurrence parses ?, +, *, n*, *m and n*m; the numbers touch the star.
func (p *parser) occurrence(e *entry) error {
	t := p.peek()
	switch {
	case p.take("?"):
		e.min = 0
		return nil
	case p.take("+"):
		e.max = -1
		return nil
	}
	count := func(t token) (int, bool) {
		if t.kind != literal || t.value.Kind != Uint {
			return 0, false
		}
		return int(min(t.value.N, maxItems)), true
	}
	low, ok := count(t)
	if ok {
		if star := p.tokens[p.at+1]; !star.is("*") || star.pos != t.after {
			return nil
		}
		p.next()
	} else if !t.is("*") {
		return nil
	}
	star := p.next()
	e.min, e.max = low, -1
	if high, ok := count(p.peek()); ok && p.peek().pos == star.after {
		p.next()
		if e.max = high; high < low {
			return fmt.Errorf("line %d: occurrence ends before it starts", t.line)
		}
	}
	return nil
}
