package plot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/lab"
)

// arrow is letters that follow each other and differ in nothing but their
// number.
type arrow struct {
	lab.Letter     // the first
	at         int // its place on the wire
	count      int
	last       int // number of the last message
}

// arrows joins letters if there are many, and leaves out what is too many.
func arrows(wire []lab.Letter) (all []arrow, drawn int) {
	like := func(a, b *lab.Letter) bool {
		return a.From == b.From && a.To == b.To && a.Session == b.Session && a.Group == b.Group && a.Farewell == b.Farewell && a.Thief == b.Thief &&
			a.Opened == b.Opened && (a.Message > 0) == (b.Message > 0)
	}
	join := len(wire) > MaxArrows/4
	for i := range wire {
		l := &wire[i]
		if n := len(all); join && n > 0 && like(&all[n-1].Letter, l) {
			all[n-1].count++
			all[n-1].last = l.Message
			drawn++
			continue
		}
		if len(all) == MaxArrows {
			return all, drawn
		}
		all = append(all, arrow{*l, i, 1, l.Message})
		drawn++
	}
	return all, drawn
}

// label is what stands on an arrow.
func (a *arrow) label() string {
	var s string
	switch {
	case a.Farewell:
		s = "farewell"
	case a.Thief:
		s = "the thief writes"
	case a.Message == 0:
		s = "heartbeat or keys"
	case a.count > 1:
		s = span(a.Message, a.last)
	default:
		s = fmt.Sprint(a.Message)
	}
	if a.First && a.Message > 0 && a.Number == 0 {
		s += ", begins a session"
	}
	if a.count > 1 {
		s += fmt.Sprintf(" (%d letters)", a.count)
	}
	return s
}

// conversation is the session or the group that it belongs to.
func (a *arrow) conversation() string {
	if a.Group != "" {
		return "group " + a.Group
	}
	return "session " + a.Session
}

// words is the whole arrow as a text.
func (a *arrow) words() string {
	s := fmt.Sprintf("%s to %s: %s; %s", a.From, a.To, a.label(), a.conversation())
	if a.Group != "" {
		s += fmt.Sprintf(", chain %s, number %d", a.Session, a.Number)
	} else if a.Chain > 0 {
		s += fmt.Sprintf(", chain %d, number %d", a.Chain, a.Number)
	}
	if a.Opened {
		return s + "; opened"
	}
	return s + "; never opened"
}

// lifelines lists the devices that something happens to, as they come.
func lifelines(r *lab.Report) (names []string) {
	add := func(s string) {
		if !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	for i := range r.Wire {
		add(r.Wire[i].From)
		add(r.Wire[i].To)
	}
	for i := range r.Verdicts {
		add(r.Verdicts[i].Who)
	}
	return names
}

// sequence draws who wrote to whom (R-LAB-21).
func (c *canvas) sequence(r *lab.Report) {
	names := lifelines(r)
	all, drawn := arrows(r.Wire)
	if len(all) == 0 {
		c.put(`<section id="sequence"><h2>What went over the wire</h2><p>Nothing did.</p></section>` + "\n")
		return
	}
	const row, head, between, again = px(24), px(40), px(230), 30
	rows := len(all)
	for i := range r.Verdicts {
		if r.Verdicts[i].Wire <= all[len(all)-1].at+1 {
			rows++
		}
	}
	rows += rows / again
	room := len("farewell")
	for i := range r.Verdicts {
		room = max(room, len([]rune(short(r.Verdicts[i].At))))
	}
	width, height := px(120)+between*px(max(1, len(names)-1))+px(90+8*room), head+row*px(rows)+30
	text := fmt.Sprintf("Time goes down. An upright line for each device, an arrow for each sealed letter with the number of its message; dashed arrows were never opened. %s.", count(len(r.Wire), "letter", "letters"))
	if drawn < len(r.Wire) {
		text = fmt.Sprintf("%s The first %d are drawn.", text, drawn)
	}
	if len(r.Wire) > MaxArrows/4 {
		text += " Letters that follow each other on the same way share an arrow."
	}
	x := func(name string) px { return 120 + between*px(slices.Index(names, name)) }
	c.figure("sequence", "What went over the wire", text, width, height, func() {
		c.put(`<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerUnits="userSpaceOnUse" markerWidth="11" markerHeight="11" orient="auto-start-reverse"><path class="tip" d="M0 0l8 4l-8 4z"/></marker></defs>`)
		for _, n := range names {
			c.put(`<path class="life" d="M%s %sV%s"/>`, x(n), head-10, height-6)
		}
		c.put("\n")
		y, shown := head, -1
		advance := func() {
			y += row
			shown++
			if shown%again == 0 {
				if shown > 0 {
					y += row
				}
				for _, n := range names {
					c.put(`<text class="head" text-anchor="middle" x="%s" y="%s">%s<title>%s</title></text>`, x(n), y-row, short(n), n)
				}
			}
		}
		thefts := order(r)
		stolen := func(before int) {
			for len(thefts) > 0 && thefts[0].Wire <= before {
				v := thefts[0]
				thefts = thefts[1:]
				advance()
				c.put(`<g><title>%s: everything that %s keeps is copied</title><path class="stolen" d="M%s %sl7 -7l7 7l-7 7z"/><text class="strong" x="%s" y="%s">stolen: %s</text></g>`+"\n",
					v.At, v.Who, x(v.Who)-7, y, x(v.Who)+12, y+4, short(v.At))
			}
		}
		for i := range all {
			a := &all[i]
			stolen(a.at)
			advance()
			c.arrow(a, x(a.From), x(a.To), y)
		}
		stolen(all[len(all)-1].at + 1)
	})
	c.letterTable(all)
}

// order is the verdicts in the order of their thefts.
func order(r *lab.Report) []*lab.Verdict {
	var out []*lab.Verdict
	for i := range r.Verdicts {
		out = append(out, &r.Verdicts[i])
	}
	slices.SortStableFunc(out, func(a, b *lab.Verdict) int { return a.Wire - b.Wire })
	return out
}

func (c *canvas) arrow(a *arrow, from, to, y px) {
	class := []string{"arrow"}
	if a.Thief {
		class = append(class, "thief")
	}
	if !a.Opened {
		class = append(class, "lost")
	}
	middle, end := (from+to)/2, to-4
	if to < from {
		end = to + 4
	}
	c.put(`<g><title>%s</title><path class="%s" marker-end="url(#tip)" d="M%s %sH%s"/>`, a.words(), strings.Join(class, " "), from, y, end)
	if !a.Opened {
		c.put(`<path class="cross" d="M%s %sl8 8m0 -8l-8 8"/>`, middle+(to-from)/4-4, y-4)
	}
	c.put(`<text class="small" text-anchor="middle" x="%s" y="%s">%s</text></g>`+"\n", middle, y-4, a.label())
}

// letterTable says what the sequence diagram draws.
func (c *canvas) letterTable(all []arrow) {
	c.put(`<details><summary>The letters as a table</summary><div class="scroll" role="region" aria-label="The letters as a table" tabindex="0"><table><caption>Letters on the wire, in order</caption>` +
		`<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">What</th><th scope="col">Session or group</th><th scope="col">Chain</th><th scope="col">Opened</th></tr></thead><tbody>` + "\n")
	for i := range all {
		a := &all[i]
		chain, opened := "–", "no"
		if a.Group != "" {
			chain = fmt.Sprintf("%s, number %d", a.Session, a.Number)
		} else if a.Chain > 0 {
			chain = fmt.Sprintf("%d, number %d", a.Chain, a.Number)
		}
		if a.Opened {
			opened = "yes"
		}
		c.put(`<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>`+"\n", a.From, a.To, a.label(), a.conversation(), chain, opened)
	}
	c.put("</tbody></table></div></details>\n")
}
