package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/lab"
)

// errLab: a scenario went otherwise than it expects, or the judges differ.
var errLab = errors.New("the scenario did not go as expected")

func (a *app) lab() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lab",
		Short:   "attack the protocol's own code and see what falls",
		GroupID: groupSetup,
		Long: `Plays scenarios in a small world on this machine in which the real protocol code does
all the work, devices are robbed, and two judges say of each message whether the thief
reads it: one by attacking with the real code, one by closing the graph of which key is
made from which. Nothing leaves this process, and no account is needed.`,
		Example: "  pawl lab list\n  pawl lab run state-theft\n  pawl lab plot state-theft -o theft.html\n  pawl lab show state-theft > mine.toml\n  pawl lab run ./mine.toml --json",
	}
	return a.noun(cmd, a.labRun(), a.labReplay(), a.labPlot(), a.labList(), a.labShow(), a.labVectors())
}

func (a *app) labRun() *cobra.Command {
	var seed int64
	var to target
	cmd := &cobra.Command{
		Use:   "run NAME|FILE",
		Short: "play a scenario and judge it",
		Long: `Plays a shipped scenario, by its name, or one of your own, by its file, and prints for
each theft which messages fell. A word with a slash or a dot is a file. The command fails
when something expected was not found, or when the two judges differ.`,
		Example: "  pawl lab run state-theft\n  pawl lab run ./mine.toml --seed 7 --json | jq .opened\n  pawl lab run clone --trace clone.trace",
		Args:    words(1, 1, "one NAME or FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			r, err := a.recorded(ctx, args[0], seed, to)
			if err != nil {
				return err
			}
			return a.labReport(r)
		}),
	}
	cmd.Flags().StringVar(&to.path, "trace", "", "`FILE` to write what happened into, for pawl lab replay")
	cmd.Flags().BoolVar(&to.force, "force", false, "replace a FILE that exists")
	cmd.Flags().Int64Var(&seed, "seed", 0, "`NUMBER` that decides what chance does (default the scenario's own)")
	return cmd
}

// scenario finds a scenario by its name or its file.
func scenario(word string) (*lab.Scenario, error) {
	b, err := lab.Source(word)
	if strings.ContainsAny(word, `/\.`) {
		b, err = readScenario(word)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("`pawl lab list` shows the shipped scenarios", "there is no file %s", clean(word))
		}
	} else if err != nil {
		return nil, usagef("`pawl lab list` shows them; a file is given with a slash or a dot, such as ./mine.toml", "no scenario is called %q", clean(word))
	}
	if err != nil {
		return nil, err
	}
	return lab.Parse(b)
}

// readScenario reads a file, and of a file that is too long only enough to see
// that.
func readScenario(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, lab.MaxScenario+1))
}

func (a *app) labList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "the scenarios that come with pawl",
		Example: "  pawl lab list\n  pawl lab list --json | jq -r .cites[]",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(context.Context, []string) error {
			for _, s := range lab.Shipped() {
				o := scenarioObject{head("scenario"), s.Name, s.Title, s.Cites}
				text := a.out.out().bold(plain, s.Name) + "\n" + indent(wrap(s.Title, 74))
				for _, c := range s.Cites {
					text += a.out.out().dim(indent(wrap(c, 74)))
				}
				if err := a.out.show(o, text); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func (a *app) labShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "print the file of a shipped scenario",
		Example: "  pawl lab show state-theft > mine.toml",
		Args:    words(1, 1, "one NAME"),
		RunE: a.run(func(_ context.Context, args []string) error {
			b, err := lab.Source(args[0])
			if err != nil {
				return usagef("`pawl lab list` shows them", "no scenario is called %q", clean(args[0]))
			}
			s, err := lab.Parse(b)
			if err != nil {
				return err
			}
			return a.out.show(scenarioObject{head("scenario"), s.Name, s.Title, s.Cites}, string(b))
		}),
	}
}

func indent(s string) string {
	var b strings.Builder
	for _, line := range splitLines(s) {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// scenarioObject is a shipped scenario.
type scenarioObject struct {
	header
	Name  string   `json:"name" doc:"what pawl lab run takes"`
	Title string   `json:"title" doc:"what it shows"`
	Cites []string `json:"cites" doc:"where the attack or failure was published"`
}

// verdictObject is what one theft means.
type verdictObject struct {
	header
	At                  string   `json:"at" doc:"name of the compromise in the scenario"`
	Who                 string   `json:"who" doc:"device whose state was copied, or for whom the relay stands in"`
	Opened              int      `json:"opened" doc:"how many messages of the run the thief reads"`
	Closed              int      `json:"closed" doc:"how many it does not"`
	OpenedMessages      string   `json:"opened_messages" doc:"the numbers of those it reads, as ranges: 3-7 9"`
	OpenedBefore        int      `json:"opened_before" doc:"of the opened, how many were written before the theft"`
	ReadBefore          int      `json:"read_before" doc:"of these, how many a reader had opened by then: what forward secrecy should have closed"`
	OldestSeconds       int64    `json:"oldest_seconds" doc:"age of the oldest opened message when the theft happened"`
	HealedAfterMessages *int     `json:"healed_after_messages" doc:"after how many messages of the victim's conversations the thief reads no more; null when that was not seen"`
	HealedAfterSeconds  *int64   `json:"healed_after_seconds" doc:"the same in time, on the clock of the world"`
	MACKeysPublic       int      `json:"mac_keys_public" doc:"messages written before the theft whose MAC keys anybody knew by then"`
	SigningKeysPublic   int      `json:"signing_keys_public" doc:"group messages written before the theft whose signing keys every member knew by then"`
	LogEntries          int      `json:"log_entries" doc:"entries of group logs that the thief reads"`
	Forges              []string `json:"forges" doc:"devices that in the end take what the thief seals for the victim's, in a session that was stolen; NAME in GROUP: with a chain that was stolen"`
	FooledBy            []string `json:"fooled_by" doc:"devices in whose name the victim in the end takes what the thief seals"`
	JudgesAgree         bool     `json:"judges_agree" doc:"the attack with the real code and the closure of the key graph say the same of every letter"`
}

// summaryObject ends a run.
type summaryObject struct {
	header
	Scenario      string           `json:"scenario" doc:"name of the scenario"`
	Seed          int64            `json:"seed" doc:"what decided what chance did"`
	Messages      int              `json:"messages" doc:"that people wrote"`
	Letters       int              `json:"letters" doc:"sealed copies on the wire"`
	Thefts        int              `json:"thefts" doc:"verdicts before this object"`
	Cells         int              `json:"cells" doc:"letters judged by both judges, over all thefts"`
	Opened        int              `json:"opened" doc:"letters that devices opened"`
	Unsent        int              `json:"unsent" doc:"messages not sent, because what the relay showed was refused"`
	Found         int              `json:"found" doc:"lies of the relay that somebody found out"`
	Accepted      int              `json:"accepted" doc:"letters of thieves that devices took"`
	MACKeysPublic int              `json:"mac_keys_public" doc:"messages whose MAC keys anybody knows in the end"`
	Refused       map[string]int   `json:"refused" doc:"letters and messages refused, by reason"`
	JudgesAgree   bool             `json:"judges_agree" doc:"on every letter under every theft"`
	Expected      []expectedObject `json:"expected" doc:"verdicts that the scenario expects"`
	Missed        []string         `json:"missed" doc:"what was expected and not found, in words"`
	Met           bool             `json:"met" doc:"everything expected was found, and the judges agree"`
}

// expectedObject is one expected verdict; what is absent is not held.
type expectedObject struct {
	At                  string  `json:"at" doc:"name of the compromise"`
	OpenedMessages      *string `json:"opened_messages,omitempty" doc:"as in the verdict"`
	HealedAfterMessages *int    `json:"healed_after_messages,omitempty" doc:"as in the verdict; -1: not seen"`
	ReadBefore          *int    `json:"read_before,omitempty" doc:"as in the verdict"`
}

func verdictOf(v lab.Verdict) verdictObject {
	o := verdictObject{
		header: head("verdict"), At: v.At, Who: v.Who, Opened: len(v.Opened), Closed: v.Closed, OpenedMessages: lab.Ranges(v.Opened),
		OpenedBefore: v.Before, ReadBefore: v.Read, OldestSeconds: int64(v.Oldest / time.Second), MACKeysPublic: v.Public, SigningKeysPublic: v.Signing, LogEntries: v.Entries,
		Forges: some(v.Forges), FooledBy: some(v.FooledBy), JudgesAgree: v.Agree,
	}
	if v.Healed >= 0 {
		seconds := int64(v.HealedIn / time.Second)
		o.HealedAfterMessages, o.HealedAfterSeconds = &v.Healed, &seconds
	}
	return o
}

// some is a list that prints as [] when it is empty.
func some(s []string) []string { return append([]string{}, s...) }

func summaryOf(r *lab.Report) summaryObject {
	o := summaryObject{
		header: head("summary"), Scenario: r.Scenario.Name, Seed: int64(r.Seed), Messages: r.Messages, Letters: r.Letters, Thefts: len(r.Verdicts),
		Cells: r.Cells, Opened: r.Delivered, Unsent: r.Unsent, Found: r.Found, Accepted: r.Accepted, MACKeysPublic: r.Public, Refused: r.Refused,
		JudgesAgree: true, Expected: []expectedObject{}, Missed: some(r.Missed), Met: r.Met,
	}
	for _, v := range r.Verdicts {
		o.JudgesAgree = o.JudgesAgree && v.Agree
	}
	for _, e := range r.Scenario.Expect {
		o.Expected = append(o.Expected, expectedObject{e.At, e.Opened, e.Healed, e.Read})
	}
	return o
}

// labReport prints what a run showed (R-LAB-14). Names come from the file.
func (a *app) labReport(r *lab.Report) error {
	if !a.out.json {
		if err := a.out.text(a.out.out().bold(plain, clean(r.Scenario.Name)) + "\n" + indent(wrap(clean(r.Scenario.Title), 74))); err != nil {
			return err
		}
	}
	for _, v := range r.Verdicts {
		if err := a.out.show(verdictOf(v), a.verdictText(v, r.Messages)); err != nil {
			return err
		}
	}
	if err := a.out.show(summaryOf(r), a.summaryText(r)); err != nil {
		return err
	}
	if !r.Met {
		return &failure{err: errLab, message: errLab.Error() + ": " + strings.Join(append(slices.Clip(r.Missed), differing(r)...), "; ")}
	}
	return nil
}

func differing(r *lab.Report) (out []string) {
	for _, v := range r.Verdicts {
		if !v.Agree {
			out = append(out, v.At+": the judges differ")
		}
	}
	return out
}

func (a *app) verdictText(v lab.Verdict, messages int) string {
	opened := "none of " + strconv.Itoa(messages) + " messages"
	if n := len(v.Opened); n > 0 {
		opened = fmt.Sprintf("%d of %d messages: %s", n, messages, lab.Ranges(v.Opened))
	}
	healed := "not seen"
	switch {
	case v.Healed == 0:
		healed = "at once"
	case v.Healed > 0:
		healed = fmt.Sprintf("after %d messages of the victim's conversations", v.Healed)
	}
	before := ""
	if v.Before > 0 {
		before = fmt.Sprintf("%d written before the theft, %d of them read by then; the oldest %s old", v.Before, v.Read, v.Oldest)
	}
	agree := ""
	if !v.Agree {
		agree = fmt.Sprintf("THEY DIFFER on messages %v", v.Differ)
	}
	var pairs [][2]string
	for _, p := range [][2]string{
		{"opens", opened}, {"before", before}, {"healed", healed}, {"writes to", strings.Join(v.Forges, ", ")},
		{"writes as", strings.Join(v.FooledBy, ", ")}, {"judges", agree},
	} {
		pairs = append(pairs, [2]string{p[0], clean(p[1])})
	}
	return "\n" + a.out.out().bold(plain, clean(v.At)) + ", " + clean(v.Who) + "\n" + fields("  ", pairs...)
}

func (a *app) summaryText(r *lab.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d messages in %d letters, %d opened; MAC keys of %d messages are public\n", r.Messages, r.Letters, r.Delivered, r.Public)
	if r.Found > 0 {
		fmt.Fprintf(&b, "%d lies of the relay were found out\n", r.Found)
	}
	var why []string
	for reason := range r.Refused {
		why = append(why, reason)
	}
	slices.Sort(why)
	for _, reason := range why {
		fmt.Fprintf(&b, "  %d refused: %s\n", r.Refused[reason], clean(reason))
	}
	if len(r.Verdicts) > 0 && len(differing(r)) == 0 {
		fmt.Fprintf(&b, "both judges agree on %d letters and thefts\n", r.Cells)
	}
	switch {
	case r.Met && len(r.Scenario.Expect) == 0 && r.Scenario.Outcome == nil:
		b.WriteString("nothing was expected\n")
	case r.Met:
		b.WriteString(a.out.out().bold(green, "as expected") + "\n")
	default:
		b.WriteString(a.out.out().bold(red, "NOT as expected") + "\n")
	}
	return b.String()
}
