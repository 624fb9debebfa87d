package relay

// PathRecover is where a device that no list names yet asks to be let in by
// the account key: after a restored backup, or when every device is lost.
const PathRecover = "/v1/recover"

// RecoverRequest appends an entry to an account's device list without a login:
// it is its own proof, since only the account key signs entries (R-RCV-01).
// The entry names one device more than the last, and Upload is that device's.
type RecoverRequest struct {
	Entry  []byte `cbor:"1,keyasint"`
	Upload []byte `cbor:"2,keyasint"`
}

func (r *RecoverRequest) check() error {
	return require(between(r.Entry, MaxEntry) && between(r.Upload, MaxUpload))
}

// RecoverResponse is the body of the answer to POST [PathRecover]: a code and
// RegisterResult when done, RecoverConflict with code Conflict, else details of
// the refusal.
type RecoverResponse struct {
	_    struct{} `cbor:",toarray"`
	Code uint64
	Body []byte
}

func (r *RecoverResponse) check() error { return require(len(r.Body) <= MaxRecoverAnswer) }

// RecoverConflict says that the list has moved on: its version, and the
// entries that the requester lacks, from the version of its own entry on.
type RecoverConflict struct {
	Version uint64   `cbor:"1,keyasint"`
	Entries [][]byte `cbor:"2,keyasint"`
}

func (r *RecoverConflict) check() error {
	for _, e := range r.Entries {
		if !between(e, MaxEntry) {
			return ErrMalformed
		}
	}
	return require(r.Version > 0 && len(r.Entries) <= MaxChain)
}
