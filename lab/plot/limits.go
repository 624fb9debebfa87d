package plot

// What keeps a drawing small enough to look at (R-LAB-23; spec/limits.md).
const (
	// MaxColumns is how many columns a heat map has; a column stands for several
	// messages when there are more.
	MaxColumns = 1000
	// MaxRuns is how many runs of like cells all rows of a heat map have together.
	MaxRuns = 12_000
	// MaxArrows is how many arrows a sequence diagram has.
	MaxArrows = 600
	// MaxSessions is how many sessions have a ratchet timeline.
	MaxSessions = 24
	// MaxBars is how many chains a timeline draws one by one.
	MaxBars = 1500
	// MaxRanges is how many characters of ranges a cell of the table has.
	MaxRanges = 400
	// MaxName is how many characters of a name are drawn.
	MaxName = 28
)
