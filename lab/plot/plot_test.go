package plot

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/lab"
)

// node is an element of a parsed page.
type node struct {
	name     string
	attrs    map[string]string
	text     string // its own, not its children's
	children []*node
}

// parse reads a page as XML, strictly.
func parse(t *testing.T, page []byte) *node {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	root := &node{}
	open := []*node{root}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		top := open[len(open)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attrs: map[string]string{}}
			for _, a := range tok.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(tok)
		}
	}
	return root
}

func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.walk(visit)
	}
}

func (n *node) all(name string) (out []*node) {
	n.walk(func(m *node) {
		if m.name == name {
			out = append(out, m)
		}
	})
	return out
}

func (n *node) id(t *testing.T, id string) *node {
	t.Helper()
	var found []*node
	n.walk(func(m *node) {
		if m.attrs["id"] == id {
			found = append(found, m)
		}
	})
	if len(found) != 1 {
		t.Fatalf("%d elements have the id %q", len(found), id)
	}
	return found[0]
}

// title is the text alternative of a shape.
func (n *node) title() string {
	for _, c := range n.children {
		if c.name == "title" {
			return c.text
		}
	}
	return ""
}

func played(t *testing.T, s *lab.Scenario) *lab.Report {
	t.Helper()
	r, err := s.Run(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func talk(messages, thefts int) *lab.Scenario {
	return &lab.Scenario{
		Name: "talk", Seed: 4, People: map[string]int{"alice": 1, "bob": 1},
		Steps: []lab.Step{{Do: "talk", Between: []string{"alice", "bob"}, Count: messages, Loss: 5, Late: 5, Twice: 2, Thefts: thefts}},
	}
}

// reports are runs of all shapes: shipped ones, none at all, a long one.
func reports(t *testing.T) map[string]*lab.Report {
	all := map[string]*lab.Report{
		"short": played(t, talk(3, 1)), "long": played(t, talk(1000, 40)),
		"empty":   {Scenario: &lab.Scenario{Name: "empty"}, Met: true},
		"hostile": hostile(),
		"wide":    wide(),
	}
	for _, s := range lab.Shipped() {
		if slices.Contains([]string{"linked-device", "clone", "false-prekeys", "skipped-keys", "sender-key-theft"}, s.Name) {
			all[s.Name] = played(t, s)
		}
	}
	return all
}

// evil is a name that tries to leave its place.
const evil = "\"></title><script>alert(1)</script>'&\x00\x1b[31m\u202e\xff ]]> ${x} javascript:alert(1)"

func hostile() *lab.Report {
	return &lab.Report{
		Scenario: &lab.Scenario{Name: evil, Title: evil, Cites: []string{evil}}, Messages: 2, Missed: []string{evil}, Refused: map[string]int{evil: 1},
		Wire:     []lab.Letter{{Message: 1, From: evil, To: "b" + evil, Session: evil, Chain: 1}, {From: "b" + evil, To: evil, Session: evil, Farewell: true}},
		Verdicts: []lab.Verdict{{At: evil, Who: evil, Opened: []int{1}, Differ: []int{0, 2}, Forges: []string{evil}, FooledBy: []string{evil}, Wire: 1, Sent: 1}},
	}
}

// wide is as much as a scenario can ask for, with nothing alike beside another.
func wide() *lab.Report {
	r := &lab.Report{Scenario: &lab.Scenario{Name: "wide"}, Messages: lab.MaxMessages, Letters: lab.MaxMessages}
	for i := range lab.MaxMessages {
		r.Wire = append(r.Wire, lab.Letter{
			Message: i + 1, From: fmt.Sprint("device ", i%16), To: fmt.Sprint("device ", (i+1)%16), Session: fmt.Sprintf("%08x", i%50), Chain: uint64(i/50) + 1, Opened: i%2 == 0,
		})
	}
	for i := range lab.MaxThefts {
		v := lab.Verdict{At: fmt.Sprint("theft ", i), Who: "device 0", Sent: i * 100, Wire: i * 100, HealedIn: time.Hour, Healed: 3}
		for n := 1 + i%2; n <= lab.MaxMessages; n += 2 {
			v.Opened = append(v.Opened, n)
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}

// R-LAB-20: one file, well-formed, no script, nothing from elsewhere, and a
// policy that names its style by its hash and allows nothing else.
func TestR_LAB_20_OneFile(t *testing.T) {
	for name, r := range reports(t) {
		page := HTML(r)
		root := parse(t, page)
		for _, n := range root.all("meta") {
			if n.attrs["http-equiv"] != "Content-Security-Policy" {
				continue
			}
			sum := sha256.Sum256([]byte(root.all("style")[0].text))
			if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(n.attrs["content"], "default-src 'none'") || !strings.Contains(n.attrs["content"], want) {
				t.Errorf("%s: the policy is %q", name, n.attrs["content"])
			}
		}
		if !bytes.Contains(page, []byte("Content-Security-Policy")) || !bytes.HasPrefix(page, []byte("<!DOCTYPE html>\n")) {
			t.Errorf("%s: no policy, or another document type", name)
		}
		root.walk(func(n *node) {
			switch n.name {
			case "script", "link", "img", "image", "iframe", "object", "embed", "use", "base", "form", "a", "foreignObject", "animate", "set":
				t.Errorf("%s: an element %s", name, n.name)
			}
			for k, v := range n.attrs {
				outside := strings.Contains(v, "url(") && v != "url(#tip)"
				if strings.HasPrefix(k, "on") || k == "style" || k == "href" || k == "src" || k == "srcset" || outside {
					t.Errorf("%s: %s has %s=%q", name, n.name, k, v)
				}
			}
		})
		if css := root.all("style")[0].text; regexp.MustCompile(`@import|url\(|//|expression|[<&]`).MatchString(css) {
			t.Errorf("%s: the style refers to something", name)
		}
	}
}

// R-LAB-21: what the heat map shows is what the verdicts say, message by message.
func TestR_LAB_21_HeatMap(t *testing.T) {
	shape := regexp.MustCompile(`^(.*): (\d+)(?:–(\d+))? (closed|open|partly open|the judges differ)$`)
	for name, r := range reports(t) {
		if len(r.Verdicts) == 0 || name == "hostile" || name == "wide" {
			continue
		}
		seen := map[string]map[int]string{}
		for _, n := range parse(t, HTML(r)).id(t, "heat").all("rect") {
			m := shape.FindStringSubmatch(n.title())
			if m == nil {
				t.Fatalf("%s: a cell says %q", name, n.title())
			}
			a, _ := strconv.Atoi(m[2])
			b := a
			if m[3] != "" {
				b, _ = strconv.Atoi(m[3])
			}
			if seen[m[1]] == nil {
				seen[m[1]] = map[int]string{}
			}
			for ; a <= b; a++ {
				if seen[m[1]][a] != "" {
					t.Errorf("%s: message %d is drawn twice", name, a)
				}
				seen[m[1]][a] = m[4]
			}
			if class := map[string]string{"closed": "closed", "open": "open", "partly open": "partly", "the judges differ": "differ"}[m[4]]; n.attrs["class"] != class {
				t.Errorf("%s: %q looks %s", name, n.title(), n.attrs["class"])
			}
		}
		for _, v := range r.Verdicts {
			for n := 1; n <= r.Messages; n++ {
				want := "closed"
				if slices.Contains(v.Opened, n) {
					want = "open"
				}
				if seen[v.At][n] != want {
					t.Fatalf("%s: %s, message %d is drawn %q and is %s", name, v.At, n, seen[v.At][n], want)
				}
			}
		}
	}
	differing := string(HTML(hostile()))
	if !strings.Contains(differing, "2 the judges differ</title>") || !strings.Contains(differing, "DIFFER on 2 heartbeats") {
		t.Error("where the judges differ is not drawn")
	}
}

// R-LAB-21: the other drawings have every letter, chain and theft of a run.
func TestR_LAB_21_LettersAndChains(t *testing.T) {
	for name, r := range reports(t) {
		if name == "wide" || len(r.Wire) == 0 {
			continue
		}
		root := parse(t, HTML(r))
		arrows, thefts := 0, 0
		for _, n := range root.id(t, "sequence").all("path") {
			switch class := n.attrs["class"]; {
			case strings.HasPrefix(class, "arrow"):
				arrows++
			case class == "stolen":
				thefts++
			}
		}
		if name != "long" && arrows != len(r.Wire) || arrows == 0 || thefts != len(r.Verdicts) {
			t.Errorf("%s: %d arrows and %d thefts for %d letters and %d verdicts", name, arrows, thefts, len(r.Wire), len(r.Verdicts))
		}
		letters := 0
		for _, row := range root.all("details")[1].all("tr")[1:] {
			n := 1
			if m := regexp.MustCompile(`\((\d+) letters\)`).FindStringSubmatch(row.children[2].text); m != nil {
				n, _ = strconv.Atoi(m[1])
			}
			letters += n
		}
		if letters != len(r.Wire) {
			t.Errorf("%s: the table has %d of %d letters", name, letters, len(r.Wire))
		}
		chains, want := 0, map[string]bool{}
		for _, n := range root.id(t, "ratchet").all("rect") {
			if strings.HasPrefix(n.title(), "chain ") {
				chains++
			}
		}
		for _, l := range r.Wire {
			if l.Group != "" {
				want[l.Group+l.Session] = true
			} else if !l.Farewell {
				want[fmt.Sprint(l.Session, min(l.From, l.To), max(l.From, l.To), l.Chain)] = true
			}
		}
		if chains != len(want) {
			t.Errorf("%s: %d of %d chains are drawn", name, chains, len(want))
		}
	}
}

// R-LAB-22: every drawing and every shape in it has a text, every table its
// heads, and no name leaves its place.
func TestR_LAB_22_InWords(t *testing.T) {
	for name, r := range reports(t) {
		page := HTML(r)
		root := parse(t, page)
		for _, n := range root.all("svg") {
			if n.attrs["role"] != "img" || n.title() == "" || n.attrs["aria-labelledby"] == "" && n.attrs["aria-label"] == "" {
				t.Errorf("%s: a drawing without words: %v", name, n.attrs)
			}
			for _, id := range strings.Fields(n.attrs["aria-labelledby"]) {
				root.id(t, id)
			}
			for _, m := range n.all("rect") {
				if m.title() == "" && n.title() == "" {
					t.Errorf("%s: a shape without words", name)
				}
			}
		}
		for _, figure := range []string{"heat", "ratchet", "sequence"} {
			for _, n := range root.id(t, figure).all("rect") {
				if n.title() == "" {
					t.Errorf("%s: a shape of %s without words", name, figure)
				}
			}
		}
		for _, n := range root.all("table") {
			if len(n.all("caption")) != 1 || len(n.all("th")) < 5 {
				t.Errorf("%s: a table without heads", name)
			}
		}
		if got := len(root.all("h1")); got != 1 || root.all("html")[0].attrs["lang"] != "en" || root.all("title")[0].text == "" {
			t.Errorf("%s: %d headings of the page, or no language or title", name, got)
		}
		if regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]|\x{202e}`).Match(page) {
			t.Errorf("%s: a control character", name)
		}
	}
	if got := parse(t, HTML(hostile())).all("h1")[0].text; !strings.Contains(got, "<script>alert(1)</script>") {
		t.Errorf("an escaped name reads %q", got)
	}
}

// R-LAB-22: text stands out at least 4.5 to 1, shapes 3 to 1, in light and dark.
func TestR_LAB_22_Contrast(t *testing.T) {
	themes := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(style, -1)
	if len(themes) != 2 || !strings.Contains(style, "@media (prefers-color-scheme:dark){:root{") {
		t.Fatal("there are not two themes")
	}
	for i, theme := range themes {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z]+):(#[0-9a-f]{6})`).FindAllStringSubmatch(theme[1], -1) {
			colours[m[1]] = m[2]
		}
		for _, c := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "page", 7}, {"ink", "panel", 7}, {"muted", "page", 4.5}, {"closed", "page", 3}, {"partly", "page", 3}, {"open", "page", 3},
			{"differ", "page", 3}, {"theft", "page", 3}, {"theirs", "page", 3}, {"focus", "page", 3},
		} {
			if got := contrast(t, colours[c.front], colours[c.back]); got < c.least {
				t.Errorf("theme %d: %s on %s has a contrast of %.2f, not %.1f", i, c.front, c.back, got, c.least)
			}
		}
	}
	if got := contrast(t, "#000000", "#ffffff"); math.Abs(got-21) > 0.01 {
		t.Errorf("black on white is %f", got)
	}
}

// contrast is the ratio of WCAG 2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(s string) float64 {
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
		if err != nil {
			t.Fatalf("not a colour: %q", s)
		}
		part := func(shift uint) float64 {
			c := float64(n>>shift&255) / 255
			if c <= 0.04045 {
				return c / 12.92
			}
			return math.Pow((c+0.055)/1.055, 2.4)
		}
		return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// R-LAB-23: whatever a scenario asks for, the file stays small.
func TestR_LAB_23_Size(t *testing.T) {
	all := reports(t)
	for name, most := range map[string]int{"short": 40 << 10, "long": 1 << 20, "wide": 4 << 20} {
		if n := len(HTML(all[name])); n > most {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	h := newHeat(wide())
	if h.columns() > MaxColumns || h.runs() > MaxRuns {
		t.Errorf("%d columns, %d runs", h.columns(), h.runs())
	}
	if from, to := h.span(h.columns() - 1); to != lab.MaxMessages || from > to {
		t.Errorf("the last column is %d to %d", from, to)
	}
}
