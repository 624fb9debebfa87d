package client

import (
	"context"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vault"
)

// R-GRP-42, R-GRP-49: who was put out and let in again while away is in: the
// welcome came before the device has read that it was out.
func TestR_GRP_42_LetInAgain(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol")
	ctx := context.Background()
	a := c.of["alice"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob", "carol")
	for _, change := range []GroupChange{{Remove: []string{"carol"}}, {Add: []string{"carol"}}} {
		if _, err := a.ChangeGroup(ctx, g.ID, change); err != nil {
			t.Fatal(err)
		}
	}
	c.look("carol") // reads that she is out
	c.look("carol", "bob")
	c.same(id, "alice", "bob", "carol")
	if _, err := a.Send(ctx, g.ID, "welcome back", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	c.look("carol")
	got, err := c.of["carol"].History(ctx, g.ID, 10, "")
	if err != nil || len(got) == 0 || got[len(got)-1].Text != "welcome back" {
		t.Errorf("%+v, %v", got, err)
	}
}

// R-GRP-72, R-GRP-54: the word that one is out, of a member who had not seen yet
// that one was let in again, is not the last one.
func TestR_GRP_72_OldWord(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol")
	ctx := context.Background()
	a, carol := c.of["alice"], c.of["carol"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob", "carol")
	// What carol's device would have done, had it asked bob.
	err = carol.engine.groupStep(ctx, func(w *work) error {
		k := peerKey{c.address("bob"), c.of["bob"].engine.self.device}
		ask := askRecord{Address: k.address, Device: uint64(k.device), Welcome: true, Asked: w.e.now().UnixMilli()}
		if err := putAsk(w.tx, id, &ask); err != nil {
			return err
		}
		p, err := w.e.readPerson(w.tx, k.address)
		if err != nil {
			return err
		}
		return w.groupGone(k, p, id)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, _, err := carol.engine.readGroup(ctx, id); err != nil || !r.Out {
		t.Fatalf("%+v, %v", r, err)
	}
	// Bob speaks and hands out no key, as carol's device was handed it before the
	// others were replaced; with new keys everybody is handed them.
	if _, err := c.of["bob"].Send(ctx, g.ID, "carol?", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ChangeGroup(ctx, g.ID, GroupChange{Rekey: true}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.look("carol")
		c.look("alice", "bob")
	}
	c.look("carol")
	c.same(id, "alice", "bob", "carol")
}

// R-GRP-49: a welcome that nothing has come of is erased in the end, with the
// sender key that came with it.
func TestR_GRP_49_Forgotten(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	a, b := c.of["alice"], c.of["bob"]
	g, err := a.CreateGroup(ctx, "friends", nil)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.member(a, "bob")
	bob, err := b.engine.ownPerson(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.engine.connected(ctx)
	if err != nil {
		t.Fatal(err)
	}
	to := listener{peerKey: peerKey{c.address("bob"), b.engine.self.device}}
	d, _ := bob.list.Device(b.engine.self.device)
	to.identity = d.DH.Array()
	if done, err := a.engine.welcomeGroup(ctx, l, id, []listener{to}); err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	held := func() (candidates, chains int) {
		err := b.engine.view(ctx, func(tx *vault.Tx) (err error) {
			if candidates, err = tx.Count(tableGroupKey, id[:]); err == nil {
				chains, err = tx.Count(tableChain, id[:])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return candidates, chains
	}
	c.look("bob")
	if n, chains := held(); n != 1 || chains != 1 {
		t.Fatalf("%d candidates, %d chains", n, chains)
	}
	err = b.engine.update(ctx, func(tx *vault.Tx) error { // as if long ago
		old := time.Now().Add(-SeenFor - time.Hour)
		var rows []vault.Row
		err := tx.Scan(tableGroupKey, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			rows = append(rows, vault.Row{Key: append([]byte(nil), row.Key...), Value: append([]byte(nil), row.Value...), Order: row.Order})
			return nil
		})
		for _, row := range rows {
			r, derr := decodeRecord[candidateRecord](row.Value)
			if err != nil || derr != nil {
				return ErrStoreDamaged
			}
			r.At = old.UnixMilli()
			err = tx.Put(tableGroupKey, row.Key, id[:], row.Order, codec.Marshal(r))
		}
		if err != nil {
			return err
		}
		var chain groups.Receiving
		err = tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
			r, err := decodeRecord[chainRecord](row.Value)
			if err == nil {
				chain, err = groups.ParseReceiving(r.State)
			}
			return err
		})
		if err != nil {
			return err
		}
		// Its time is under no signature; the chain's id does not hang on it.
		key := groups.ChainKey{Group: id, Epoch: chain.Epoch(), Chain: chain.ID(), Verify: chain.Verify(), Created: old.Unix()}
		aged, err := groups.Accept(key, chain.Sender())
		if err != nil {
			return err
		}
		x := chain.ID()
		who := chain.Sender()
		return tx.Put(tableChain, x[:], id[:], int64(chain.Epoch()), codec.Marshal(chainRecord{
			Group: id[:], From: who.Address, Device: who.Device, Epoch: chain.Epoch(), State: aged.AppendRecord(nil),
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
	c.look("bob")
	if n, chains := held(); n != 0 || chains != 0 {
		t.Errorf("%d candidates, %d chains are kept", n, chains)
	}
}

// R-GRP-42: who is out keeps no secret of somebody who does not know it yet.
func TestR_GRP_42_LateSecret(t *testing.T) {
	c := newCircle(t, "alice", "bob", "carol")
	ctx := context.Background()
	carol := c.of["carol"].engine
	g, err := c.of["alice"].CreateGroup(ctx, "friends", []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob", "carol")
	if _, err := c.of["alice"].ChangeGroup(ctx, g.ID, GroupChange{Remove: []string{"carol"}}); err != nil {
		t.Fatal(err)
	}
	c.look("carol")
	k := peerKey{c.address("bob"), c.of["bob"].engine.self.device}
	sender := groups.Sender{Address: k.address, Device: uint64(k.device), Identity: c.of["bob"].engine.self.own.Identity.Array()}
	chain, err := groups.NewSending(id, 9, sender, time.Now(), groups.Before{})
	if err != nil {
		t.Fatal(err)
	}
	key := chain.Key()
	err = carol.groupStep(ctx, func(w *work) error {
		p, err := w.e.readPerson(w.tx, k.address)
		if err != nil {
			return err
		}
		return w.groupKey(k, p, groups.Signal{Group: id, Key: &groups.Key{Seq: 9, Epoch: 9, Secret: groups.NewSecret(), Chain: &key}})
	})
	if err != nil {
		t.Fatal(err)
	}
	err = carol.view(ctx, func(tx *vault.Tx) error {
		n, err := tx.Count(tableGroupKey, id[:])
		if n > 0 {
			t.Errorf("%d secrets are kept", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
