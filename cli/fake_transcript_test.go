package cli_test

import (
	"context"
	"time"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/transcript"
)

func (f *fake) Record(_ context.Context, with string, on bool) (client.Recording, error) {
	r := client.Recording{Conversation: with}
	if on {
		r.Since = noon
	}
	return r, f.fail["Record"]
}

func (f *fake) Recordings(context.Context) ([]client.Recording, error) {
	return []client.Recording{{Conversation: "bob@localhost", Since: noon, Messages: 3, Bytes: 1200}}, f.fail["Recordings"]
}

func (f *fake) PublicKeys(_ context.Context, who string) (transcript.Party, error) {
	n := who[0]
	key := dh.FromBytes([32]byte{n, 1})
	return transcript.Party{Account: [32]byte{n}, Address: who, Devices: []transcript.Device{{ID: uint64(n), Identity: key.Public().Array()}}}, f.fail["PublicKeys"]
}

func (f *fake) Transcript(ctx context.Context, with string) (*transcript.Transcript, error) {
	if err := f.fail["Transcript"]; err != nil {
		return nil, err
	}
	alice, _ := f.PublicKeys(ctx, "alice@localhost")
	bob, _ := f.PublicKeys(ctx, "bob@localhost")
	var lines []transcript.Line
	for i, text := range []string{"one", "two", "three", "four"} {
		lines = append(lines, transcript.Line{From: []string{alice.Address, bob.Address}[i%2], Text: text, At: noon.Add(time.Duration(i) * time.Minute)})
	}
	return transcript.Forge(alice, bob, lines)
}

func (f *fake) Proof(_ context.Context, id string) ([]byte, error) {
	if err := f.fail["Proof"]; err != nil {
		return nil, err
	}
	return nil, client.ErrNotSigned
}

func (f *fake) EditHistory(context.Context, client.HistoryEdit) (client.Message, error) {
	return greeting(1, "edited"), f.fail["EditHistory"]
}
