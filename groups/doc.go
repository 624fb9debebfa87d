// Package groups is the protocol of groups: sender keys that a device hands
// to every other device of a group, the roster log in which members record who
// belongs to it, and the signals by which devices give each other both. It
// implements spec/groups.md.
//
// Begin with NewID and NewSecret. NewSending makes the chain a device writes
// on, Propose the first entry of the roster log, Sending.Key what every other
// device is given in a Signal; Accept makes of it the chain that opens what the
// device sends.
//
// Everything is a value: a method returns the next value and changes nothing.
// The caller makes the next value durable before a message leaves or is shown.
//
// Not its concern: pairwise sessions, which carry the signals; the server, which
// stores the log and fans messages out; who holds which chain, when a new epoch
// is due, storage, and what a person is shown.
package groups
