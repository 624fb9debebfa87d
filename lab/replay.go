package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/pawl-chat/pawl/internal/codec"
)

var (
	// ErrTrace: bytes that are not a whole trace, or one that was changed.
	ErrTrace = errors.New("lab: not a trace")
	// ErrJudgement: judged again, a trace shows something else than it says.
	ErrJudgement = errors.New("lab: judged again, the trace shows another verdict than it tells")
)

// IsTrace reports whether a file that begins with b is meant to be a trace.
func IsTrace(b []byte) bool {
	return len(b) >= len(traceMagic) && string(b[:len(traceMagic)]) == traceMagic
}

// Replay reads a trace and lets both judges look at it again, on the bytes that
// it carries: no world is played (R-LAB-25). With ErrJudgement there is a report
// too, of what was found now.
func Replay(ctx context.Context, from io.Reader) (*Report, error) {
	p := &replayed{in: bufio.NewReaderSize(from, 64<<10), sum: sha256.New(), world: newWorld(0, nil), theirs: map[peer]int{}}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	r, err := p.world.report(ctx, p.scenario, p.seed)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: it cannot be judged: %w", ErrTrace, err)
		}
		return nil, err
	}
	same := len(p.verdicts) == len(r.Verdicts)
	for i := 0; same && i < len(r.Verdicts); i++ {
		now := verdictItemOf(&r.Verdicts[i])
		same = slices.Equal(codec.Marshal(now), p.verdicts[i])
	}
	if !same {
		return r, ErrJudgement
	}
	return r, nil
}

// replayed is a trace on its way back into what judges look at.
type replayed struct {
	in       *bufio.Reader
	sum      hash.Hash
	length   int64
	items    uint64
	done     bool
	world    *world
	scenario *Scenario
	seed     uint64
	steps    int
	now      uint64
	blobs    [][]byte
	theirs   map[peer]int // number of a device
	values   []name
	final    int
	ended    bool // the outcome has come
	verdicts [][]byte
}

// wrong is a refusal of the item just read.
func (p *replayed) wrong(what string) error {
	return fmt.Errorf("%w: item %d: %s", ErrTrace, p.items, what)
}

func (p *replayed) read(ctx context.Context) error {
	magic := make([]byte, len(traceMagic))
	if err := p.bytes(magic); err != nil || !IsTrace(magic) {
		return fmt.Errorf("%w: it does not begin like one", ErrTrace)
	}
	for !p.done {
		if p.items%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var length [4]byte
		sum := p.sum.Sum(nil)
		if err := p.bytes(length[:]); err != nil {
			return p.cut(err)
		}
		n := binary.BigEndian.Uint32(length[:])
		if n < 2 || n > MaxItem {
			return p.wrong("its length is out of range")
		}
		b := make([]byte, n)
		if err := p.bytes(b); err != nil {
			return p.cut(err)
		}
		if err := p.item(b, sum); err != nil {
			return err
		}
		p.items++
	}
	if _, err := p.in.ReadByte(); err != io.EOF {
		return p.wrong("something comes after the end")
	}
	return p.whole()
}

// cut is the end of the file before the end of the trace, or a failure to read.
func (p *replayed) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrTrace) {
		return p.wrong("it is cut off there, or too long")
	}
	return err
}

func (p *replayed) bytes(b []byte) error {
	if p.length += int64(len(b)); p.length > MaxTrace {
		return ErrTrace
	}
	_, err := io.ReadFull(p.in, b)
	p.sum.Write(b)
	return err
}

// item takes one item. sum is the hash of what came before it.
func (p *replayed) item(b, sum []byte) error {
	kind := uint64(b[1])
	if b[0]>>5 != 4 || kind > kindEnd {
		return p.wrong("there is no such item")
	}
	if (p.items == 0) != (kind == kindHeader) {
		return p.wrong("the header comes first and once")
	}
	if p.ended && kind != kindVerdict && kind != kindEnd {
		return p.wrong("only verdicts come after the outcome")
	}
	take := func(v any) error {
		if codec.Unmarshal(b, MaxItem, v) != nil {
			return p.wrong("it is malformed")
		}
		return nil
	}
	var err error
	switch kind {
	case kindHeader:
		var i headerItem
		if err = take(&i); err == nil {
			err = p.header(&i)
		}
	case kindDevice:
		var i deviceItem
		if err = take(&i); err == nil {
			err = p.device(&i)
		}
	case kindBlob:
		var i blobItem
		if err = take(&i); err == nil {
			p.blobs = append(p.blobs, i.Bytes)
		}
	case kindStep:
		var i stepItem
		if err = take(&i); err == nil {
			p.steps++
			if i.Number != uint64(p.steps) || p.steps > len(p.scenario.Steps) {
				return p.wrong("a step that the scenario does not have there")
			}
			_, err = p.at(i.At)
		}
	case kindMessage:
		var i messageItem
		if err = take(&i); err == nil {
			err = p.message(&i)
		}
	case kindLetter:
		var i letterItem
		if err = take(&i); err == nil {
			err = p.letter(&i)
		}
	case kindRead:
		var i readItem
		if err = take(&i); err == nil {
			err = p.opened(&i)
		}
	case kindRefused:
		var i refusedItem
		if err = take(&i); err == nil {
			_, err = p.who(i.By)
			p.world.counts.refused[i.Why]++
		}
	case kindCrash:
		var i crashItem
		if err = take(&i); err == nil {
			_, err = p.who(i.Of)
			if i.When != crashBefore && i.When != crashAfter {
				return p.wrong("a crash is before or after")
			}
		}
	case kindTheft:
		var i theftItem
		if err = take(&i); err == nil {
			err = p.theft(&i)
		}
	case kindLater:
		var i laterItem
		if err = take(&i); err == nil {
			err = p.later(&i)
		}
	case kindFinal:
		var i finalItem
		if err = take(&i); err == nil {
			err = p.last(&i)
		}
	case kindShown:
		var i shownItem
		if err = take(&i); err == nil {
			err = p.shown(&i)
		}
	case kindValue:
		var i valueItem
		if err = take(&i); err == nil {
			err = p.value(&i)
		}
	case kindRule:
		var i ruleItem
		if err = take(&i); err == nil {
			err = p.rule(&i)
		}
	case kindGroup:
		var i groupItem
		if err = take(&i); err == nil {
			err = p.group(&i)
		}
	case kindEntry:
		var i entryItem
		if err = take(&i); err == nil {
			err = p.entry(&i)
		}
	case kindLog:
		var i logItem
		if err = take(&i); err == nil {
			err = p.log(&i)
		}
	case kindQuantum:
		var i quantumItem
		if err = take(&i); err == nil {
			err = p.quantum(&i)
		}
	case kindRatchet:
		var i ratchetItem
		if err = take(&i); err == nil {
			err = p.ratchet(&i)
		}
	case kindPrekey:
		var i prekeyItem
		if err = take(&i); err == nil {
			err = p.prekey(&i)
		}
	case kindOutcome:
		var i outcomeItem
		if err = take(&i); err == nil {
			err = p.outcome(&i)
		}
	case kindVerdict:
		var i verdictItem
		if err = take(&i); err == nil {
			p.verdicts = append(p.verdicts, b)
		}
	case kindEnd:
		var i endItem
		if err = take(&i); err == nil {
			if i.Count != p.items || !slices.Equal(i.Sum, sum) {
				return p.wrong("the hash of what came before is another: it was changed")
			}
			p.done = true
		}
	}
	return err
}

// whole checks what only the end shows.
func (p *replayed) whole() error {
	switch {
	case !p.ended:
		return p.wrong("it has no outcome")
	case p.final != len(p.world.devices):
		return p.wrong("not every device has a last state")
	case len(p.verdicts) != len(p.world.loots):
		return p.wrong("not every theft has a verdict")
	}
	return nil
}
