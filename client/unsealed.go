package client

import "github.com/pawl-chat/pawl/internal/vault"

// unsealed holds, for each recipient, the order of the newest entry of the
// outbox that is not sealed yet. What goes to one person is sealed in the order
// in which it leaves (R-CLT-52): what was sealed at once, behind others that are
// sealed only when they leave, would stand in a chain that its recipient has
// closed by then. It is guarded by the engine's state.
type unsealed map[string]int64

// readUnsealed finds what an earlier process left.
func readUnsealed(tx *vault.Tx) (unsealed, error) {
	u := unsealed{}
	return u, tx.Scan(tableOutbox, nil, firstOrder, lastOrder, 0, false, func(r vault.Row) error {
		o, err := decodeRecord[outboxRecord](r.Value)
		o.order = r.Order
		if err == nil {
			u.queued(&o)
		}
		return err
	})
}

// before reports whether something that is not sealed yet leaves before o.
func (u unsealed) before(o *outboxRecord) bool { return u[o.To] != 0 }

// queued notes an entry that has been committed.
func (u unsealed) queued(o *outboxRecord) {
	if len(o.Sealed) == 0 {
		u[o.To] = o.order
	}
}

// done notes that the outbox has sealed an entry, and thus all before it or
// what became of them.
func (u unsealed) done(o *outboxRecord) {
	if o.order >= u[o.To] {
		delete(u, o.To)
	}
}
