package client

import (
	"testing"

	"github.com/pawl-chat/pawl/internal/devicelist"
)

// TestR_CLT_46_WhoIsAsked, R-CLT-35: nobody is asked or answered who is a
// stranger or whose identity waits for a decision, and no device that was
// revoked, is not listed, or does not say that it would understand.
func TestR_CLT_46_WhoIsAsked(t *testing.T) {
	know := func(status devicelist.Status, caps ...uint64) *person {
		return &person{
			record: contactRecord{Known: true},
			list:   devicelist.List{Devices: []devicelist.Device{{ID: 1, Status: status, Caps: caps}}},
		}
	}
	stranger, pending := know(devicelist.Active, capabilities()...), know(devicelist.Active, capabilities()...)
	stranger.record.Known, pending.pending = false, &devicelist.List{}
	verified := know(devicelist.Active, capabilities()...)
	verified.record = contactRecord{Verified: true}
	for name, c := range map[string]struct {
		p      *person
		device int
		want   bool
	}{
		"a contact":             {know(devicelist.Active, capabilities()...), 1, true},
		"verified":              {verified, 1, true},
		"nobody":                {nil, 1, false},
		"a stranger":            {stranger, 1, false},
		"another identity":      {pending, 1, false},
		"revoked":               {know(devicelist.Revoked, capabilities()...), 1, false},
		"another device":        {know(devicelist.Active, capabilities()...), 2, false},
		"silent":                {know(devicelist.Active), 1, false},
		"of receipts and syncs": {know(devicelist.Active, devicelist.CapReceipts, devicelist.CapSync), 1, false},
	} {
		if got := repairable(c.p, peerKeyTo(c.device)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func peerKeyTo(device int) peerKey {
	r := repairRecord{Address: "bob@example.org", Device: uint64(device)}
	return r.key()
}
