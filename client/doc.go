// Package client is one device of a person, to embed in a program: accounts,
// contacts and their signed device lists, sessions, conversations and the
// outbox, over a sealed store and one connection to the relay.
//
// Start with Register or Open; both return an API. A bot is a loop over
// Follow that calls Send. Several processes may open one home: the first owns
// the store, the others work through it, and when it leaves another takes
// over without a caller noticing.
//
// What is durable when: Send returns after the sealed message and the next
// ratchet state are committed in one transaction; received messages are
// committed together with the state that opened them before the relay is told
// to forget them (R-CLT-01, R-CLT-02).
//
// Not its concern: terminals and commands, and how a relay works inside.
package client
