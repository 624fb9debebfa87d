package cli_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// A command that does nothing must start at once, so no package may do heavy
// work before main. What it allocates then is the measure: it is the same on a
// slow machine.
func TestStartsLight(t *testing.T) {
	path, err := exec.LookPath("pawl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	total, packages := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes`).FindAllStringSubmatch(string(out), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		total += n
		packages++
		if n > 256<<10 {
			t.Errorf("package %s allocates %d bytes before main", m[1], n)
		}
	}
	if packages < 10 || total > 1<<20 {
		t.Errorf("%d packages allocate %d bytes before main, want at most 1 MiB", packages, total)
	}
}
