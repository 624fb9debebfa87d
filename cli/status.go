package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "show the account and its connection",
		GroupID: groupSetup,
		Long:    "Shows the account of this home, its connection, what waits in both directions, and\nanything that needs attention. Works without the server.",
		Example: "  pawl status\n  pawl status --json | jq .outbox",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				s, err := api.Status(ctx)
				if err != nil {
					return err
				}
				return a.out.show(statusOf(s), a.statusText(s))
			})
		}),
	}
}

func (a *app) statusText(s client.StatusReport) string {
	connection := "connected"
	if !s.Connected {
		connection = "not connected"
		if s.LastError != "" {
			connection += ": " + clean(s.LastError)
		}
	}
	clock := ""
	if off := s.ClockOffset.Round(time.Second); off != 0 {
		clock = "this clock is " + off.Abs().String() + map[bool]string{true: " behind", false: " ahead of"}[off > 0] + " the server's"
	}
	held := ""
	if s.Role != "owner" {
		held = "process " + strconv.Itoa(s.OwnerPID)
	}
	text := a.out.out().bold(plain, clean(s.Account.Address)) + "\n" + fields("  ", append(a.accountFields(s.Account, connection),
		[2]string{"last reached", a.when(s.LastContact)},
		[2]string{"clock", clock},
		[2]string{"held by", held},
		[2]string{"waiting", fmt.Sprintf("%d to leave, %d to read", s.Outbox, s.Undelivered)},
		[2]string{"prekeys", fmt.Sprintf("%d one-time at the server, signed one of %s", s.OneTimeLeft, a.when(s.SignedPrekey))},
		[2]string{"history", historyText(s.History)},
		[2]string{"sessions", fmt.Sprintf("%d, %d skipped keys", s.Sessions, s.SkippedKeys)},
	)...)
	for _, w := range s.Warnings {
		text += "  " + a.out.out().bold(yellow, "warning:") + " " + clean(w) + "\n"
	}
	return text
}

// historyText says how far the copy of an older device's history has come.
func historyText(h client.HistoryProgress) string {
	switch {
	case !h.Offered:
		return ""
	case h.Done:
		return "complete: " + count(h.Messages, "message") + " from another device"
	case h.Total == 0:
		return count(h.Messages, "message") + " from another device so far; `pawl device history` fetches the rest"
	}
	return fmt.Sprintf("%d of about %s from another device; `pawl device history` fetches the rest", h.Messages, count(h.Total, "message"))
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		GroupID: groupSetup,
		Example: "  pawl version\n  pawl version --json",
		Args:    words(0, 0, "no words"),
		RunE: a.run(func(context.Context, []string) error {
			v := thisVersion()
			text := "pawl " + v.Version
			if v.Commit != "" {
				text += " (" + v.Commit + ")"
			}
			return a.out.show(v, fmt.Sprintf("%s %s %s/%s\n", text, v.Go, v.OS, v.Arch))
		}),
	}
}

// thisVersion reads what the Go toolchain wrote into the program.
func thisVersion() versionObject {
	v := versionObject{header: head("version"), Version: "development", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
