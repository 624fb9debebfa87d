package cli

// Code is one row of the table of failures.
type Code struct {
	Code      string
	Exit      int
	Retryable bool
}

// Codes are all failures that pawl tells apart.
func Codes() []Code {
	codes := []Code{{"unexpected", exitUnexpected, false}, {"ambiguous", exitUsage, false}}
	for _, c := range classes() {
		codes = append(codes, Code{c.code, c.exit, c.retryable})
	}
	return codes
}
