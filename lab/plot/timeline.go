package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/pawl-chat/pawl/lab"
)

// chain is one chain of a session: who sends on it, and its letters.
type chain struct {
	id          string
	from        string
	first, last int // on the wire
	letters     int
	top         uint32 // highest number
	opened      int
}

// session is one session's chains, in the order in which they begin.
type session struct {
	id, a, b   string // a began it
	group      string // of a group's messages: its name
	chains     []chain
	letters    int
	first, end int
	farewells  []int
}

// sessions finds the chains of every session on the wire.
func sessions(wire []lab.Letter) []*session {
	type key struct{ id, a, b string }
	var all []*session
	known := map[key]*session{}
	chains := map[key]map[string]int{}
	for i := range wire {
		l := &wire[i]
		k, id := key{l.Session, min(l.From, l.To), max(l.From, l.To)}, strconv.FormatUint(l.Chain, 10)
		if l.Group != "" {
			k, id = key{id: "group " + l.Group}, l.Session
		}
		s := known[k]
		if s == nil {
			s = &session{id: l.Session, a: l.From, b: l.To, group: l.Group, first: i}
			known[k], chains[k] = s, map[string]int{}
			all = append(all, s)
		}
		s.end = i
		if l.Farewell || l.Group == "" && l.Chain == 0 {
			s.farewells = append(s.farewells, i)
			continue
		}
		s.letters++
		at, ok := chains[k][id]
		if !ok {
			at = len(s.chains)
			chains[k][id] = at
			s.chains = append(s.chains, chain{id: id, from: l.From, first: i})
		}
		ch := &s.chains[at]
		ch.last, ch.letters, ch.top = i, ch.letters+1, max(ch.top, l.Number)
		if l.Opened {
			ch.opened++
		}
	}
	return all
}

// timelines draws how the ratchets turned (R-LAB-21): for each session a
// staircase whose steps are chains.
func (c *canvas) timelines(r *lab.Report) {
	all := sessions(r.Wire)
	if len(all) == 0 {
		c.put(`<section id="ratchet"><h2>How the ratchets turned</h2><p>Nothing went over the wire.</p></section>` + "\n")
		return
	}
	drawn := slices.Clone(all)
	if len(drawn) > MaxSessions {
		slices.SortStableFunc(drawn, func(a, b *session) int { return cmp.Compare(b.letters, a.letters) })
		drawn = drawn[:MaxSessions]
		slices.SortStableFunc(drawn, func(a, b *session) int { return cmp.Compare(a.first, b.first) })
	}
	tall := func(s *session) px { return min(180, max(24, px(12*len(s.chains)))) }
	const left, right, head, gap = px(20), px(24), px(10), px(34)
	length := px(min(1100, max(320, 24*len(r.Wire))))
	width, height := left+length+right, head+24
	for _, s := range drawn {
		height += tall(s) + gap
	}
	text := fmt.Sprintf("A staircase for each session and group, %d in all. Time goes to the right, by letters on the wire. Each step is a chain: a new one begins when the two have ratcheted, in a group when somebody begins to speak under new keys. It is such steps that lock a thief out. Upright lines are thefts of one of the two.", len(all))
	if len(drawn) < len(all) {
		text += fmt.Sprintf(" The %d sessions with the most letters are drawn.", len(drawn))
	}
	unit := length / px(max(1, len(r.Wire)))
	x := func(i int) px { return left + unit*px(i) }
	c.figure("ratchet", "How the ratchets turned", text, width, height, func() {
		y := head
		for _, s := range drawn {
			h := tall(s)
			c.put(`<g><title>%s</title><text class="name" x="4" y="%s">%s</text>`, s.words(), y+12, s.name())
			y += 20
			c.put(`<path class="grid" d="M%s %sh%s"/>`, left, y+h, length)
			c.stairs(s, y, h, x, unit, MaxBars/len(drawn))
			for _, f := range s.farewells {
				c.put(`<path class="cross" d="M%s %sl6 6m0 -6l-6 6"><title>letter %d: farewell</title></path>`, x(f), y+h-6, f+1)
			}
			for i := range r.Verdicts {
				if v := &r.Verdicts[i]; s.concerns(v.Who) && v.Wire >= s.first && v.Wire <= len(r.Wire) {
					c.put(`<path class="thin" d="M%s %sv%s"><title>%s: %s is robbed after %d letters</title></path>`, x(v.Wire), y-2, h+4, v.At, v.Who, v.Wire)
				}
			}
			c.put("</g>\n")
			y += h + gap - 20
		}
		for _, n := range marks(len(r.Wire), 12) {
			c.put(`<text class="small" text-anchor="middle" x="%s" y="%s">%d</text>`, x(n-1)+unit/2, height-6, n)
		}
	})
	c.sessionTable(all)
}

// stairs draws the chains of one session, several as one when there are many.
func (c *canvas) stairs(s *session, y, h px, x func(int) px, unit px, most int) {
	n := len(s.chains)
	rise := h / px(max(1, n))
	per := max(1, (n+most-1)/most)
	for i := 0; i < n; i += per {
		ch := s.chains[i]
		class := "mine"
		if ch.from != s.a {
			class = "theirs"
		}
		words := fmt.Sprintf("chain %s, %s writes: %d letters, %d opened, numbers up to %d", ch.id, ch.from, ch.letters, ch.opened, ch.top)
		if per > 1 {
			class = "mixed"
			last, letters := ch, 0
			for _, other := range s.chains[i:min(i+per, n)] {
				last, letters = other, letters+other.letters
				ch.last = max(ch.last, other.last)
			}
			words = fmt.Sprintf("chains %s to %s: %d letters", ch.id, last.id, letters)
		}
		steps := px(min(per, n-i))
		c.put(`<rect class="%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>`,
			class, x(ch.first), y+h-rise*(px(i)+steps), max(1.5, unit*px(ch.last-ch.first+1)-1), max(1.5, rise*steps-1), words)
	}
}

// name is what stands above the drawing.
func (s *session) name() string {
	if s.group != "" {
		return "group " + short(s.group)
	}
	return short(s.a) + ", " + short(s.b) + ", session " + s.id
}

// concerns reports whether a theft of a device is one of a side. Who is in a
// group at which time is not known here.
func (s *session) concerns(who string) bool { return s.group == "" && (who == s.a || who == s.b) }

func (s *session) words() string {
	if s.group != "" {
		return fmt.Sprintf("group %s: %d copies on %d chains", s.group, s.letters, len(s.chains))
	}
	return fmt.Sprintf("session %s, begun by %s with %s: %d letters on %d chains", s.id, s.a, s.b, s.letters, len(s.chains))
}

// sessionTable says what the timelines draw.
func (c *canvas) sessionTable(all []*session) {
	c.put(`<ul class="legend"><li><svg role="img" width="18" height="14" viewBox="0 0 18 14" aria-label="filled"><title>filled</title><rect class="mine" x="1" y="3" width="16" height="8"/></svg> the one who began writes</li>` +
		`<li><svg role="img" width="18" height="14" viewBox="0 0 18 14" aria-label="outlined"><title>outlined</title><rect class="theirs" x="1" y="3" width="16" height="8"/></svg> the other writes</li></ul>` + "\n")
	c.put(`<details><summary>The sessions as a table</summary><div class="scroll" role="region" aria-label="The sessions as a table" tabindex="0"><table><caption>Sessions and their chains</caption>` +
		`<thead><tr><th scope="col">Session</th><th scope="col">Begun by</th><th scope="col">With</th><th scope="col">Letters</th><th scope="col">Chains</th><th scope="col">Longest chain</th><th scope="col">Farewells</th></tr></thead><tbody>` + "\n")
	for i, s := range all {
		if i == MaxArrows {
			c.put(`<tr><td colspan="7">and %d more</td></tr>`+"\n", len(all)-i)
			break
		}
		longest := 0
		for _, ch := range s.chains {
			longest = max(longest, ch.letters)
		}
		id, with := s.id, s.b
		if s.group != "" {
			id, with = "group "+s.group, "the group"
		}
		c.put(`<tr><td>%s</td><td>%s</td><td>%s</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td></tr>`+"\n", id, s.a, with, s.letters, len(s.chains), longest, len(s.farewells))
	}
	c.put("</tbody></table></div></details>\n")
}
