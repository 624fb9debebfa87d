package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/groups"
)

// TestR_GRP_50_KilledSender: a text to a group that was durable when its sender
// was killed, in whatever transaction, reaches everybody once; one that was not
// reaches nobody. Keys that were due are replaced first in every case.
func TestR_GRP_50_KilledSender(t *testing.T) {
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("saved=%v", saved), func(t *testing.T) {
			c, group := talkers(t, "alice", "bob", "carol")
			id, _ := groupID(group)
			kills := 0
			for step := 1; ; step++ {
				if err := c.change("bob", id, groups.Change{Kind: groups.Rekey}); err != nil { // so that alice has keys to hand out
					t.Fatal(err)
				}
				f := &fuse{}
				c.restart("alice", f)
				c.look("alice")
				f.light(step, saved)
				text := fmt.Sprintf("text %d", step)
				_, err := c.of["alice"].Send(t.Context(), group, text, SendOptions{})
				blown := f.blown()
				f.light(0, false)
				if err != nil && !blown {
					t.Fatal(err)
				}
				c.restart("alice", nil)
				h, err := c.of["alice"].History(t.Context(), group, 0, "")
				if err != nil {
					t.Fatal(err)
				}
				durable := slices.ContainsFunc(h, func(m Message) bool { return m.Text == text })
				c.say("alice", "after "+text)
				for _, n := range []string{"bob", "carol"} {
					var got []string
					c.until(n+" has what was said after it", func() bool {
						got = append(got, c.got(n)...)
						return slices.Contains(got, "ali: after "+text)
					}, "alice")
					times := 0
					for _, x := range got {
						if strings.HasSuffix(x, ": "+text) {
							times++
						}
					}
					if durable && times != 1 || !durable && times != 0 {
						t.Errorf("step %d: durable %v, and %s got %q", step, durable, n, got)
					}
				}
				if !blown {
					break
				}
				kills++
			}
			t.Logf("killed %d times", kills)
			if kills < 4 { // the last of its transactions may end after Send returns
				t.Errorf("killed %d times only", kills)
			}
		})
	}
}
