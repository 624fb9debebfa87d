package cli_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// R-CLI-50, R-CLI-51: what the status says, and what a drill says that finds nothing of it.
func TestR_CLI_50_SecurityScreens(t *testing.T) {
	var all bytes.Buffer
	for _, args := range [][]string{
		{"security", "status"}, {"security", "status", "bob"}, {"security", "drill"}, {"security", "drill", "bob", "more"}, {"security"},
	} {
		for _, args := range [][]string{args, append(args, "--json")} {
			x := world(t)
			code := x.run(args...)
			fmt.Fprintf(&all, "$ pawl %s\n%s", strings.Join(args, " "), x.stdout.String())
			for line := range strings.Lines(x.stderr.String()) {
				fmt.Fprintf(&all, "! %s", line)
			}
			fmt.Fprintf(&all, "= %d\n\n", code)
		}
	}
	golden(t, "testdata/security.golden", all.Bytes())
}
