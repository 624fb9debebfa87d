package plot

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/lab"
)

//go:embed style.css
var style string

// HTML draws a report as one file of HTML (R-LAB-20).
func HTML(r *lab.Report) []byte {
	var c canvas
	sum := sha256.Sum256([]byte(style))
	c.put(`<!DOCTYPE html>` + "\n" + `<html lang="en"><head><meta charset="utf-8"/>` + "\n")
	c.put(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-%s'"/>`+"\n", base64.StdEncoding.EncodeToString(sum[:]))
	c.put(`<meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="referrer" content="no-referrer"/><meta name="color-scheme" content="light dark"/>`+"\n<title>pawl lab: %s</title>\n<style>%s</style></head>\n", r.Scenario.Name, markup(style))
	c.put(`<body><header><p class="kicker">pawl lab</p><h1>%s</h1>`, r.Scenario.Name)
	if r.Scenario.Title != "" {
		c.put(`<p>%s</p>`, r.Scenario.Title)
	}
	if len(r.Scenario.Cites) > 0 {
		c.put(`<ul class="cites">`)
		for _, s := range r.Scenario.Cites {
			c.put(`<li>%s</li>`, s)
		}
		c.put(`</ul>`)
	}
	c.put("</header>\n<main>\n")
	c.outcome(r)
	c.verdicts(r)
	c.heatMap(r)
	c.timelines(r)
	c.sequence(r)
	c.put("</main></body></html>\n")
	return c.Bytes()
}

// outcome is the run in figures.
func (c *canvas) outcome(r *lab.Report) {
	agree := "yes"
	for i := range r.Verdicts {
		if !r.Verdicts[i].Agree {
			agree = "NO"
		}
	}
	if len(r.Verdicts) == 0 {
		agree = "nothing to judge"
	}
	c.put(`<section id="outcome"><h2>The run</h2><dl>`)
	for _, p := range [][2]string{
		{"seed", fmt.Sprint(r.Seed)}, {"messages", fmt.Sprint(r.Messages)}, {"letters", fmt.Sprint(r.Letters)}, {"opened by their devices", fmt.Sprint(r.Delivered)},
		{"thefts", fmt.Sprint(len(r.Verdicts))}, {"judges agree", agree}, {"messages whose MAC keys are public", fmt.Sprint(r.Public)}, {"as expected", outcomeWord(r)},
	} {
		c.put(`<div><dt>%s</dt><dd>%s</dd></div>`, p[0], p[1])
	}
	c.put("</dl>")
	if len(r.Missed) > 0 {
		c.put(`<h3>Expected and not found</h3><ul>`)
		for _, m := range r.Missed[:min(len(r.Missed), MaxArrows)] {
			c.put(`<li>%s</li>`, m)
		}
		c.put(`</ul>`)
	}
	if len(r.Refused) > 0 {
		var why []string
		for w := range r.Refused {
			why = append(why, w)
		}
		slices.Sort(why)
		c.put(`<h3>Refused</h3><ul>`)
		for _, w := range why {
			c.put(`<li>%d: %s</li>`, r.Refused[w], w)
		}
		c.put(`</ul>`)
	}
	c.put("</section>\n")
}

func outcomeWord(r *lab.Report) string {
	switch {
	case !r.Met:
		return "NO"
	case len(r.Scenario.Expect) == 0 && r.Scenario.Outcome == nil:
		return "nothing was expected"
	}
	return "yes"
}

// verdicts is the table of verdicts, and the heat map in words (R-LAB-22).
func (c *canvas) verdicts(r *lab.Report) {
	if len(r.Verdicts) == 0 {
		return
	}
	c.put(`<section id="verdicts"><h2>Verdicts</h2><div class="scroll" role="region" aria-label="Verdicts" tabindex="0"><table><caption>What each theft means for the messages of the run</caption><thead><tr>`)
	heads := []string{"Theft", "Device", "After message", "Opens", "Which", "Closed", "Read before", "Heals", "Writes to", "Writes as", "Judges"}
	grouped := r.Entries > 0
	if grouped {
		heads = append(heads, "Log entries read")
	}
	for _, h := range heads {
		c.put(`<th scope="col">%s</th>`, h)
	}
	c.put("</tr></thead><tbody>\n")
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		judges := "agree"
		if !v.Agree {
			judges = "DIFFER on " + few(differing(v.Differ))
		}
		c.put(`<tr><th scope="row">%s</th><td>%s</td><td>%d</td><td>%d</td><td class="which">%s</td><td>%d</td><td>%d</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>`,
			v.At, v.Who, v.Sent, len(v.Opened), few(lab.Ranges(v.Opened)), v.Closed, v.Read, healed(v), or(strings.Join(v.Forges, ", "), "–"), or(strings.Join(v.FooledBy, ", "), "–"), judges)
		if grouped {
			c.put(`<td>%d</td>`, v.Entries)
		}
		c.put("</tr>\n")
	}
	c.put("</tbody></table></div></section>\n")
}

// differing names the messages that the judges differ on; heartbeats are none.
func differing(numbers []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(numbers)))
	s := lab.Ranges(slices.DeleteFunc(slices.Clone(sorted), func(n int) bool { return n < 1 }))
	if len(sorted) > 0 && sorted[0] == 0 {
		s = strings.TrimSpace(s + " heartbeats")
	}
	return s
}

// few cuts ranges to what has room.
func few(ranges string) string {
	if len(ranges) <= MaxRanges {
		return or(ranges, "none")
	}
	cut := strings.LastIndexByte(ranges[:MaxRanges], ' ')
	return fmt.Sprintf("%s … and %d more stretches", ranges[:cut], strings.Count(ranges[cut:], " "))
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func healed(v *lab.Verdict) string {
	switch {
	case v.Healed < 0:
		return "not seen"
	case v.Healed == 0:
		return "at once"
	case v.Healed == 1:
		return "after 1 message, " + v.HealedIn.Round(time.Second).String()
	}
	return fmt.Sprintf("after %d messages, %s", v.Healed, v.HealedIn.Round(time.Second))
}
