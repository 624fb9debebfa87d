package braid

// Domain separation (spec/labels.md). All are HKDF-Expand infos.
const (
	labelStart  = "pawl/1 braid start"
	labelHeader = "pawl/1 braid header"
	labelEpoch  = "pawl/1 braid epoch"
)
