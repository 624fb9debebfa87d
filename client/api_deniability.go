package client

import (
	"context"

	"github.com/pawl-chat/pawl/transcript"
)

// DeniabilityAPI is what shows that a conversation proves nothing, and the
// opposite on request.
type DeniabilityAPI interface {
	// Record keeps what goes over the wire of a conversation from now on, or, when
	// on is false, stops and erases what was kept. By default nothing is kept.
	Record(ctx context.Context, with string, on bool) (Recording, error)
	// Recordings lists the conversations of which ciphertexts are kept.
	Recordings(ctx context.Context) ([]Recording, error)
	// Transcript returns what was kept of a conversation, as somebody on the wire
	// has it, with the keys that were disclosed. ErrNotRecorded says that nothing
	// was to be kept.
	Transcript(ctx context.Context, with string) (*transcript.Transcript, error)
	// PublicKeys returns the public half of a person: what it takes to forge a
	// conversation with them.
	PublicKeys(ctx context.Context, who string) (transcript.Party, error)

	// EditHistory changes what is stored here of a conversation: a text, who has
	// written it, when, or whether it is there at all; or it inserts a message. It
	// goes to nobody and leaves no mark. It returns the message as it is, or of one
	// that was deleted as it was. ErrCannotEdit, ErrNotFound.
	EditHistory(ctx context.Context, q HistoryEdit) (Message, error)

	// Proof returns a bundle with which anybody can check, offline, who wrote a
	// signed message: VerifyProof. ErrNotSigned says that it is not signed, or
	// that what is stored of it is not what was signed.
	Proof(ctx context.Context, id string) ([]byte, error)
}
