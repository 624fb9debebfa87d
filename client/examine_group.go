package client

import (
	"errors"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
)

// tryChains opens a message to a group with every sender key in a home: those of
// other devices, and the home's own, with which a thief follows what the owner
// goes on to say.
func (w *work) tryChains(env content.Envelope) ([]byte, error) {
	wire, err := groups.ParseMessage(env.Message)
	if err != nil {
		return nil, &wrapped{ErrStaysClosed, err}
	}
	c, err := w.chain(wire.Chain)
	if err != nil {
		return nil, err
	}
	if c != nil {
		opened, err := c.state.Open(env.Message, w.e.now())
		return opened.Plaintext, err
	}
	own, err := w.ownChains()
	if err != nil {
		return nil, err
	}
	for _, chain := range own {
		if chain.ID() != wire.Chain {
			continue
		}
		ahead, err := groups.Accept(chain.Key(), w.e.groupSender())
		if err != nil {
			return nil, err
		}
		opened, err := ahead.Open(env.Message, w.e.now())
		return opened.Plaintext, err
	}
	return nil, ErrStaysClosed
}

// ownChains are the sender keys of the home itself, those among them that were
// made for a change which has not come.
func (w *work) ownChains() (list []groups.Sending, err error) {
	err = eachGroup(w.tx, func(r *groupRecord) error {
		records := [][]byte{r.Sending}
		if r.Pending != nil {
			records = append(records, r.Pending.Sending)
		}
		for _, b := range records {
			if len(b) == 0 {
				continue
			}
			s, err := groups.ParseSending(b)
			if err != nil {
				return errors.Join(ErrStoreDamaged, err)
			}
			list = append(list, s)
		}
		return nil
	})
	return list, err
}
