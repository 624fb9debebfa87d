package cli_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pawl-chat/pawl/cli"
)

// home is the directory of this package, wherever a test has gone.
var home, _ = os.Getwd()

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pawl":     func() { os.Exit(cli.Main(os.Args[1:])) },
		"fakepawl": func() { os.Exit(fakeMain()) },
	})
}

// TestScripts runs testdata/*.txt against the program, mostly with the fake
// engine behind it. testdata/receipts.txt waits for receipts (R-CLI-14) and
// testdata/lines.txt does for lines (R-CLI-17); testdata/transcript.txt makes
// and checks transcripts (R-CLI-40, R-CLI-41); testdata/proof.txt signs and proves
// (R-CLI-42, R-TRN-24), testdata/edit.txt edits (R-CLI-43).
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PAWL_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TERM", "dumb")
			e.Values[procsKey{}] = map[string]*proc{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"objects": objects,
			"sh":      shell,
			"server":  startServer,
			"begin":   begin,
			"line":    nextLine,
			"quit":    quit,
			"ended":   ended,
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

type procsKey struct{}

// proc is a program that runs beside the script.
type proc struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func start(ts *testscript.TestScript, name string, args ...string) *proc {
	cmd := exec.Command(lookup(ts, args[0]), args[1:]...)
	cmd.Stderr, cmd.Dir, cmd.Env = os.Stderr, ts.MkAbs("."), environ(ts)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { cmd.Process.Kill() })
	p := &proc{cmd, bufio.NewReader(out)}
	ts.Value(procsKey{}).(map[string]*proc)[name] = p
	return p
}

func lookup(ts *testscript.TestScript, name string) string {
	path, err := exec.LookPath(name) // testscript put it there
	ts.Check(err)
	return path
}

func environ(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{"PAWL_HOME", "PAWL_PASSPHRASE_FILE", "HOME", "TERM"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// server NAME FLAG… starts pawl serve with its data in NAME and waits until it
// is ready. LISTEN and INVITE say where it is.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || neg {
		ts.Fatalf("usage: server NAME FLAG…")
	}
	p := start(ts, args[0], append([]string{"pawl", "serve", "--json", "--data", ts.MkAbs(args[0])}, args[1:]...)...)
	line, err := p.out.ReadBytes('\n')
	ts.Check(err)
	ts.Check(cli.CheckObject("server", line))
	var ready struct{ Listen, Invite string }
	ts.Check(json.Unmarshal(line, &ready))
	ts.Setenv("LISTEN", ready.Listen)
	ts.Setenv("INVITE", ready.Invite)
}

// begin NAME COMMAND… starts a command beside the script.
func begin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: begin NAME COMMAND…")
	}
	start(ts, args[0], args[1:]...)
}

// line NAME TYPE WORDS [FIELD VARIABLE] waits for the next line of a running
// command, and holds that it is an object of that type with those words in it.
// The value of a field of text may become a variable of the script.
func nextLine(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 && len(args) != 5 || neg {
		ts.Fatalf("usage: line NAME TYPE WORDS [FIELD VARIABLE]")
	}
	line, err := ts.Value(procsKey{}).(map[string]*proc)[args[0]].out.ReadBytes('\n')
	ts.Check(err)
	ts.Check(cli.CheckObject(args[1], line))
	if !strings.Contains(string(line), args[2]) {
		ts.Fatalf("%s: no %q in %s", args[0], args[2], line)
	}
	if len(args) == 5 {
		var fields map[string]any
		ts.Check(json.Unmarshal(line, &fields))
		value, ok := fields[args[3]].(string)
		if !ok || value == "" {
			ts.Fatalf("%s: no text %s in %s", args[0], args[3], line)
		}
		ts.Setenv(args[4], value)
	}
}

// ended NAME CODE waits for a command to end and holds its exit code.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: ended NAME CODE")
	}
	p := ts.Value(procsKey{}).(map[string]*proc)[args[0]]
	p.cmd.Wait()
	if code := jsonNumber(p.cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s ended with %s, want %s", args[0], code, args[1])
	}
}

// quit NAME CODE [SIGNAL] ends a command by SIGTERM, INT or KILL and holds its
// exit code; -1 is death by signal.
func quit(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: quit NAME CODE [SIGNAL]")
	}
	p := ts.Value(procsKey{}).(map[string]*proc)[args[0]]
	signal := os.Signal(syscall.SIGTERM)
	if len(args) > 2 {
		signal = map[string]os.Signal{"INT": os.Interrupt, "KILL": os.Kill}[args[2]]
	}
	if err := p.cmd.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) { // it may just have ended
		ts.Check(err)
	}
	p.cmd.Wait()
	if code := jsonNumber(p.cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s ended with %s, want %s", args[0], code, args[1])
	}
}
