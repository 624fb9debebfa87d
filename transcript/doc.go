// Package transcript works on what somebody on the wire recorded of a
// conversation: it explains every field, checks messages under the keys that
// were disclosed, changes texts and makes the tags fit, and forges whole
// conversations between people who never spoke. It implements
// spec/transcript.md.
//
// It is there so that nobody can take a transcript for proof: what a verifier
// accepts, this package makes. Read and Write are the file format, Verify
// checks, Explain shows, Modify and Remac change, Forge and ForgeGroup invent.
// A test holds that forged and genuine look alike (R-TRN-13).
//
// Not its concern: opening messages, which takes keys that nobody has any more;
// accounts, stores and the network. It needs no secret of anybody.
package transcript
