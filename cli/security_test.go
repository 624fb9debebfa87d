package cli

import (
	"testing"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/lab"
)

// R-SEC-09: each way in which a drill and a report can differ is found, and so is a drill
// that proves nothing.
func TestR_SEC_09_DifferencesAreFound(t *testing.T) {
	report := func() client.SecurityReport {
		return client.SecurityReport{
			People:  []client.ConversationExposure{{Conversation: "bob", Sessions: 2, ReadsYours: 1, ReadsTheirs: 2, Skipped: 3}},
			Groups:  []client.ConversationExposure{{Conversation: "#x", ReadsYours: 1}},
			Prekeys: []client.PrekeyExposure{{Kind: "one_time_kem", Held: 5}, {Kind: "last_resort", Held: 1}},
		}
	}
	trials := func() []lab.DrillResult {
		return []lab.DrillResult{
			{What: lab.TryMissing, Peer: "bob", Tried: 3, Opened: 3}, {What: lab.TryReceived, Peer: "bob", Tried: 9}, {What: lab.TryTheirs, Peer: "bob", Tried: 2, Opened: 2},
			{What: lab.TryYours, Peer: "bob", Tried: 2, Opened: 1}, {What: lab.TryAnswer, Peer: "bob", Tried: 2, Opened: 1}, {What: lab.TryHealed, Peer: "bob", Tried: 8},
			{What: lab.TryRead, Peer: "bob", Tried: 14}, {What: lab.TryAfter, Peer: "bob", Tried: 2, Opened: 2}, {What: lab.TryForeign, Peer: "bob", Tried: 2},
			{What: lab.TryFirst, Tried: 5, Opened: 5}, {What: lab.TryFirstAnswered, Tried: 5}, {What: lab.TryLast, Tried: 1, Opened: 1}, {What: lab.TryLastAnswered, Tried: 1, Opened: 1},
			{What: lab.TryGroupYours, Tried: 1, Opened: 1}, {What: lab.TryGroupRead, Tried: 1},
		}
	}
	objects, end := judged(trials(), report())
	if !end.Agrees || len(objects) != len(trials()) || end.Tried != 58 || end.Opened != 17 {
		t.Fatalf("what agrees: %+v %+v", objects, end)
	}
	for i := range trials() {
		for _, by := range []int{-1, 1} {
			wrong := trials()
			wrong[i].Opened += by
			objects, end := judged(wrong, report())
			if end.Agrees || objects[i].Agrees {
				t.Errorf("%+v passes", wrong[i])
			}
		}
		wrong := trials()
		wrong = append(wrong[:i], wrong[i+1:]...)
		if _, end := judged(wrong, report()); end.Agrees && trials()[i].What != lab.TryReceived {
			t.Errorf("without %s it passes", trials()[i].What)
		}
	}
	if _, end := judged(nil, client.SecurityReport{}); end.Agrees {
		t.Error("a drill of nothing passes")
	}
	one := client.SecurityReport{Prekeys: []client.PrekeyExposure{{Kind: "one_time_kem", Held: 5}}}
	if _, end := judged([]lab.DrillResult{{What: lab.TryFirst, Tried: 5, Opened: 5}}, one); end.Agrees {
		t.Error("a drill in which nothing stays closed passes")
	}
}

func judged(trials []lab.DrillResult, r client.SecurityReport) ([]trialObject, drillObject) {
	objects := judge(trials, r)
	return objects, sum(objects, r.At)
}
