package lab

// A trace is the magic, then items: four bytes of length, big-endian, and CBOR
// (spec/cddl/lab.cddl has the items, R-LAB-24). Bytes that stand in several
// places, such as a prekey that was stolen forty times, are written once, as a
// blob, and named by its number.

// traceMagic begins every trace.
const traceMagic = "pawl lab trace\n"

// traceVersion is the version of the items.
const traceVersion = 1

// Kinds of items, the first element of each.
const (
	kindHeader  = 0
	kindDevice  = 1
	kindBlob    = 2
	kindStep    = 3
	kindMessage = 4
	kindLetter  = 5
	kindRead    = 6
	kindRefused = 7
	kindCrash   = 8
	kindTheft   = 9
	kindLater   = 10
	kindFinal   = 11
	kindShown   = 12
	kindValue   = 13
	kindRule    = 14
	kindOutcome = 15
	kindVerdict = 16
	kindGroup   = 17
	kindEntry   = 18
	kindLog     = 19
	kindQuantum = 20
	kindRatchet = 21
	kindPrekey  = 22
	kindEnd     = 23 // the highest there can be: kinds are one byte
)

type headerItem struct {
	_        struct{} `cbor:",toarray"`
	Kind     uint64
	Version  uint64
	Scenario string // a scenario file
	Seed     uint64
}

// deviceItem is a device; devices are numbered from 0 in the order they come.
type deviceItem struct {
	_        struct{} `cbor:",toarray"`
	Kind     uint64
	Name     string
	Account  []byte
	Address  string
	Device   uint64
	Identity []byte
	Stand    bool // the relay made it to stand in for somebody
}

type blobItem struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint64
	Bytes []byte
}

// stepItem begins a step of the scenario.
type stepItem struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Number uint64 // from 1 on
	At     uint64 // seconds from the beginning of the run, as everywhere here
}

// messageItem is a message that a person has written: its device has committed it.
type messageItem struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Number uint64
	From   uint64 // device
	To     string // person
	At     uint64
}

// letterItem is a sealed copy that has left.
type letterItem struct {
	_        struct{} `cbor:",toarray"`
	Kind     uint64
	Message  uint64
	From, To uint64
	At       uint64
	Session  []byte
	Initial  []byte
	Body     []byte
	AD       []byte
	Text     []byte
	Seed     []byte // MAC seed of its chain
	Number   uint64
	Chain    uint64
	Farewell bool
	Thief    bool
	Said     []chainEntry // of a group message: the chain that sealed it; else none
	Closed   []uint64     // of one that tells a signing key: devices that had closed its chain
}

// chainEntry is a chain of a group as it is handed out.
type chainEntry struct {
	_           struct{} `cbor:",toarray"`
	Group       []byte
	Epoch       uint64
	Chain       []byte
	Index       uint64
	Key         []byte
	Verify      []byte
	Created     int64
	Before      []byte
	BeforeCount uint64
}

// readItem is a letter that its device has opened and committed.
type readItem struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Letter uint64
}

type refusedItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	By   uint64
	Why  string
}

type crashItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	Of   uint64
	When string
}

// diskEntry is all that a device keeps. Numbers are those of blobs.
type diskEntry struct {
	_        struct{} `cbor:",toarray"`
	Sign     []byte
	Identity []byte
	Prekeys  []uint64
	Sessions []sessionEntry
	Replay   uint64
	Lists    []listEntry
	Groups   []shelfEntry
}

// shelfEntry is what a device keeps of one group.
type shelfEntry struct {
	_                    struct{} `cbor:",toarray"`
	Group                []byte
	Roster               uint64 // empty: none
	Heads                []headEntry
	Secrets              []secretEntry
	Own                  uint64 // own chain; empty: none
	Chains               []heldEntry
	Handed, Heard, Known []uint64 // devices
	Closing              []closingEntry
	Alarm, Out           bool
}

type headEntry struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64
	Head []byte
}

type secretEntry struct {
	_      struct{} `cbor:",toarray"`
	Epoch  uint64
	Secret []byte
}

// heldEntry is another device's chain.
type heldEntry struct {
	_             struct{} `cbor:",toarray"`
	From          uint64
	Used          bool
	Head, Skipped uint64
}

// closingEntry is a signing key that is to be told.
type closingEntry struct {
	_     struct{} `cbor:",toarray"`
	Chain []byte
	Seed  []byte
}

// groupItem is a group; groups are numbered from 0 on.
type groupItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	ID   []byte
	Name string
}

// entryItem is an entry of a group's log, on whichever branch it was placed.
type entryItem struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint64
	Group uint64
	Seq   uint64
	Prev  []byte
	Epoch uint64
	Data  uint64
}

// logItem is the log of a group as the relay shows it in the end: to everybody,
// or to the owner of an address.
type logItem struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	Group   uint64
	Address string // empty: everybody
	Entries []placedEntry
}

type placedEntry struct {
	_    struct{} `cbor:",toarray"`
	Head []byte
	Data uint64
}

type sessionEntry struct {
	_             struct{} `cbor:",toarray"`
	Peer          uint64   // device
	Head, Skipped uint64
}

// listEntry is the history of an address's device list.
type listEntry struct {
	_       struct{} `cbor:",toarray"`
	Address string
	Entries []uint64
}

type theftItem struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Name   string
	Of     uint64
	Victim string
	Disk   diskEntry
}

// laterItem is a session of a thief who went on with what was stolen.
type laterItem struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	Theft   uint64 // from 0 on
	Session sessionEntry
}

// finalItem is what a device keeps when the run ends.
type finalItem struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	Of      uint64
	Disk    diskEntry
	SetBack bool     // it has run on an old copy of itself
	Doubts  []string // addresses whose owner it does not believe any more
}

// shownItem is the device list that the relay shows when the run ends, to
// everybody or to the owner of an address.
type shownItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	By   string // empty: everybody
	List listEntry
}

// quantumItem says that a thief knows every X25519 private key. Where there is
// one, the keys that no disk has come too.
type quantumItem struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint64
	Theft uint64
}

// ratchetItem is the private half of a ratchet key.
type ratchetItem struct {
	_               struct{} `cbor:",toarray"`
	Kind            uint64
	Public, Private []byte
}

// prekeyItem is an X25519 prekey that a device has had.
type prekeyItem struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Of     uint64
	Record uint64
}

// valueItem is a value of the graph of keys, named alike by both ends; values
// are numbered from 0 on.
type valueItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	Role uint64
	Of   []byte
	N    uint64
}

// ruleItem says that a value is made from others.
type ruleItem struct {
	_    struct{} `cbor:",toarray"`
	Kind uint64
	Head uint64
	Body []uint64
}

type refusals struct {
	_     struct{} `cbor:",toarray"`
	Why   string
	Count uint64
}

type outcomeItem struct {
	_                                                 struct{} `cbor:",toarray"`
	Kind                                              uint64
	At                                                uint64
	Opened, Unsent, Injected, Accepted, Agreed, Found uint64
	Refused                                           []refusals
}

// verdictItem is what both judges found when the run ended.
type verdictItem struct {
	_                    struct{} `cbor:",toarray"`
	Kind                 uint64
	At                   string
	Opened               string // ranges
	Before, Read, Public uint64
	Oldest               uint64
	Healed               int64 // -1: not seen
	HealedIn             uint64
	Forges, FooledBy     []string
	Agree                bool
	Differ               uint64 // letters on which they did not
	Signing, Entries     uint64
}

func verdictItemOf(v *Verdict) verdictItem {
	return verdictItem{
		Kind: kindVerdict, At: v.At, Opened: Ranges(v.Opened), Before: uint64(v.Before), Read: uint64(v.Read), Public: uint64(v.Public),
		Oldest: uint64(v.Oldest.Seconds()), Healed: int64(v.Healed), HealedIn: uint64(v.HealedIn.Seconds()), Forges: v.Forges, FooledBy: v.FooledBy,
		Agree: v.Agree, Differ: uint64(len(v.Differ)), Signing: uint64(v.Signing), Entries: uint64(v.Entries),
	}
}

// endItem is the last: how many items came before, and the SHA-256 of
// all bytes before its length.
type endItem struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint64
	Count uint64
	Sum   []byte
}
