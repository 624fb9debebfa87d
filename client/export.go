package client

import (
	"context"
	"errors"
	"iter"

	"github.com/pawl-chat/pawl/internal/vault"
)

// exportQuery asks for the messages after an order, of one conversation or,
// when With is empty, of all.
type exportQuery struct {
	With  string
	After int64
	Count bool // only the number
}

type exportPage struct {
	Messages []Message
	Last     int64 // order of the last message looked at
	More     bool
	Total    int
}

var callExport = method[exportQuery, exportPage]{"export", func(ctx context.Context, e *engine, q exportQuery) (exportPage, error) {
	return e.Export(ctx, q)
}}

// Export returns one page of Export, oldest first (R-EXP-01).
func (e *engine) Export(ctx context.Context, q exportQuery) (page exportPage, err error) {
	if err := e.expire(ctx); err != nil { // R-CLT-22
		return page, err
	}
	with := q.With
	if with != "" {
		if with, err = e.conversation(ctx, with); err != nil {
			return page, err
		}
	}
	err = e.view(ctx, func(tx *vault.Tx) error {
		var group []byte
		if with != "" {
			group = []byte(with)
		}
		if page.Total, err = tx.Count(tableMessage, group); err != nil || q.Count {
			if page.Total == 0 && err == nil && with != "" && with != e.self.record.Address && !isGroupWord(with) {
				if p, err := e.readPerson(tx, with); err != nil || p == nil {
					return errors.Join(err, ErrUnknownRecipient)
				}
			}
			return err
		}
		size := 0
		err := scanMessages(tx, with, q.After+1, lastOrder, 0, false, func(m *messageRecord) error {
			page.Messages, page.Last = append(page.Messages, m.message()), m.order
			if size += m.weight(); size > pageBytes {
				page.More = true
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	})
	return page, err
}

// Export implements API.
func (c *Client) Export(ctx context.Context, with string) (int, iter.Seq2[Message, error], error) {
	first, err := run(ctx, c, callExport, exportQuery{With: with, Count: true})
	if err != nil {
		return 0, nil, err
	}
	return first.Total, func(yield func(Message, error) bool) {
		after := int64(firstOrder)
		for {
			page, err := run(ctx, c, callExport, exportQuery{With: with, After: after})
			if err != nil {
				yield(Message{}, err)
				return
			}
			for _, m := range page.Messages {
				if !yield(m, nil) {
					return
				}
			}
			if !page.More {
				return
			}
			after = page.Last
		}
	}, nil
}
