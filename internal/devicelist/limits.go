package devicelist

// Limits of a device list (spec/limits.md). All are part of the specification:
// a list beyond them is refused by everybody (R-IDN-12).
const (
	MaxActive  = 8            // active devices
	MaxDevices = 64           // devices, revoked ones included
	MaxName    = 64           // bytes of UTF-8 in a device's name
	MaxCaps    = 16           // capability numbers of one device
	MaxEntry   = 32 << 10     // bytes of one encoded entry
	MaxChain   = 1024         // entries of one account
	MaxTime    = 253402300799 // the last second of the year 9999
)
