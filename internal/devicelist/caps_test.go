package devicelist

import "testing"

// TestR_IDN_17_Capabilities: a device can what it lists, and the numbers are
// those of the specification.
func TestR_IDN_17_Capabilities(t *testing.T) {
	d := Device{Caps: []uint64{CapReceipts, 3, 77}}
	for c, want := range map[uint64]bool{1: true, 2: false, CapRepair: true, 77: true, 0: false} {
		if d.Can(c) != want {
			t.Errorf("%d: %v", c, !want)
		}
	}
	if CapReceipts != 1 || CapSync != 2 || CapRepair != 3 || (Device{}).Can(CapSync) {
		t.Error("the numbers have changed, or a device can what it does not list")
	}
}
