package groups_test

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/storytest"
	"github.com/pawl-chat/pawl/lab"
)

// Here the laboratory tells stories about groups whose members come and go, whose keys are stolen, and whose log is shown in two ways (R-LAB-35).

func TestLab(t *testing.T) { storytest.Check(t, lab.Talking) }

func TestLabMeetsEverything(t *testing.T) {
	storytest.Worth(t, lab.Talking,
		"groups: message was opened before",
		"groups: the role does not allow this change",
		"groups: already a member",
		"lab: the sender holds another group log",
	)
}

func FuzzLab(f *testing.F) {
	storytest.Seed(f)
	storytest.Fuzz(f, lab.Talking)
}
