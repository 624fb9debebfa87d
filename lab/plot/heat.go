package plot

import (
	"fmt"
	"strconv"

	"github.com/pawl-chat/pawl/lab"
)

// state is what a cell of the heat map says of its messages under one theft.
type state byte

const (
	closed state = iota
	partly       // some of the messages of the column are open
	open
	differ // the judges do not agree on one of them
)

// looks are the states: how they are called, and which share of a row's height
// they fill, so that nobody needs to tell colours apart.
func looks() [4]struct {
	word, class string
	height      px
} {
	return [4]struct {
		word, class string
		height      px
	}{{"closed", "closed", 0.3}, {"partly open", "partly", 0.65}, {"open", "open", 1}, {"the judges differ", "differ", 1}}
}

// heat is the map of compromise and message: a row for each theft, a column for
// each message or for per of them.
type heat struct {
	messages, per int
	rows          [][]state
}

// newHeat takes the finest columns that keep the drawing small.
func newHeat(r *lab.Report) heat {
	per := max(1, (r.Messages+MaxColumns-1)/MaxColumns)
	for ; ; per *= 2 {
		h := heat{messages: r.Messages, per: per}
		for i := range r.Verdicts {
			h.rows = append(h.rows, h.row(&r.Verdicts[i]))
		}
		if h.runs() <= MaxRuns || per >= r.Messages {
			return h
		}
	}
}

func (h *heat) columns() int { return (h.messages + h.per - 1) / h.per }

func (h *heat) row(v *lab.Verdict) []state {
	opened := make([]int, h.columns())
	for _, n := range v.Opened {
		if n >= 1 && n <= h.messages {
			opened[(n-1)/h.per]++
		}
	}
	row := make([]state, h.columns())
	for i, n := range opened {
		from, to := h.span(i)
		switch {
		case n == 0:
		case n < to-from+1:
			row[i] = partly
		default:
			row[i] = open
		}
	}
	for _, n := range v.Differ {
		if n >= 1 && n <= h.messages {
			row[(n-1)/h.per] = differ
		}
	}
	return row
}

// span is the messages of a column.
func (h *heat) span(column int) (from, to int) {
	return column*h.per + 1, min((column+1)*h.per, h.messages)
}

func (h *heat) runs() (n int) {
	for _, row := range h.rows {
		for i := range row {
			if i == 0 || row[i] != row[i-1] {
				n++
			}
		}
	}
	return n
}

// heatMap draws compromise by message (R-LAB-21). Like cells beside each other are one
// shape with one text: a row is a sentence, not a thousand.
func (c *canvas) heatMap(r *lab.Report) {
	h := newHeat(r)
	columns := h.columns()
	if columns == 0 || len(r.Verdicts) == 0 {
		c.put(`<section id="heat"><h2>What each theft opens</h2><p>Nothing was stolen in this run, or nobody wrote.</p></section>` + "\n")
		return
	}
	const top = px(24)
	left := px(70)
	for i := range r.Verdicts {
		left = max(left, px(16+8*len([]rune(short(label(&r.Verdicts[i]))))))
	}
	cell := min(28, max(1, 900/px(columns)))
	line := px(22)
	if len(h.rows) > 60 {
		line = 13
	}
	width, height := left+cell*px(columns)+24, top+line*px(len(h.rows))+30
	column := "each message"
	if h.per > 1 {
		column = fmt.Sprintf("every %d messages", h.per)
	}
	text := fmt.Sprintf("A row for each theft, %s; a column for %s in the order in which they were written, %s. ", count(len(h.rows), "row", "rows"), column, count(h.messages, "message", "messages"))
	text += "High blocks are open to the thief, low ones closed; the upright line is the moment of the theft. The table of verdicts says the same in numbers."
	c.figure("heat", "What each theft opens", text, width, height, func() {
		for i := range h.rows {
			c.heatRow(&h, &r.Verdicts[i], h.rows[i], left, top+line*px(i), cell, line)
		}
		y := top + line*px(len(h.rows))
		for _, n := range marks(h.messages, int(cell*px(columns))/(8*len(strconv.Itoa(h.messages))+12)+1) {
			x := left + cell*(px((n-1)/h.per)+0.5)
			c.put(`<path class="grid" d="M%s %sv5"/><text class="small" text-anchor="middle" x="%s" y="%s">%d</text>`, x, y, x, y+18, n)
		}
		c.put(`<text class="small" x="4" y="%s">message</text><text class="small" x="4" y="14">theft</text>`+"\n", y+18)
	})
	c.legend()
}

// label is what stands before a row.
func label(v *lab.Verdict) string {
	if v.At == v.Who {
		return v.At
	}
	return v.At + ", " + v.Who
}

func (c *canvas) heatRow(h *heat, v *lab.Verdict, row []state, left, y, cell, line px) {
	looks := looks()
	c.put(`<g><title>%s, %s</title><text class="name" x="4" y="%s">%s</text></g>`, v.At, v.Who, y+line-6, short(label(v)))
	for i := 0; i < len(row); {
		j := i
		for j+1 < len(row) && row[j+1] == row[i] {
			j++
		}
		look := looks[row[i]]
		from, _ := h.span(i)
		_, to := h.span(j)
		high := (line - 4) * look.height
		gap := min(1, cell/8)
		c.put(`<rect class="%s" x="%s" y="%s" width="%s" height="%s"><title>%s: %s %s</title></rect>`,
			look.class, left+cell*px(i), y+2+(line-4-high)/2, cell*px(j-i+1)-gap, high, v.At, span(from, to), look.word)
		i = j + 1
	}
	x := left + cell*px(v.Sent)/px(h.per)
	c.put(`<path class="theft" d="M%s %sv%s"><title>%s: stolen when %d messages had been written</title></path>`+"\n", x, y, line, v.At, v.Sent)
}

func (c *canvas) legend() {
	c.put(`<ul class="legend">`)
	for _, l := range looks() {
		high := 14 * l.height
		c.put(`<li><svg role="img" width="18" height="14" viewBox="0 0 18 14" aria-label="%s"><title>%s</title><rect class="%s" x="0" y="%s" width="18" height="%s"/></svg> %s</li>`,
			l.word, l.word, l.class, (14-high)/2, high, l.word)
	}
	c.put(`<li><svg role="img" width="18" height="14" viewBox="0 0 18 14" aria-label="theft"><title>theft</title><path class="theft" d="M9 0v14"/></svg> the moment of the theft</li></ul>` + "\n")
}
