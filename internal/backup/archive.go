package backup

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"

	"github.com/pawl-chat/pawl/internal/codec"
)

// Writer writes one sealed file: Put the records in the order of their kinds,
// the identity first, then Close. What was written before Close is refused by
// every reader.
type Writer struct {
	purpose Purpose
	stream  *sealer
	last    Kind
	counts  End
	err     error
}

// NewWriter writes the header.
func NewWriter(to io.Writer, p Purpose, passphrase []byte) (*Writer, error) {
	var salt [32]byte
	var prefix [prefixSize]byte
	rand.Read(salt[:])
	rand.Read(prefix[:])
	return newWriter(to, p, passphrase, defaultCost(), salt, prefix)
}

func newWriter(to io.Writer, p Purpose, passphrase []byte, c Cost, salt [32]byte, prefix [prefixSize]byte) (*Writer, error) {
	secret, err := normalise(passphrase)
	if err != nil {
		return nil, err
	}
	header, key := makeHeader(p, secret, c, salt, prefix)
	clear(secret)
	defer clear(key[:])
	if _, err := to.Write(header); err != nil {
		return nil, err
	}
	return &Writer{purpose: p, stream: newSealer(to, &key, header)}, nil
}

// Put writes a record. One that a reader would refuse is refused here
// (R-BAK-04, R-BAK-05), and nothing further is written.
func (w *Writer) Put(r Record) error {
	if w.err == nil {
		w.err = w.put(r)
	}
	return w.err
}

func (w *Writer) put(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := w.counts.follow(&w.last, r.kind(), w.purpose); err != nil {
		return err
	}
	return w.raw(r.kind(), codec.Marshal(r))
}

func (w *Writer) raw(k Kind, body []byte) error {
	defer clear(body)
	if len(body) > MaxRecord {
		return ErrRecord
	}
	head := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), byte(k))
	if _, err := w.stream.Write(head); err != nil {
		return err
	}
	_, err := w.stream.Write(body)
	return err
}

// Close writes the end. It does not close the file.
func (w *Writer) Close() (End, error) {
	counts := w.counts
	if err := w.Put(&counts); err != nil {
		return End{}, err
	}
	w.err = w.stream.Close()
	if err := w.err; err != nil {
		return End{}, err
	}
	w.err = errors.New("backup: closed")
	return counts, nil
}

// follow counts a record and holds the order (R-BAK-04): one identity, then
// contacts, messages, consumers, and one end.
func (e *End) follow(last *Kind, k Kind, p Purpose) error {
	ok := k >= *last && *last != KindEnd && (*last != 0 || k == KindIdentity)
	switch k {
	case KindIdentity:
		ok = ok && *last == 0
	case KindContact:
		e.Contacts++
		ok = ok && p == Whole
	case KindMessage:
		e.Messages++
		ok = ok && p == Whole
	case KindConsumer:
		e.Consumers++
		ok = ok && p == Whole
	case KindEnd:
	default:
		ok = false
	}
	*last = k
	return require(ok)
}

// Reader reads what a Writer wrote and nothing else.
type Reader struct {
	purpose  Purpose
	stream   *opener
	header   [headerSize]byte
	last     Kind
	counts   End
	contacts map[string]bool
	own      string
	err      error
}

// NewReader reads the header and derives the key.
func NewReader(from io.Reader, p Purpose, passphrase []byte) (*Reader, error) {
	secret, err := normalise(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	b := bufio.NewReaderSize(from, ChunkSize)
	r := &Reader{purpose: p, contacts: map[string]bool{}}
	if _, err := io.ReadFull(b, r.header[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrNotBackup
		}
		return nil, err
	}
	key, err := openHeader(r.header[:], p, secret)
	if err != nil {
		return nil, err
	}
	r.stream = newOpener(b, &key, r.header[:])
	clear(key[:])
	return r, nil
}

// ID names the file: no two have the same.
func (r *Reader) ID() []byte { return r.header[atSalt:atCheck] }

// Next returns the next record, checked, and io.EOF after the end and when
// nothing follows it. The end itself is returned before.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	record, err := r.next()
	r.err = err
	return record, err
}

func (r *Reader) next() (Record, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.stream, head[:]); err != nil {
		switch {
		case errors.Is(err, io.EOF) && r.last == KindEnd:
			return nil, io.EOF
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, ErrRecord // authentic, and yet not whole
		}
		return nil, err
	}
	n, k := binary.BigEndian.Uint32(head[:]), Kind(head[4])
	before := r.counts
	if err := r.counts.follow(&r.last, k, r.purpose); err != nil || n > MaxRecord {
		return nil, ErrRecord
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.stream, body); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrRecord
		}
		return nil, err
	}
	defer clear(body)
	var record Record
	switch k {
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
	if codec.Unmarshal(body, MaxRecord, record) != nil || record.check() != nil {
		return nil, ErrRecord
	}
	switch v := record.(type) {
	case *Identity:
		r.own = v.Address
	case *Contact:
		if r.contacts[v.Address] || v.Address == r.own {
			return nil, ErrRecord
		}
		r.contacts[v.Address] = true
	case *Consumer:
		if v.Taken > r.counts.Messages {
			return nil, ErrRecord
		}
	case *End:
		if *v != before {
			return nil, ErrRecord
		}
	}
	return record, nil
}
