package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
)

func (a *app) serve() *cobra.Command {
	cfg := ServeConfig{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "run a server",
		GroupID: groupSetup,
		Long: `Runs the relay: it keeps sealed messages until the recipient fetches them and cannot
read them. It prints one line when it is ready, with an invite link that is good for 24
hours and many people, and runs until SIGINT or SIGTERM.

Without --cert or --acme it makes its own TLS key on the first start; the invite link
carries that key's fingerprint, so nobody can stand in between.

When its directory was restored from a backup or snapshot, start it once with --restored:
devices have moved on since the copy was made, and would be refused as rolled back. It
also voids one-time keys that were handed out since.`,
		Example: `  pawl serve
  pawl serve --data ./server --listen 127.0.0.1:0 --json
  pawl serve --listen :7295 --host chat.example.org
  pawl serve --listen :443 --acme chat.example.org --registration invite
  pawl serve --data ./server --restored`,
		Args: words(0, 0, "no words"),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.runServer(ctx, cfg) }),
	}
	cmd.Flags().StringVar(&cfg.Data, "data", "", "`DIR` of the server's database and keys (default: pawl-server in the XDG data directory)")
	cmd.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:7295", "address and port `ADDR` to answer on; port 0 picks a free one")
	cmd.Flags().StringVar(&cfg.Host, "host", "", "`NAME` by which people reach this server (default: from --listen)")
	cmd.Flags().StringVar(&cfg.CertFile, "cert", "", "TLS certificate chain in a PEM `FILE`")
	cmd.Flags().StringVar(&cfg.KeyFile, "key", "", "TLS private key in a PEM `FILE`")
	cmd.Flags().StringVar(&cfg.ACME, "acme", "", "`HOST` name to fetch a certificate for by ACME")
	cmd.Flags().BoolVar(&cfg.Restored, "restored", false, "the directory was restored from a copy; give it once")
	cmd.Flags().StringVar(&cfg.Registration, "registration", "invite", "`WHO` may register: invite, open or closed")
	cmd.RegisterFlagCompletionFunc("registration", cobra.FixedCompletions([]string{"invite", "open", "closed"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) runServer(ctx context.Context, cfg ServeConfig) error {
	if err := oneOf("registration", cfg.Registration, "invite", "open", "closed"); err != nil {
		return err
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return usagef("give both files, or neither for a key of its own", "--cert and --key belong together")
	}
	if cfg.CertFile != "" && cfg.ACME != "" {
		return usagef("", "--cert and --acme exclude each other")
	}
	var err error
	if cfg.Data == "" {
		if cfg.Data, err = a.dataDir("pawl-server"); err != nil {
			return err
		}
	}
	if cfg.Data, err = filepath.Abs(cfg.Data); err != nil {
		return err
	}
	cfg.Log = a.log()
	server, err := a.env.Engine.Serve(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	err = a.announce(ctx, server)
	if err != nil {
		stop()
		<-served
		return err
	}
	// A server that is told to end has done its work: exit code 0.
	return <-served
}

// announce prints the one line that says the server is ready (R-CLI-13).
func (a *app) announce(ctx context.Context, server Server) error {
	invite, err := server.Invite(ctx)
	if err != nil {
		return err
	}
	text := "listening on " + server.Addr()
	if invite != "" {
		text += ", invite " + invite
	}
	return a.out.show(serverObject{head("server"), server.Addr(), invite}, fmt.Sprintln(text))
}
