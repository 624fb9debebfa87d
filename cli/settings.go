package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/client"
)

// settingsObject is what the person has chosen for this device.
type settingsObject struct {
	header
	ReadReceipts bool `json:"read_receipts" doc:"senders are told what was read here"`
}

func settingsOf(s client.Settings) settingsObject {
	return settingsObject{head("settings"), s.ReadReceipts}
}

func (a *app) settings() *cobra.Command {
	return &cobra.Command{
		Use:     "settings [read-receipts on|off]",
		Short:   "show or change what this device does",
		GroupID: groupSetup,
		Long: `Shows the settings of this home, or changes one.

read-receipts: whether senders are told that their messages were read. That a message has
reached this device is always told, to people you have written to.`,
		Example:   "  pawl settings\n  pawl settings read-receipts off",
		ValidArgs: []string{"read-receipts"},
		Args:      words(0, 2, "a setting and its value"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if len(args) > 0 && args[0] != "read-receipts" {
				return usagef("the settings are read-receipts", "there is no setting %q", clean(args[0]))
			}
			if len(args) > 0 && (len(args) != 2 || args[1] != "on" && args[1] != "off") {
				return usagef("", "read-receipts takes on or off")
			}
			return a.with(ctx, func(api client.API) error {
				s, err := api.Settings(ctx)
				if err == nil && len(args) == 2 {
					s.ReadReceipts = args[1] == "on"
					err = api.SetSettings(ctx, s)
				}
				if err != nil {
					return err
				}
				return a.out.show(settingsOf(s), fields("", [2]string{"read-receipts", onOff(s.ReadReceipts)}))
			})
		}),
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
