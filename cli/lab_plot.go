package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/lab"
	"github.com/pawl-chat/pawl/lab/plot"
)

func (a *app) labPlot() *cobra.Command {
	var seed int64
	var to target
	cmd := &cobra.Command{
		Use:   "plot NAME|FILE|TRACE -o OUT",
		Short: "draw a run: what each theft opens, how the ratchets turned",
		Long: `Plays a scenario, or reads a trace, and writes what it showed as one HTML file:
the verdicts, a map of theft and message, the chains of each session, and the letters on
the wire. The file has no script, fetches nothing, and is readable in light and dark and
without seeing it.`,
		Example: "  pawl lab plot state-theft -o state-theft.html\n  pawl lab plot ./mine.toml --seed 7 -o mine.html --force",
		Args:    words(1, 1, "one NAME, FILE or TRACE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if to.path == "" {
				return usagef("", "name the file to write with --output")
			}
			var r *lab.Report
			var page []byte
			err := to.write(ctx, func(w io.Writer) (err error) {
				if r, err = a.shown(ctx, args[0], seed); err == nil {
					page = plot.HTML(r)
					_, err = w.Write(page)
				}
				return err
			})
			if err != nil {
				return err
			}
			o := plotObject{head("plot"), to.path, int64(len(page)), r.Scenario.Name, r.Messages, len(r.Verdicts), r.Met}
			return a.out.show(o, fmt.Sprintf("%s: %s and %s drawn, %d bytes\n", clean(to.path), number(r.Messages, "message"), number(len(r.Verdicts), "theft"), len(page)))
		}),
	}
	cmd.Flags().Int64Var(&seed, "seed", 0, "`NUMBER` that decides what chance does (default the scenario's own)")
	cmd.Flags().StringVarP(&to.path, "output", "o", "", "`FILE` to write")
	cmd.Flags().BoolVar(&to.force, "force", false, "replace a FILE that exists")
	return cmd
}

// number is how many things there are, of those whose plural ends in s.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// plotObject is a drawing that was written.
type plotObject struct {
	header
	File     string `json:"file" doc:"the file written"`
	Bytes    int64  `json:"bytes" doc:"its length"`
	Scenario string `json:"scenario" doc:"name of the scenario drawn"`
	Messages int    `json:"messages" doc:"that people wrote in it"`
	Thefts   int    `json:"thefts" doc:"rows of the map"`
	Met      bool   `json:"met" doc:"everything expected was found, and the judges agree"`
}
