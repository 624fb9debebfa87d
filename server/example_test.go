package server_test

import (
	"context"
	"fmt"

	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// A server in memory, as tests of programs that use pawl want it. For one that
// keeps what it is told, use package sqlitestore and set Dir.
func Example() {
	store := memstore.New()
	defer store.Close()
	s, err := server.New(server.Config{
		Stores: server.Stores{Directory: store, Mailbox: store, Wake: store},
		Listen: "127.0.0.1:0",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	invite, err := s.Invite(ctx, server.InviteOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(invite[:len("pawl://127.0.0.1:")]) // hand it to people

	stop() // in a program: on an interrupt
	fmt.Println(s.Serve(ctx))
	// Output:
	// pawl://127.0.0.1:
	// <nil>
}
