package x3dh

// MaxInitial bounds an encoded first message in bytes: its fields at their
// longest take 1,690 (spec/limits.md). Part of the specification.
const MaxInitial = 2048

// MaxReplay bounds a ReplayTable in entries. Ours: at 40 bytes an entry it
// holds what a mailbox of 1,000 messages can bring in two months of days.
const MaxReplay = 65536
