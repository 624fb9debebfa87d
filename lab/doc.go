// Package lab is a laboratory for the protocol: a small world of people,
// devices and a relay in which the real packages (device lists, prekeys, the
// handshake, session choice, the ratchet, groups and their logs) do all the work, in which states are
// stolen, and in which two judges say of each message whether the thief can
// read it. It implements spec/lab.md.
//
// A Scenario, read from a file with Parse or taken from Shipped, says what
// happens and what is expected; Run plays it and returns a Report.
//
// The two judges (judge.go) know nothing of each other. One attacks: it feeds
// the recorded traffic to the real code on the stolen bytes (attack.go). The
// other closes a graph of which key is made from which, drawn from the records
// that the devices wrote (trace.go, closure.go), under what was stolen. Where
// they differ, one of them is wrong, and the run has failed.
//
// The protocol draws its randomness from the system. A seed therefore fixes
// what is done and what is judged, not the bytes (R-LAB-12).
//
// Not its concern: padding, receipts, repairs and whatever else the client puts
// around sessions and groups; real networks and disks (docs/design/scenarios.md has
// those).
package lab
