package backup

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/internal/devicelist"
	"github.com/pawl-chat/pawl/internal/dh"
)

var (
	passphrase = []byte("correct horse")
	cheap      = Cost{1, minArgonMemory, 1}
	noon       = time.Unix(1_790_000_000, 0)
)

// chain is the device list of an account made of fixed seeds.
func chain(t testing.TB, name string, seed byte) (key []byte, entries [][]byte) {
	t.Helper()
	key = bytes.Repeat([]byte{seed}, ed25519.SeedSize)
	account := ed25519.NewKeyFromSeed(key)
	sign := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed + 1}, ed25519.SeedSize))
	addr, err := address.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	pub := account.Public().(ed25519.PublicKey)
	identity := dh.FromBytes([dh.Size]byte(bytes.Repeat([]byte{seed + 2}, dh.Size)))
	d := devicelist.NewDevice(pub, addr, address.Device(seed), sign, identity.Public(), "", noon)
	entry, err := devicelist.Sign(devicelist.First(pub, addr, d, noon), account)
	if err != nil {
		t.Fatal(err)
	}
	return key, [][]byte{entry}
}

func identity(t testing.TB) *Identity {
	key, entries := chain(t, "alice@example.org", 1)
	return &Identity{Address: "alice@example.org", AccountKey: key, Chain: entries, Host: "example.org", Device: 1, Created: noon.Unix(), Made: noon.UnixMilli()}
}

func contact(t testing.TB) *Contact {
	_, entries := chain(t, "bob@example.org", 5)
	return &Contact{Address: "bob@example.org", Alias: "bobby", Chain: entries, Verified: true, FirstSeen: noon.UnixMilli(), Known: true}
}

func message(n byte) *Message {
	return &Message{
		ID: bytes.Repeat([]byte{n}, 16), Conversation: "bob@example.org", From: "alice@example.org", FromDevice: 1, To: "bob@example.org", Outgoing: true,
		Kind: "text", Text: "hello", SentAt: noon.UnixMilli(), Status: "accepted", Devices: []State{{Device: 5, Status: "accepted"}},
	}
}

func records(t testing.TB) []Record {
	return []Record{identity(t), contact(t), message(1), message(2), &Consumer{Name: "default", Taken: 1}}
}

func start(t testing.TB, to io.Writer, p Purpose) *Writer {
	t.Helper()
	w, err := newWriter(to, p, passphrase, cheap, [32]byte{1}, [prefixSize]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func sealedFile(t testing.TB, all ...Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w := start(t, &b, Whole)
	for _, r := range all {
		if err := w.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// forged seals records as somebody who knows the passphrase may: unchecked.
func forged(t testing.TB, all ...Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w := start(t, &b, Whole)
	for _, r := range all {
		if err := w.raw(r.kind(), codec.Marshal(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.stream.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte, pass []byte) (all []Record, err error) {
	r, err := NewReader(bytes.NewReader(b), Whole, pass)
	if err != nil {
		return nil, err
	}
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, record)
	}
}

func TestR_BAK_04_WhatIsWrittenIsRead(t *testing.T) {
	want := records(t)
	got, err := read(sealedFile(t, want...), passphrase)
	if err != nil || len(got) != len(want)+1 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i := range want {
		if !bytes.Equal(codec.Marshal(want[i]), codec.Marshal(got[i])) {
			t.Errorf("record %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if end := *got[len(want)].(*End); end != (End{1, 2, 1}) {
		t.Errorf("%+v", end)
	}
	// Spellings of one passphrase are one.
	var b bytes.Buffer
	w, err := newWriter(&b, Whole, []byte("caf\u00e9"), cheap, [32]byte{1}, [prefixSize]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	w.Put(identity(t))
	w.Close()
	if _, err := read(b.Bytes(), []byte("cafe\u0301")); err != nil {
		t.Errorf("the other spelling: %v", err)
	}
}

// Order, counts and completeness are held even against who knows the
// passphrase.
func TestR_BAK_04_OrderAndCounts(t *testing.T) {
	id, c, m := identity(t), contact(t), message(1)
	whole := &End{1, 1, 0}
	for name, all := range map[string][]Record{
		"no identity":                {c, m, whole},
		"two identities":             {id, id, c, m, whole},
		"a message before a contact": {id, m, c, whole},
		"no end":                     {id, c, m},
		"something after the end":    {id, c, m, whole, m},
		"a wrong count":              {id, c, m, &End{1, 2, 0}},
		"a contact twice":            {id, c, c, m, &End{2, 1, 0}},
		"a consumer ahead":           {id, c, m, &Consumer{Name: "x", Taken: 2}, &End{1, 1, 1}},
		"nothing":                    {},
	} {
		_, err := read(forged(t, all...), passphrase)
		if want := ErrRecord; !errors.Is(err, want) && (name != "nothing" || !errors.Is(err, ErrDamaged)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read(forged(t, id, c, m, whole), passphrase); err != nil {
		t.Errorf("the good one: %v", err)
	}
	w := start(t, io.Discard, Recovery)
	w.Put(id)
	if err := w.Put(m); !errors.Is(err, ErrRecord) {
		t.Errorf("a message in a recovery file: %v", err)
	}
}

// Every byte of the file counts, and so does its end.
func TestR_BAK_03_EveryByteCounts(t *testing.T) {
	good := sealedFile(t, records(t)...)
	header, key := makeHeader(Whole, passphrase, cheap, [32]byte{1}, [prefixSize]byte{2})
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		var err error
		if i < headerSize {
			_, err = read(bad, passphrase)
		} else { // without deriving the key anew each time
			r := &Reader{purpose: Whole, contacts: map[string]bool{}, stream: newOpener(bufio.NewReader(bytes.NewReader(bad[headerSize:])), &key, header)}
			_, err = r.Next()
		}
		if !errors.Is(err, ErrDamaged) && !(i < len(magic) && errors.Is(err, ErrNotBackup)) && !(i >= atVersion && i < atPurpose && errors.Is(err, ErrNewer)) {
			t.Fatalf("byte %d of %d altered: %v", i, len(good), err)
		}
	}
	for _, n := range []int{0, 1, headerSize - 1, headerSize, headerSize + 1, headerSize + 16, len(good) - 1} {
		if _, err := read(good[:n], passphrase); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotBackup) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := read(append(bytes.Clone(good), 0), passphrase); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := read(append(bytes.Clone(good), good...), passphrase); !errors.Is(err, ErrDamaged) {
		t.Errorf("twice: %v", err)
	}
}

// Chunks hold their places: swapped, repeated, missing or cut at a border,
// the file is refused.
func TestR_BAK_03_ChunksHoldTheirPlaces(t *testing.T) {
	all := []Record{identity(t)}
	for n := range byte(6) {
		m := message(n + 1)
		m.Text = strings.Repeat("x", content.MaxText)
		all = append(all, m)
	}
	good := sealedFile(t, all...)
	const sealedChunk = ChunkSize + 16
	head, body := good[:headerSize], good[headerSize:]
	chunk := func(i int) []byte { return body[i*sealedChunk : min((i+1)*sealedChunk, len(body))] }
	last := (len(body) - 1) / sealedChunk
	if last < 5 {
		t.Fatalf("only %d chunks", last+1)
	}
	join := func(order ...int) []byte {
		out := bytes.Clone(head)
		for _, i := range order {
			out = append(out, chunk(i)...)
		}
		return out
	}
	straight := make([]int, last+1)
	for i := range straight {
		straight[i] = i
	}
	if _, err := read(join(straight...), passphrase); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, order := range map[string][]int{
		"swapped":  append([]int{1, 0}, straight[2:]...),
		"repeated": append([]int{0, 0}, straight[1:]...),
		"missing":  append([]int{0}, straight[2:]...),
		"cut":      straight[:last],
		"only end": {last},
		"none":     {},
	} {
		if _, err := read(join(order...), passphrase); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A length that fills the last chunk exactly.
	for _, n := range []int{ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize} {
		header, key := makeHeader(Whole, passphrase, cheap, [32]byte{1}, [prefixSize]byte{2})
		var b bytes.Buffer
		s := newSealer(&b, &key, header)
		s.Write(bytes.Repeat([]byte{7}, n))
		s.Close()
		r, err := NewReader(io.MultiReader(bytes.NewReader(header), &b), Whole, passphrase)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.stream); err != nil || len(got) != n {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
}

func TestR_BAK_02_PassphraseAndCost(t *testing.T) {
	good := sealedFile(t, identity(t))
	if _, err := read(good, []byte("wrong")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong: %v", err)
	}
	for _, p := range [][]byte{nil, {}, []byte("a\x00b"), {0xff}, bytes.Repeat([]byte("a"), MaxPassphrase+1)} {
		if _, err := read(good, p); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%q: %v", p, err)
		}
		if _, err := NewWriter(io.Discard, Whole, p); !errors.Is(err, ErrPassphrase) {
			t.Errorf("writing under %q: %v", p, err)
		}
	}
	for name, change := range map[string]func([]byte){
		"memory":    func(b []byte) { binary.BigEndian.PutUint32(b[atMemory:], 1<<31) },
		"no memory": func(b []byte) { binary.BigEndian.PutUint32(b[atMemory:], 8) },
		"time":      func(b []byte) { binary.BigEndian.PutUint32(b[atTime:], 1<<20) },
		"no time":   func(b []byte) { binary.BigEndian.PutUint32(b[atTime:], 0) },
		"threads":   func(b []byte) { b[atThreads] = 255 },
		"no thread": func(b []byte) { b[atThreads] = 0 },
	} {
		if _, err := read(altered(good, change), passphrase); !errors.Is(err, ErrCost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !defaultCost().valid() {
		t.Error("new backups would be refused")
	}
}

// altered changes the header of a file and sets its checksum right.
func altered(good []byte, change func([]byte)) []byte {
	b := bytes.Clone(good)
	change(b)
	copy(b[atSum:headerSize], checksum(b))
	return b
}

func TestR_BAK_03_OtherVersionsAndPurposes(t *testing.T) {
	good := sealedFile(t, identity(t))
	if _, err := read(altered(good, func(b []byte) { b[atVersion+1] = 2 }), passphrase); !errors.Is(err, ErrNewer) {
		t.Errorf("version 2: %v", err)
	}
	if _, err := read(altered(good, func(b []byte) { b[atVersion+1] = 0 }), passphrase); !errors.Is(err, ErrDamaged) {
		t.Errorf("version 0: %v", err)
	}
	if _, err := NewReader(bytes.NewReader(good), Recovery, passphrase); !errors.Is(err, ErrPurpose) {
		t.Errorf("another purpose: %v", err)
	}
	// The purpose is sealed too.
	relabelled := altered(good, func(b []byte) { b[atPurpose] = byte(Recovery) })
	r, err := NewReader(bytes.NewReader(relabelled), Recovery, passphrase)
	if err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("relabelled: %v", err)
	}
	if _, err := read([]byte("-----BEGIN PGP MESSAGE-----\n"+strings.Repeat("x", 200)), passphrase); !errors.Is(err, ErrNotBackup) {
		t.Errorf("something else: %v", err)
	}
}

// Who knows the passphrase cannot bring records into a store that pawl would
// not have put there.
func TestR_BAK_05_HostileRecords(t *testing.T) {
	id, c := identity(t), contact(t)
	key, other := chain(t, "bob@example.org", 9)
	_, mallory := chain(t, "mallory@example.org", 13)
	with := func(change func(*Message)) Record { m := message(1); change(m); return m }
	as := func(change func(*Contact)) Record { x := *c; change(&x); return &x }
	is := func(change func(*Identity)) Record { x := *id; change(&x); return &x }
	refused := map[string]Record{
		"a text too long":        with(func(m *Message) { m.Text = strings.Repeat("x", content.MaxText+1) }),
		"a subject too long":     with(func(m *Message) { m.Subject = strings.Repeat("x", content.MaxSubject+1) }),
		"a kind that is no word": with(func(m *Message) { m.Kind = "\x1b[2J" }),
		"no kind":                with(func(m *Message) { m.Kind = "" }),
		"a status that is none":  with(func(m *Message) { m.Status = "Read it!" }),
		"a short id":             with(func(m *Message) { m.ID = m.ID[:15] }),
		"no conversation":        with(func(m *Message) { m.Conversation = "" }),
		"half a group":           with(func(m *Message) { m.To = "#mfrggzdfmztwq2lknnwg23tpoa" }),
		"an odd group":           with(func(m *Message) { m.Conversation, m.To = "#MFRGGZDFMZTWQ2LKNNWG23TPOA", "#MFRGGZDFMZTWQ2LKNNWG23TPOA" }),
		"a mention of nobody":    with(func(m *Message) { m.Conversation, m.Mentions = "#mfrggzdfmztwq2lknnwg23tpoa", []string{"x"} }),
		"a short signature":      with(func(m *Message) { m.Signature, m.Signed = make([]byte, 63), 1 }),
		"a signature of no word": with(func(m *Message) { m.Signature = make([]byte, 64) }),
		"a word of no signature": with(func(m *Message) { m.Signed = 1 }),
		"another word of it":     with(func(m *Message) { m.Signature, m.Signed = make([]byte, 64), 3 }),
		"mentions between two":   with(func(m *Message) { m.Mentions = []string{m.From} }),
		"an odd address":         with(func(m *Message) { m.From = "Alice@EXAMPLE.org" }),
		"a time before time":     with(func(m *Message) { m.SentAt = -1 }),
		"a time beyond time":     with(func(m *Message) { m.ReceivedAt = 1 << 60 }),
		"a device twice":         with(func(m *Message) { m.Devices = append(m.Devices, m.Devices[0]) }),
		"devices without end":    with(func(m *Message) { m.Devices = make([]State, MaxStates+1) }),
		"a broken chain":         as(func(c *Contact) { b := bytes.Clone(c.Chain[0]); b[len(b)-40] ^= 1; c.Chain = [][]byte{b} }),
		"no chain":               as(func(c *Contact) { c.Chain = [][]byte{} }),
		"another's chain":        as(func(c *Contact) { c.Chain = mallory }),
		"a pending that is none": as(func(c *Contact) { c.Pending = c.Chain }),
		"another's pending":      as(func(c *Contact) { c.Pending = mallory }),
		"an alias that is none":  as(func(c *Contact) { c.Alias = "a@b" }),
		"an alias that hides":    as(func(c *Contact) { c.Alias = "a\u202eb" }),
		"an alias for oneself":   as(func(c *Contact) { c.Alias = "me" }),
		"oneself as contact":     as(func(c *Contact) { c.Address, c.Chain = id.Address, id.Chain }),
		"another's account key":  is(func(i *Identity) { i.AccountKey = key }),
		"a short account key":    is(func(i *Identity) { i.AccountKey = i.AccountKey[:31] }),
		"another's list":         is(func(i *Identity) { i.Chain = other }),
		"an odd pin":             is(func(i *Identity) { i.Pin = []byte{1} }),
		"no server":              is(func(i *Identity) { i.Host = "" }),
	}
	for name, r := range refused {
		all := []Record{id, r, &End{}}
		switch r.kind() {
		case KindIdentity:
			all = []Record{r, &End{}}
		case KindContact:
			all[2] = &End{Contacts: 1}
		default:
			all[2] = &End{Messages: 1}
		}
		if _, err := read(forged(t, all...), passphrase); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What a later version may write is kept.
	if _, err := read(forged(t, id, with(func(m *Message) { m.Kind, m.Status = "hologram", "touched" }), &End{Messages: 1}), passphrase); err != nil {
		t.Errorf("an unknown kind: %v", err)
	}
	inGroup := with(func(m *Message) {
		m.Conversation, m.To = "#mfrggzdfmztwq2lknnwg23tpoa", "#mfrggzdfmztwq2lknnwg23tpoa"
		m.Mentions, m.RetoldBy = []string{"alice@example.org"}, "alice@example.org"
	})
	if _, err := read(forged(t, id, inGroup, &End{Messages: 1}), passphrase); err != nil {
		t.Errorf("a group's message: %v", err)
	}
	if _, err := read(forged(t, id, as(func(c *Contact) { c.Pending = other }), &End{Contacts: 1}), passphrase); err != nil {
		t.Errorf("a changed identity: %v", err)
	}
	// A record of an unknown number, and one longer than it may be.
	for _, head := range [][]byte{{0, 0, 0, 1, 7, 0xa0}, {0xff, 0xff, 0xff, 0xff, 3}, {0, 0, 0, 9, 3, 1}} {
		var b bytes.Buffer
		w := start(t, &b, Whole)
		w.Put(id)
		w.stream.Write(head)
		w.stream.Close()
		if _, err := read(b.Bytes(), passphrase); !errors.Is(err, ErrRecord) {
			t.Errorf("%x: %v", head, err)
		}
	}
}

// The records that a fuzzer makes: what is accepted is canonical.
func FuzzRecords(f *testing.F) {
	for _, r := range records(f) {
		f.Add(byte(r.kind()), codec.Marshal(r))
	}
	f.Add(byte(KindEnd), codec.Marshal(&End{}))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		var record Record
		switch Kind(kind) {
		case KindIdentity:
			record = new(Identity)
		case KindContact:
			record = new(Contact)
		case KindMessage:
			record = new(Message)
		case KindConsumer:
			record = new(Consumer)
		default:
			record = new(End)
		}
		if codec.Unmarshal(body, MaxRecord, record) == nil && record.check() == nil && !bytes.Equal(codec.Marshal(record), body) {
			t.Errorf("%x is not what it encodes to", body)
		}
	})
}

// FuzzStream seals whatever it is given under the right key: a reader ends with
// an error or with a whole backup, and never panics.
func FuzzStream(f *testing.F) {
	header, key := makeHeader(Whole, passphrase, cheap, [32]byte{1}, [prefixSize]byte{2})
	var plain []byte
	for _, r := range append(records(f), &End{1, 2, 1}) {
		body := codec.Marshal(r)
		plain = append(binary.BigEndian.AppendUint32(plain, uint32(len(body))), byte(r.kind()))
		plain = append(plain, body...)
	}
	f.Add(plain)
	f.Add([]byte{0, 0, 0, 1, 9})
	f.Fuzz(func(t *testing.T, plain []byte) {
		var b bytes.Buffer
		s := newSealer(&b, &key, header)
		s.Write(plain)
		s.Close()
		r := &Reader{purpose: Whole, contacts: map[string]bool{}, stream: newOpener(bufio.NewReader(&b), &key, header)}
		ended := false
		for {
			record, err := r.Next()
			if err != nil {
				if errors.Is(err, io.EOF) != ended {
					t.Errorf("ended %v with %v", ended, err)
				}
				return
			}
			_, ended = record.(*End)
		}
	})
}

// FuzzHeader reads whatever it is given; nothing that was not made with the
// key opens.
func FuzzHeader(f *testing.F) {
	good := sealedFile(f, identity(f))
	f.Add(good)
	f.Add(good[:headerSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize && b[atTime] == 0 && binary.BigEndian.Uint32(b[atMemory:]) > minArgonMemory {
			return // right, and slow
		}
		if all, err := read(b, []byte("another")); err == nil {
			t.Errorf("opened: %d records", len(all))
		}
	})
}
