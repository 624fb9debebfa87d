package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) demo() *cobra.Command {
	return &cobra.Command{Use: "demo", GroupID: groupSetup, RunE: a.run(func(context.Context, []string) error { return nil })}
}
