package policy

// Layers lists the packages from the ground up. A package imports from earlier
// lines only, so dependencies run one way.
func Layers() [][]string {
	return [][]string{
		{"./internal/codec", "./internal/dh", "./internal/kdf", "./internal/simd", "./internal/home", "./internal/mnemonic", "./internal/grouplog", "./internal/fixed"},
		{"./internal/kem", "./internal/braid"},
		{"./internal/address"},
		{"./x3dh", "./ratchet", "./internal/devicelist"},
		{"./prekeys", "./groups", "./internal/proof", "./internal/content", "./internal/relay", "./internal/linking"},
		{"./internal/session", "./internal/relay/link"},
		{"./lab", "./transcript"},
		{"./lab/plot"},
		{"./spec/internal/..."},
		{"./spec"},
		{"./internal/conform"},
		{"./internal/relayclient", "./server"},
		{"./server/memstore", "./server/sqlitestore", "./server/storetest"},
		{"./internal/vault"},
		{"./internal/owner", "./internal/backup"},
		{"./client"},
		{"./cli"},
		{"."},
		// Apart from the product: what only tests import, and this package.
		{"./internal/vectorfile", "./internal/memnet", "./internal/storytest"},
		{"./bench"},
		{"./internal/policy"},
	}
}

// Later lists packages that the plan knows and the tree does not have yet.
func Later() map[string]string {
	return map[string]string{}
}

// Core is the protocol: values in, values out (R-THR-02).
func Core() []string {
	return []string{
		"./x3dh", "./ratchet", "./prekeys", "./groups",
		"./internal/codec", "./internal/dh", "./internal/kem", "./internal/braid", "./internal/kdf", "./internal/simd", "./internal/address",
		"./internal/devicelist", "./internal/grouplog", "./internal/linking", "./internal/content", "./internal/session",
	}
}

// readers can open, or are made to hold, what a message says.
func readers() []string {
	return []string{"./ratchet", "./internal/braid", "./groups", "./internal/session", "./internal/content", "./internal/vault", "./internal/owner", "./internal/backup", "./internal/linking", "./lab", "./transcript", "./client", "./cli"}
}

// Bans is the import policy.
func Bans() []Ban {
	core := Core()
	server := []string{"./server/...", "./server"}
	return []Ban{
		{From: core, To: []string{"net", "net/http/...", "crypto/tls", "crypto/x509"},
			Why: "the protocol core talks to nobody: who delivers its bytes is the caller's choice"},
		{From: core, To: []string{"database/sql/...", "modernc.org/..."},
			Why: "the protocol core stores nothing: it hands out the next state and the caller makes it durable"},
		{From: core, To: []string{"log/..."},
			Why: "the protocol core holds secrets and therefore has nothing to log with"},
		{From: core, To: []string{"os", "os/...", "syscall", "io/fs", "embed", "flag", "runtime/debug"}, Direct: true,
			Why: "the protocol core knows no machine: no files, no environment, no processes"},
		{From: core, To: []string{"math/rand", "math/rand/v2"}, Direct: true,
			Why: "randomness comes from crypto/rand only"},
		{From: core, To: []string{"encoding/json", "encoding/gob", "encoding/xml", "text/template", "html/template"}, Direct: true,
			Why: "there is one encoding, internal/codec; reflective ones copy secrets about"},
		{From: []string{"./ratchet", "./internal/braid", "./internal/content"}, To: []string{"crypto/ed25519", "crypto/ecdsa", "crypto/rsa", "github.com/cloudflare/circl/sign/..."},
			Why: "a message between two people is authenticated, never signed: what protects it has no signature algorithm at hand (R-THR-04)"},
		{From: server, To: readers(),
			Why: "the server is blind: nothing that can open a message may be linked into it, not even through another package"},
		{From: []string{"./internal/relay"}, To: append(readers(), server...),
			Why: "the vocabulary is where client and server meet and belongs to neither"},
		{From: []string{"./internal/relayclient"}, To: append(readers(), server...),
			Why: "the device's side of the wire carries envelopes and never opens them"},
		{From: []string{"./client", "./internal/vault", "./internal/owner", "./internal/backup"}, To: append([]string{"./cli"}, server...),
			Why: "an embedded client brings neither a terminal nor a server with it"},
		{From: []string{"./client", "./internal/..."}, To: []string{"github.com/spf13/...", "rsc.io/qr/...", "golang.org/x/term"},
			Why: "terminals and flags are the command line's concern"},
		{From: []string{"./lab", "./lab/plot"}, To: append([]string{"./client", "./cli", "./internal/vault", "net", "os/exec", "database/sql/..."}, server...),
			Why: "the laboratory tries the protocol itself: no engine, no network and no disk of its own"},
		{From: []string{"./transcript"}, To: append([]string{"./lab", "./client", "./cli", "./internal/vault", "./internal/session", "net", "os/exec", "database/sql/..."}, server...),
			Why: "whoever was handed a transcript works on it alone: no account, no network, no store"},
		{From: Core(), To: []string{"./lab", "./lab/plot", "./transcript"},
			Why: "what is tried does not know that it is: production code pays nothing for the laboratory"},
		{From: []string{"./client", "./server", "./server/memstore", "./server/sqlitestore"}, To: []string{"./lab", "./lab/plot"},
			Why: "tools that work on stolen state are the command line's to offer, not the library's"},
		{From: []string{"./server"}, To: []string{"database/sql/...", "modernc.org/..."},
			Why: "the server owns small store interfaces; engines import the server, not the other way round"},
		{From: []string{"./server/memstore"}, To: []string{"database/sql/...", "modernc.org/..."},
			Why: "the reference store is plain memory, so that it can be read in one sitting"},
		{From: []string{"."}, To: []string{"./client", "./lab", "./transcript", "./server/...", "./internal/...", "./x3dh", "./ratchet", "./prekeys", "./groups", "./spec/..."}, Direct: true,
			Why: "main only calls cli"},
		{From: []string{"./lab", "./lab/plot", "./transcript", "./client", "./server", "./server/memstore", "./server/sqlitestore", "./x3dh", "./ratchet", "./prekeys", "./groups"},
			To:  []string{"./spec/...", "./internal/conform"},
			Why: "what is specified does not know its specification: only the command line hands it out and checks others against it"},
		{From: []string{".", "./cli", "./lab", "./lab/plot", "./transcript", "./client", "./server", "./server/memstore", "./server/sqlitestore", "./x3dh", "./ratchet", "./prekeys", "./groups"},
			To:  []string{"./internal/policy", "./internal/vectorfile", "./internal/memnet", "./internal/storytest", "./server/storetest", "testing/...", "pgregory.net/...", "github.com/rogpeppe/..."},
			Why: "the specification's tools, test suites and test libraries stay out of the product"},
	}
}

// Mention says that files of From do not use some names of a package that
// they may import for other names.
type Mention struct {
	From    []string
	Package string
	Names   []string
	Why     string
}

// Mentions is the policy about single names.
func Mentions() []Mention {
	return []Mention{
		{From: Core(), Package: "time", Names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
			Why: "the protocol core has no clock: take now as an argument"},
		{From: []string{"./x3dh", "./ratchet", "./internal/session", "./internal/content"}, Package: "crypto/ed25519", Names: []string{"PrivateKey", "Sign", "GenerateKey", "NewKeyFromSeed"},
			Why: "long-term keys sign prekeys and device lists, never messages: no signing key comes here (R-THR-04)"},
		{From: []string{"./client", "./cli", "."}, Package: Module + "/internal/vault", Names: []string{"OpenVolatile"},
			Why: "a store that is not durable uses keys twice when power fails: it is for simulations"},
	}
}

// Requirements lists the modules that go.mod requires directly, with what each
// is for. A new one is added here in the same change, with its reason.
func Requirements() map[string]string {
	return map[string]string{
		"filippo.io/edwards25519":         "X25519 key generation by fixed-base multiplication, twice as fast as crypto/ecdh",
		"github.com/cloudflare/circl":     "X25519 agreement and ML-KEM with assembly, behind internal/dh, internal/kem and internal/braid",
		"github.com/coder/websocket":      "WebSocket for device and server; no dependencies of its own",
		"github.com/fxamacker/cbor/v2":    "CBOR, behind internal/codec, which adds the canonical check",
		"github.com/pelletier/go-toml/v2": "scenario files of the laboratory, read strictly; no dependencies of its own",
		"github.com/rogpeppe/go-internal": "testscript: tests of the command line as scripts; tests only",
		"github.com/spf13/cobra":          "commands, flags, completion",
		"github.com/spf13/pflag":          "the flags of cobra, to find the one that was meant",
		"golang.org/x/crypto":             "Argon2id and ChaCha20-Poly1305, at rest and for linking devices; ACME",
		"golang.org/x/sys":                "file locks, peer credentials of the local socket, fsync of directories",
		"golang.org/x/term":               "passphrase prompts",
		"golang.org/x/text":               "PRECIS profiles for names",
		"golang.org/x/time":               "token buckets for rate limits",
		"modernc.org/sqlite":              "the embedded database, without cgo",
		"pgregory.net/rapid":              "property tests; tests only",
		"rsc.io/qr":                       "QR codes",
	}
}
