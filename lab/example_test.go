package lab_test

import (
	"context"
	"fmt"

	"github.com/pawl-chat/pawl/lab"
)

// A device is robbed; one round trip later the thief reads no more.
func ExampleScenario_Run() {
	s, err := lab.Parse([]byte(`
name = "example"
steps = [
  { do = "send", who = "alice", to = "bob" },
  { do = "deliver" },
  { do = "compromise", who = "bob", as = "theft" },
  { do = "send", who = "alice", to = "bob" },
  { do = "deliver" },
  { do = "send", who = "bob", to = "alice" },
  { do = "deliver" },
  { do = "send", who = "alice", to = "bob" },
]
[people]
alice = 1
bob = 1
`))
	if err != nil {
		panic(err)
	}
	r, err := s.Run(context.Background(), 1)
	if err != nil {
		panic(err)
	}
	v := r.Verdicts[0]
	fmt.Println("opened", lab.Ranges(v.Opened), "healed after", v.Healed, "agree", v.Agree)
	// Output: opened 2 healed after 1 agree true
}
