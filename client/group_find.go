package client

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/vault"
)

// minGroupPrefix is the least of an id that can stand for a group.
const minGroupPrefix = 4

// isGroupWord reports whether a word means a group where it could mean a
// person, too.
func isGroupWord(word string) bool { return strings.HasPrefix(strings.TrimSpace(word), "#") }

// findGroup finds which group a word means (R-GRP-60): a whole id, a name, or
// the beginning of an id, with or without '#'. Among several of one name those
// that this account is a member of come first.
func (e *engine) findGroup(ctx context.Context, word string) (id groups.ID, err error) {
	plain := strings.TrimPrefix(strings.TrimSpace(word), "#")
	if plain == "" {
		return id, ErrUnknownGroup
	}
	exact, perr := content.ParseID(plain)
	var named, former, begun []groups.ID
	whole := false
	err = e.view(ctx, func(tx *vault.Tx) error {
		return eachGroup(tx, func(r *groupRecord) error {
			roster, err := r.roster()
			if err != nil {
				return err
			}
			switch this := r.id(); {
			case perr == nil && this == groups.ID(exact):
				id, whole = this, true
			case strings.EqualFold(roster.Name, plain) && r.Out:
				former = append(former, this)
			case strings.EqualFold(roster.Name, plain):
				named = append(named, this)
			case len(plain) >= minGroupPrefix && strings.HasPrefix(this.String(), strings.ToLower(plain)):
				begun = append(begun, this)
			}
			return nil
		})
	})
	if err != nil || whole {
		return id, err
	}
	for _, found := range [][]groups.ID{named, former, begun} {
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			amb := &AmbiguousError{Word: word}
			for _, id := range found {
				amb.Candidates = append(amb.Candidates, groupName(id))
			}
			slices.Sort(amb.Candidates)
			return id, amb
		}
	}
	return id, ErrUnknownGroup
}

// eachGroup reads all groups.
func eachGroup(tx *vault.Tx, fn func(*groupRecord) error) error {
	return tx.Scan(tableGroup, nil, firstOrder, lastOrder, 0, false, func(row vault.Row) error {
		r, err := decodeRecord[groupRecord](row.Value)
		if err != nil {
			return err
		}
		return fn(&r)
	})
}

// conversation finds the conversation that a word means: a person's or, with a
// '#', a group's.
func (e *engine) conversation(ctx context.Context, word string) (string, error) {
	if !isGroupWord(word) {
		addr, err := e.resolve(ctx, word)
		return addr.String(), err
	}
	id, err := e.findGroup(ctx, word)
	if err == nil {
		return groupName(id), nil
	}
	// What another device has handed on of a group may be here without it.
	name := strings.ToLower(strings.TrimSpace(word))
	if _, ok := groupID(name); !ok {
		return "", err
	}
	n := 0
	if verr := e.view(ctx, func(tx *vault.Tx) (err error) {
		n, err = tx.Count(tableMessage, []byte(name))
		return err
	}); verr != nil {
		return "", verr
	}
	if n == 0 {
		return "", err
	}
	return name, nil
}
