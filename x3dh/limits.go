package x3dh

// MaxInitial bounds an encoded first message in bytes: its fields at their
// longest take 1,690 (spec/limits.md). Part of the specification.
const MaxInitial = 2048

// MaxReplay bounds a ReplayTable in entries. Ours: 2.6 MB, and each entry costs
// its sender a handshake of its own.
const MaxReplay = 65536
