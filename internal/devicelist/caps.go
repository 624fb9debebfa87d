package devicelist

import "slices"

// Capabilities that a device lists in its entry: kinds of content that it
// understands (R-IDN-17). Numbers are never used again for something else.
const (
	CapReceipts uint64 = 1 // content of kind 4
	CapSync     uint64 = 2 // content of kind 5
	CapRepair   uint64 = 3 // content of kind 6: it answers when asked to send again
)

// Can reports whether the device says that it has a capability.
func (d Device) Can(c uint64) bool { return slices.Contains(d.Caps, c) }
