// Bench runs the benchmarks that have a bar and prints, for each, the measured
// ratio beside it.
//
//	go run ./bench [-time 1s] [-count 3] [-markdown]
//
// Every benchmark computes its floor in the same run, so the ratios carry over
// between machines where absolute times do not. The median of count runs is
// printed. The exit code is 1 when a bar is missed.
//
// Not its concern: what is measured; that stands beside the code it measures.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// row is one line of the table: which metric of which benchmark is held
// against which bar.
type row struct {
	work    string
	pkg     string
	name    string // of the benchmark, as go test prints it without the processor count
	metric  string
	bar     float64
	atLeast bool    // the metric is a rate to reach, not a cost to stay under
	allocs  float64 // bar on allocations, 0 for none
}

var rows = []row{
	{work: "ratchet, seal, 100 B", pkg: "./ratchet", name: "OneWay/seal/100", metric: "xfloor", bar: 1.3, allocs: 6},
	{work: "ratchet, open, 100 B", pkg: "./ratchet", name: "OneWay/open/100", metric: "xfloor", bar: 1.3, allocs: 6},
	{work: "ratchet, seal, 16 KiB", pkg: "./ratchet", name: "OneWay/seal/16384", metric: "xfloor", bar: 1.3, allocs: 6},
	{work: "ratchet, open, 16 KiB", pkg: "./ratchet", name: "OneWay/open/16384", metric: "xfloor", bar: 1.3, allocs: 6},
	{work: "ratchet, ping-pong message, 100 B", pkg: "./ratchet", name: "PingPong", metric: "xfloor", bar: 1.15},
	{work: "ratchet, open after skipping 1 000", pkg: "./ratchet", name: "Skip", metric: "xfloor", bar: 1.3},
	{work: "ratchet, open in order while holding 1 000, against a normal open", pkg: "./ratchet", name: "Holding", metric: "xfloor", bar: 1.1},
	{work: "ratchet, state record at its usual largest, encode and decode, ns", pkg: "./ratchet", name: "Record/largest", metric: "ns/op", bar: 10000},
	{work: "ratchet, the post-quantum exchange on top of a message, both sides, ns", pkg: "./ratchet", name: "Carrying/in-turn", metric: "ns-on-top", bar: 15000},
	{work: "ratchet, messages each way until a quantum thief reads no more, text of 40 B", pkg: "./ratchet", name: "Healing/text=40/loss=0", metric: "messages/way", bar: 12},
	{work: "handshake, initiator, first message included", pkg: "./x3dh", name: "Initiator", metric: "xfloor", bar: 1.2},
	{work: "handshake, responder, first message included", pkg: "./x3dh", name: "Responder", metric: "xfloor", bar: 1.2},
	{work: "groups, seal, 100 B", pkg: "./groups", name: "Message/seal/100", metric: "xfloor", bar: 1.2},
	{work: "groups, open, 100 B", pkg: "./groups", name: "Message/open/100", metric: "xfloor", bar: 1.2},
	{work: "groups, open in order while holding 1 000, against a normal open", pkg: "./groups", name: "Holding", metric: "xnormal", bar: 1.1},
	{work: "groups, rekey of 10 devices, each against one pairwise seal", pkg: "./groups", name: "Rekey/10", metric: "xseal", bar: 1.3},
	{work: "groups, rekey of 100 devices, each against one pairwise seal", pkg: "./groups", name: "Rekey/100", metric: "xseal", bar: 1.3},
	{work: "groups, rekey of 1 000 devices, each against one pairwise seal", pkg: "./groups", name: "Rekey/1000", metric: "xseal", bar: 1.3},
	{work: "client, drain 10 000 messages", pkg: "./client", name: "Drain10000", metric: "xfloor", bar: 3},
	{work: "client, one durable send", pkg: "./client", name: "SendDurable", metric: "xfloor", bar: 2},
	{work: "client, one send to 4 devices with 3 own others", pkg: "./client", name: "FanOut", metric: "xfloor", bar: 1.3},
	{work: "client, drain 10 000 messages of 50 conversations, against one", pkg: "./client", name: "Conversations", metric: "xsingle", bar: 0.5, atLeast: true},
	{work: "client, rekey of a group of 100 devices, each device, against one durable send", pkg: "./client", name: "GroupRekey/devices=100", metric: "xsend", bar: 1.3},
	{work: "client, rekey of a group of 1 000 devices, each device, against one durable send", pkg: "./client", name: "GroupRekey/devices=1000", metric: "xsend", bar: 1.3},
	{work: "server, durable accepts of 64 senders, against SQLite's raw group commit", pkg: "./server", name: "Accept", metric: "xraw", bar: 0.6, atLeast: true},
	{work: "server, copies of a message to 1 000 devices, against plain durable accepts", pkg: "./server", name: "GroupSend", metric: "xaccept", bar: 0.5, atLeast: true},
}

func main() {
	each := flag.String("time", "1s", "how long each benchmark runs")
	count := flag.Int("count", 3, "how often each benchmark runs")
	markdown := flag.Bool("markdown", false, "print the table for the README")
	flag.Parse()
	if err := run(*each, *count, *markdown); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(each string, count int, markdown bool) error {
	results := map[string]map[string][]float64{}
	var pkgs []string
	for _, r := range rows {
		if !slices.Contains(pkgs, r.pkg) {
			pkgs = append(pkgs, r.pkg)
		}
	}
	for _, pkg := range pkgs {
		fmt.Fprintln(os.Stderr, "running", pkg)
		if err := measure(pkg, each, count, results); err != nil {
			return err
		}
	}
	missed := 0
	format, verdicts := "%-74s %8s %8s  %s\n", [2]string{"met", "MISSED"}
	if markdown {
		format = "| %s | %s | %s |%.0s\n"
		fmt.Printf("| work | bar | measured |\n|---|---|---|\n")
	}
	for _, r := range rows {
		got := results[r.pkg+" "+r.name]
		if len(got[r.metric]) == 0 {
			return fmt.Errorf("%s: %s was not measured", r.pkg, r.name)
		}
		value, bar, ok := median(got[r.metric]), "≤ "+number(r.bar), true
		if r.atLeast {
			bar, ok = "≥ "+number(r.bar), value >= r.bar
		} else {
			ok = value <= r.bar
		}
		shown := number(value)
		if r.allocs > 0 {
			n := median(got["allocs/op"])
			bar, shown, ok = bar+", "+number(r.allocs)+" allocs", shown+", "+number(n), ok && n <= r.allocs
		}
		verdict := verdicts[0]
		if !ok {
			verdict = verdicts[1]
			missed++
		}
		fmt.Printf(format, r.work, bar, shown, verdict)
	}
	if missed > 0 {
		return fmt.Errorf("%d bars were missed", missed)
	}
	return nil
}

var line = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// measure runs a package's benchmarks and collects their metrics.
func measure(pkg, each string, count int, into map[string]map[string][]float64) error {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", each, "-count", strconv.Itoa(count), pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", pkg, err, out)
	}
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		m := line.FindStringSubmatch(sc.Text())
		if m == nil {
			continue
		}
		key := pkg + " " + m[1]
		if into[key] == nil {
			into[key] = map[string][]float64{}
		}
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				into[key][fields[i+1]] = append(into[key][fields[i+1]], v)
			}
		}
	}
	return sc.Err()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func number(v float64) string {
	if v >= 100 || v == float64(int(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
