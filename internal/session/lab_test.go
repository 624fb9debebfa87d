package session_test

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/storytest"
	"github.com/pawl-chat/pawl/lab"
)

// Here the laboratory tells stories about sessions that start at once, are lost, and are answered by thieves (R-LAB-35).

func TestLab(t *testing.T) { storytest.Check(t, lab.Sessions) }

func TestLabMeetsEverything(t *testing.T) {
	storytest.Worth(t, lab.Sessions,
		"session: no session opens this message",
		"session: there is no session with this device",
		"lab: the prekey is gone",
	)
}

func FuzzLab(f *testing.F) {
	storytest.Seed(f)
	storytest.Fuzz(f, lab.Sessions)
}
