package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pawl-chat/pawl/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pawl":     func() { os.Exit(cli.Main(os.Args[1:])) },
		"fakepawl": func() { os.Exit(fakeMain()) },
	})
}

// TestScripts runs testdata/*.txt against the program, mostly with the fake
// engine behind it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PAWL_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TERM", "dumb")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"objects": objects,
			"sh":      shell,
		},
	})
}

// exits CODE COMMAND… runs a command and holds its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		code = jsonNumber(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

func jsonNumber(n int) string { b, _ := json.Marshal(n); return string(b) }

// objects STREAM TYPE… holds that the stream is one object a line, of these
// types in this order, each valid by its schema.
func objects(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || neg {
		ts.Fatalf("usage: objects stdout|stderr|FILE TYPE…")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	var lines []string
	if text != "" {
		lines = strings.Split(text, "\n")
	}
	if len(lines) != len(args)-1 {
		ts.Fatalf("%d lines, want %d objects", len(lines), len(args)-1)
	}
	for i, line := range lines {
		if err := cli.CheckObject(args[i+1], []byte(line)); err != nil {
			ts.Fatalf("line %d: %v", i+1, err)
		}
	}
}

// shell runs a line of shell, for pipes.
func shell(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("sh", append([]string{"-c"}, strings.Join(args, " "))...)
	if (err != nil) != neg {
		ts.Fatalf("unexpected end: %v", err)
	}
}
