package client

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
)

// TestR_GRP_54: a restored device of an account without another one finds back
// into its groups by what the others send.
func TestR_GRP_54(t *testing.T) {
	c := newCircle(t, "alice", "bob")
	ctx := context.Background()
	a, b := c.of["alice"], c.of["bob"]
	g, err := a.CreateGroup(ctx, "friends", []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := groupID(g.ID)
	c.look("bob")
	if _, err := b.Send(ctx, g.ID, "here I am", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	c.look("alice")
	var file bytes.Buffer
	o := BackupOptions{Passphrase: []byte("a long enough passphrase"), Recovery: true}
	if _, err := b.Backup(ctx, &file, o); err != nil {
		t.Fatal(err)
	}
	b.Close()
	dir := t.TempDir()
	cfg := Config{Home: filepath.Join(dir, "home"), Unlock: Unlock{KeyFile: filepath.Join(dir, "key")}}
	again, _, err := Restore(ctx, cfg, bytes.NewReader(file.Bytes()), RestoreRequest{BackupOptions: o, RevokeOld: true})
	if err != nil {
		t.Fatal(err)
	}
	c.of["bob"] = again.(*Client)
	if r, _, err := c.of["bob"].engine.readGroup(ctx, id); err != nil || r != nil {
		t.Fatalf("the restored device holds %+v, %v", r, err)
	}
	before := c.same(id, "alice")
	if _, err := a.Send(ctx, g.ID, "are you there?", SendOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // question, answer, entering
		c.look("bob")
		c.look("alice")
	}
	if now := c.same(id, "alice", "bob"); now.Epoch == before.Epoch {
		t.Error("the keys were not replaced although a device is gone")
	}
	got, err := c.of["bob"].History(ctx, g.ID, 10, "")
	if err != nil || len(got) == 0 || got[len(got)-1].Text != "are you there?" {
		t.Errorf("%+v, %v", got, err)
	}
}
