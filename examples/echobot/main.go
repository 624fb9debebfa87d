// Echobot answers every message with its own text.
//
//	echobot HOME KEYFILE
//
// opens the account in HOME, which "pawl --home HOME --key-file KEYFILE
// register NAME --invite LINK" has made.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/pawl-chat/pawl/client"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: echobot HOME KEYFILE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bot, err := client.Open(ctx, client.Config{Home: os.Args[1], Unlock: client.Unlock{KeyFile: os.Args[2]}})
	if err != nil {
		log.Fatal(err)
	}
	defer bot.Close()
	if err := echo(ctx, bot); err != nil {
		log.Print(err)
	}
}

// echo is the bot: each message is acknowledged once it has been answered.
func echo(ctx context.Context, bot client.API) error {
	for m, err := range bot.Follow(ctx, "echo") {
		if err != nil {
			return err
		}
		if m.Kind != client.KindText {
			continue
		}
		if _, err := bot.Send(ctx, m.From, m.Text, client.SendOptions{ReplyTo: m.ID, NoWait: true}); err != nil {
			return err
		}
	}
	return nil
}
