package relay

// A group has a log at the server and nothing else: entries one after the
// other, each placed by compare-and-swap on the head before it. Entries, heads
// and tokens are opaque to the server (R-REL-40). A token stands for one epoch
// of the group; whoever has it reads what was placed under it and, while the
// epoch lasts, places entries and sends.

// Sizes of what names a group, an entry and an epoch.
const (
	GroupIDSize    = 16
	GroupHeadSize  = 32
	GroupTokenSize = 32
)

// GroupCreate begins a group with its first entry, which has number 1 and
// follows the head zero.
type GroupCreate struct {
	Group [GroupIDSize]byte    `cbor:"1,keyasint"`
	Head  [GroupHeadSize]byte  `cbor:"2,keyasint"`
	Blob  []byte               `cbor:"3,keyasint"`
	Token [GroupTokenSize]byte `cbor:"4,keyasint"` // of the first epoch; the server keeps its hash
}

func (g *GroupCreate) check() error { return require(between(g.Blob, MaxGroupBlob)) }

// GroupAppend places entry Seq after the head Prev. With a NextToken the entry
// ends the epoch, and the next one begins under that token.
type GroupAppend struct {
	Group     [GroupIDSize]byte    `cbor:"1,keyasint"`
	Seq       uint64               `cbor:"2,keyasint"` // at least 2
	Prev      [GroupHeadSize]byte  `cbor:"3,keyasint"`
	Head      [GroupHeadSize]byte  `cbor:"4,keyasint"`
	Blob      []byte               `cbor:"5,keyasint"`
	Token     [GroupTokenSize]byte `cbor:"6,keyasint"`
	NextToken []byte               `cbor:"7,keyasint,omitempty"` // GroupTokenSize bytes, or empty
}

func (g *GroupAppend) check() error {
	return require(g.Seq >= 2 && g.Seq <= MaxGroupEntries && between(g.Blob, MaxGroupBlob) &&
		(len(g.NextToken) == 0 || len(g.NextToken) == GroupTokenSize && [GroupTokenSize]byte(g.NextToken) != g.Token))
}

// GroupPlaced is the answer to a GroupAppend. Ok says that the entry stands, by
// this request or an earlier one; Seq and Head are its own then. Else they
// are those of the newest entry that the token may see.
type GroupPlaced struct {
	Ok   bool                `cbor:"1,keyasint,omitempty"`
	Seq  uint64              `cbor:"2,keyasint"`
	Head [GroupHeadSize]byte `cbor:"3,keyasint"`
}

func (g *GroupPlaced) check() error { return require(g.Seq > 0 && g.Seq <= MaxGroupEntries) }

// GroupRead asks for the entries from a number on that the token may see.
type GroupRead struct {
	Group [GroupIDSize]byte    `cbor:"1,keyasint"`
	From  uint64               `cbor:"2,keyasint"` // first one wanted, at least 1
	Token [GroupTokenSize]byte `cbor:"3,keyasint"`
}

func (g *GroupRead) check() error { return require(g.From > 0) }

// GroupEntry is one entry of a group's log.
type GroupEntry struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64
	Prev [GroupHeadSize]byte // head of the entry before, zero for the first
	Head [GroupHeadSize]byte
	Blob []byte
}

// GroupPage carries consecutive entries; More says that others follow that the
// token may see. The first is the one asked for, or the first of the token's
// epoch if that is later.
type GroupPage struct {
	Entries []GroupEntry        `cbor:"1,keyasint"`
	More    bool                `cbor:"2,keyasint,omitempty"`
	Seq     uint64              `cbor:"3,keyasint"` // the newest entry that the token may see,
	Head    [GroupHeadSize]byte `cbor:"4,keyasint"` // and its head; the end of the epoch before if there is none yet
	Moved   bool                `cbor:"5,keyasint,omitempty"`
}

func (g *GroupPage) check() error {
	if g.Seq == 0 || g.Seq > MaxGroupEntries || len(g.Entries) > MaxGroupPage || (g.More && len(g.Entries) == 0) {
		return ErrMalformed
	}
	var before *GroupEntry
	for i := range g.Entries {
		e := &g.Entries[i]
		if !between(e.Blob, MaxGroupBlob) || e.Seq == 0 || e.Seq > g.Seq {
			return ErrMalformed
		}
		if before != nil && (e.Seq != before.Seq+1 || e.Prev != before.Head) {
			return ErrMalformed
		}
		before = e
	}
	if before == nil {
		return nil
	}
	if g.More {
		return require(before.Seq < g.Seq)
	}
	return require(before.Seq == g.Seq && before.Head == g.Head)
}
