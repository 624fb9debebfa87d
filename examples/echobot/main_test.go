package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/server/memstore"
)

// TestEcho runs the bot against a server inside this process.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	store := memstore.New()
	s, err := server.New(server.Config{
		Stores: server.Stores{Directory: store, Mailbox: store, Wake: store}, Listen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.Serve(serving) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	invite, err := s.Invite(ctx, server.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	join := func(name string) client.API {
		dir := t.TempDir()
		c, err := client.Register(ctx, client.Config{
			Home: filepath.Join(dir, name), Unlock: client.Unlock{KeyFile: filepath.Join(dir, "key")},
		}, client.RegisterRequest{Name: name, Invite: invite})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bot, alice := join("bot"), join("alice")
	defer alice.Close()
	echoing, quiet := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- echo(echoing, bot) }()
	defer func() {
		quiet()
		if err := <-done; err != nil {
			t.Error(err)
		}
		bot.Close()
	}()
	sent, err := alice.Send(ctx, "bot", "is anybody there?", client.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range alice.Follow(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		if m.Text != "is anybody there?" || m.ReplyTo != sent.ID {
			t.Fatalf("the bot answered %q to %q", m.Text, m.ReplyTo)
		}
		return
	}
}
