package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// output is where a command prints: data on standard output, the rest on
// standard error (R-CLI-01).
type output struct {
	env   *Env
	json  bool
	quiet bool
}

// object prints one object as one line of JSON and returns only when standard
// output has taken it.
func (o *output) object(v any) error { return writeData(o.env.Stdout, encodeLine(v)) }

// text prints data for people.
func (o *output) text(s string) error { return writeData(o.env.Stdout, []byte(s)) }

// show prints v under --json and s otherwise.
func (o *output) show(v any, s string) error {
	if o.json {
		return o.object(v)
	}
	return o.text(s)
}

func writeData(w io.Writer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errStdout, err)
	}
	return nil
}

// encodeLine is the only way an object becomes JSON here.
func encodeLine(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("cli: an output object cannot be encoded: " + err.Error()) // plain structs of strings and numbers
	}
	return escapeJSON(b.Bytes())
}

// note says something on standard error that --quiet may silence.
func (o *output) note(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(o.env.Stderr, "pawl: "+format+"\n", args...)
	}
}

// warn says something on standard error that must be seen. Under --json the
// caller prints an event object instead where there is one.
func (o *output) warn(format string, args ...any) {
	fmt.Fprintf(o.env.Stderr, "pawl: %s "+format+"\n", append([]any{o.err().bold(yellow, "warning:")}, args...)...)
}

// fail prints an error for people or for programs (R-CLI-03).
func (o *output) fail(e errorObject) {
	if o.json {
		o.env.Stderr.Write(encodeLine(e))
		return
	}
	fmt.Fprintf(o.env.Stderr, "pawl: %s %s\n", o.err().bold(red, "error:"), clean(e.Message))
	for i, c := range e.Candidates {
		fmt.Fprintf(o.env.Stderr, "  %d  %s\n", i+1, clean(c))
	}
	if e.Hint != "" {
		fmt.Fprintf(o.env.Stderr, "pawl: %s %s\n", o.err().bold(cyan, "hint:"), clean(e.Hint))
	}
}

func (o *output) out() ink { return ink(o.env.colour(o.env.StdoutTerminal)) }
func (o *output) err() ink { return ink(o.env.colour(o.env.StderrTerminal)) }

// colour decides for one stream (R-CLI-07): NO_COLOR forbids, CLICOLOR_FORCE
// demands, else a terminal that is not dumb.
func (e *Env) colour(terminal func() bool) bool {
	switch force := e.Getenv("CLICOLOR_FORCE"); {
	case e.isSet("NO_COLOR"):
		return false
	case force != "" && force != "0":
		return true
	case e.Getenv("TERM") == "dumb":
		return false
	}
	return terminal()
}

// ink colours words or leaves them. What it marks is also said in words.
type ink bool

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	plain  = ""
)

func (k ink) bold(colour, s string) string {
	if colour != plain {
		colour = ";" + colour
	}
	return k.wrap("1"+colour, s)
}

func (k ink) dim(s string) string { return k.wrap("2", s) }

func (k ink) wrap(code, s string) string {
	if !k || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// fields lays out name and value pairs under each other, values aligned.
func fields(indent string, pairs ...[2]string) string {
	longest := 0
	for _, p := range pairs {
		longest = max(longest, columns(p[0]))
	}
	var b strings.Builder
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(&b, "%s%s%s  %s\n", indent, p[0], strings.Repeat(" ", longest-columns(p[0])), p[1])
		}
	}
	return b.String()
}
