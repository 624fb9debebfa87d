package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

const (
	// recoveryWords is how many words are on the paper.
	recoveryWords = 24
	// maxWordsInput bounds what is read of standard input for them.
	maxWordsInput = 4096
)

// showWords prints what belongs on the paper.
func (a *app) showWords(ctx context.Context, api client.API) error {
	var r client.RecoveryWords
	err := a.unlocked(ctx, api, func(api client.API) (err error) {
		r, err = api.RecoveryWords(ctx)
		return err
	})
	if err != nil {
		return err
	}
	a.out.warn("whoever reads these words has the account; write them on paper, and let no file or screenshot keep them")
	return a.out.show(recoveryWordsObject{head("recovery_words"), r.Address, r.Pin, r.Words}, a.paper(r))
}

// paper lays the words out in four columns, counted down each column.
func (a *app) paper(r client.RecoveryWords) string {
	restore := "pawl account recovery restore --words " + clean(r.Address)
	if r.Pin != "" {
		restore += " --pin " + clean(r.Pin)
	}
	const rows = recoveryWords / 4
	text := fields("", [2]string{"account", clean(r.Address)}, [2]string{"pin", clean(r.Pin)}) + "\n"
	for row := range rows {
		line := ""
		for i := row; i < len(r.Words); i += rows {
			line += pad(fmt.Sprintf("%4d  %s", i+1, clean(r.Words[i])), 18)
		}
		text += strings.TrimRight(line, " ") + "\n"
	}
	return text + "\n" + restore + "\n"
}

// restoreWords takes the account back with what is on the paper.
func (a *app) restoreWords(ctx context.Context, req client.WordsRequest) error {
	home, err := a.homeDir()
	if err != nil {
		return err
	}
	if req.Words, err = a.askWords(ctx); err != nil {
		return err
	}
	unlock, undo, err := a.unlockNew(ctx, home)
	if err != nil {
		return err
	}
	api, err := a.env.Engine.RestoreWords(ctx, client.Config{Home: home, Unlock: unlock, Log: a.log(), Now: a.env.Now}, req)
	if err != nil {
		undo()
		return err
	}
	defer api.Close()
	account := api.Account()
	if err := a.out.show(accountOf(account), a.accountText(account)); err != nil {
		return err
	}
	a.warnKeyFile(home, unlock)
	return nil
}

// askWords reads the words from a terminal or from standard input (R-CLI-18).
func (a *app) askWords(ctx context.Context) (string, error) {
	if !a.env.StdinTerminal() {
		b, err := io.ReadAll(io.LimitReader(a.env.Stdin, maxWordsInput))
		if err != nil {
			return "", fmt.Errorf("standard input cannot be read: %w", err)
		}
		if strings.TrimSpace(string(b)) == "" {
			return "", usagef("pipe them in, or run it on a terminal", "there are no words on standard input")
		}
		return string(b), nil
	}
	a.out.note("write the %d words, on one line or several; the first four letters of each are enough", recoveryWords)
	var all []string
	for len(all) < recoveryWords {
		line, err := a.env.ReadLine(ctx, fmt.Sprintf("word %d: ", len(all)+1))
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		for word := range strings.FieldsSeq(line) {
			if strings.Trim(word, "0123456789.):") != "" {
				all = append(all, word)
			}
		}
		if err != nil {
			break
		}
	}
	return strings.Join(all, " "), nil
}
