package session

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/x3dh"
)

const day = 24 * time.Hour

// stage is a world whose steps must all succeed.
type stage struct {
	*world
	t    testing.TB
	a, b *device
}

func newStage(t testing.TB, seed uint64) *stage {
	t.Helper()
	w := newWorld(rand.New(rand.NewPCG(seed, 1)).IntN)
	return &stage{w, t, w.devices[0], w.devices[1]}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// write sends a letter and leaves it in the peer's inbox.
func (s *stage) write(d *device) *letter {
	s.t.Helper()
	l, err := s.send(d, false)
	s.must(err)
	return l
}

// read opens a letter, which must succeed.
func (s *stage) read(d *device, l *letter) {
	s.t.Helper()
	s.must(s.world.open(d, l))
	if !l.opened {
		s.t.Fatalf("%s does not open %q: %v", d.name, l.text, s.met)
	}
	d.inbox = slices.DeleteFunc(d.inbox, func(o *letter) bool { return o == l })
}

func (s *stage) talk(from *device) *letter {
	s.t.Helper()
	l := s.write(from)
	s.read(from.peer, l)
	return l
}

func (s *stage) begins(d *device) ID {
	s.t.Helper()
	s.must(s.begin(d, true))
	return d.pair.Active().ID
}

func (s *stage) active(d *device, want ID, why string) {
	s.t.Helper()
	if got := d.pair.Active(); got == nil || got.ID != want {
		s.t.Fatalf("%s: %s has another session active", why, d.name)
	}
}

// refuses holds that an envelope is refused with want and changes nothing.
func (s *stage) refuses(d *device, initial, message []byte, want error) {
	s.t.Helper()
	if _, _, err := s.try(d, initial, message); !errors.Is(err, want) {
		s.t.Fatalf("%s: %v, want %v", d.name, err, want)
	}
	s.must(d.restart())
}

// crossed lets both sides begin at once; lo is the side with the smaller id.
func crossed(t testing.TB, seed uint64) (s *stage, lo, hi *device) {
	t.Helper()
	s = newStage(t, seed)
	x, y := s.begins(s.a), s.begins(s.b)
	if bytes.Compare(x[:], y[:]) < 0 {
		return s, s.a, s.b
	}
	return s, s.b, s.a
}

func TestR_SES_01_StepsAreValues(t *testing.T) {
	s := newStage(t, 1)
	s.talk(s.a)
	s.talk(s.b)
	l := s.write(s.a)
	before := encode(s.b.pair)
	for range 2 { // the same step twice from the same pair
		o, _, err := s.try(s.b, l.initial, l.message)
		if err != nil || !bytes.Equal(o.Plaintext, l.text) {
			t.Fatal(err)
		}
		if len(o.Next.sessions) != 1 || bytes.Equal(encode(o.Next), before) {
			t.Error("Next is not the next")
		}
	}
	one, _ := s.b.pair.Seal([]byte("x"), s.now)
	next, ch, bye := s.b.pair.Tick(s.now.Add(100 * day))
	if len(next.sessions) != 0 || len(ch.Erase) != 1 || len(bye) != 1 || one.Next.Active() == nil {
		t.Error("Tick did not end the session")
	}
	if !bytes.Equal(encode(s.b.pair), before) {
		t.Error("a step changed its receiver")
	}
}

func TestR_SES_02_TenArchived(t *testing.T) {
	s := newStage(t, 2)
	var ids []ID
	for i := range MaxArchived + 5 {
		s.now = s.now.Add(time.Second)
		ids = append(ids, s.begins(s.a))
		s.talk(s.a)
		want := min(i+1, MaxArchived+1)
		if len(s.b.pair.sessions) != want || len(s.a.pair.sessions) != want {
			t.Fatalf("after %d starts: %d and %d sessions", i+1, len(s.a.pair.sessions), len(s.b.pair.sessions))
		}
	}
	for i, got := range s.b.pair.sessions {
		if got.ID != ids[len(ids)-1-i] {
			t.Errorf("session %d is not the one begun %d before the last", i, i)
		}
	}
	// What gave way was said goodbye to, by the side that had received.
	farewells := 0
	for _, l := range s.a.inbox {
		if l.farewell {
			farewells++
			if wire, err := ratchet.ParseMessage(l.message); err != nil || wire.Type != ratchet.TypeFarewell || len(wire.Disclosed) != 1 {
				t.Errorf("farewell: %v", err)
			}
		}
	}
	if farewells != 4 {
		t.Errorf("%d farewells, want 4", farewells)
	}
	// Also where the new session goes behind the active one.
	s.begins(s.a)
	s.now = s.now.Add(time.Second)
	for n := 0; ; n++ {
		if n == 200 {
			t.Fatal("no start lost")
		}
		id := s.begins(s.b)
		mine := s.a.pair.Active().ID
		if bytes.Compare(id[:], mine[:]) < 0 {
			s.b.forget()
			continue
		}
		s.read(s.a, s.write(s.b))
		s.active(s.a, mine, "a start that lost")
		if got := s.a.pair.sessions; len(got) != MaxArchived+1 || got[1].ID != id {
			t.Errorf("%d sessions", len(got))
		}
		break
	}
}

func TestR_SES_03_FirstMessageIsRepeated(t *testing.T) {
	s := newStage(t, 3)
	one, two := s.write(s.a), s.write(s.a)
	initial := s.a.pair.Active().Initial
	if len(initial) == 0 || !bytes.Equal(one.initial, initial) || !bytes.Equal(two.initial, initial) {
		t.Fatal("the initial message is not repeated")
	}
	s.read(s.b, two) // whichever comes first begins the session
	s.read(s.b, one)
	if len(s.b.pair.sessions) != 1 {
		t.Fatal("two sessions of one start")
	}
	if l := s.write(s.b); len(l.initial) != 0 {
		t.Error("the responder sends an initial message")
	}
	if l := s.write(s.a); len(l.initial) == 0 {
		t.Error("left out before an answer")
	}
	s.read(s.a, s.a.inbox[0])
	if l := s.write(s.a); len(l.initial) != 0 || s.a.pair.Active().Initial != nil {
		t.Error("repeated after the answer")
	}
}

func TestR_SES_04_WhichSessionOpens(t *testing.T) {
	s := newStage(t, 4)
	s.refuses(s.b, nil, []byte{1}, ErrNoSession)
	first := s.write(s.a)
	s.read(s.b, first)
	s.talk(s.b)
	old := s.write(s.a) // on the first session, no initial message
	if len(old.initial) != 0 {
		t.Fatal("not answered")
	}
	s.begins(s.a)
	second := s.talk(s.a)
	// The found session's own refusal comes back, not ErrUnopened.
	bad := slices.Clone(old.message)
	bad[len(bad)-1] ^= 1
	s.refuses(s.b, nil, bad, ratchet.ErrForged)
	s.refuses(s.b, nil, old.message[:20], ratchet.ErrMalformed)
	s.read(s.b, old)
	s.refuses(s.b, nil, old.message, ratchet.ErrDuplicate)
	s.refuses(s.b, second.initial, second.message, ratchet.ErrDuplicate)
	s.refuses(s.b, first.initial, first.message, ratchet.ErrUnknownChain) // its chain is closed
	// A named session is the only one that is tried.
	l := s.write(s.a)
	s.refuses(s.b, first.initial, l.message, ratchet.ErrUnknownChain)
	// Nobody's message.
	noise := make([]byte, ratchet.Overhead)
	noise[0] = ratchet.TypeMessage
	s.refuses(s.b, nil, noise, ErrUnopened)
	s.refuses(s.b, first.initial, noise, ratchet.ErrUnknownChain)
	s.refuses(s.b, []byte("not an initial message"), l.message, x3dh.ErrMalformed)
	if _, err := s.b.pair.Open([]byte("x"), l.message, s.now, nil); !errors.Is(err, ErrUnopened) {
		t.Errorf("without a responder: %v", err)
	}
	// The initial message of an erased session meets an erased prekey.
	s.b.forget()
	s.refuses(s.b, second.initial, second.message, errGone)
}

// R-SES-04: with a last-resort key it meets the replay table.
func TestReplayedInitialOfAnErasedSession(t *testing.T) {
	s := newStage(t, 5)
	s.must(s.begin(s.a, false))
	l := s.talk(s.a)
	s.b.forget()
	s.refuses(s.b, l.initial, l.message, x3dh.ErrReplayed)
}

func TestR_SES_12_NothingIsKeptOfARefusedStart(t *testing.T) {
	for _, oneTime := range []bool{true, false} {
		s := newStage(t, 6)
		s.must(s.begin(s.a, oneTime))
		l, other := s.write(s.a), newStage(t, 7)
		foreign := other.write(other.a)
		noise := make([]byte, ratchet.Overhead)
		noise[0] = ratchet.TypeMessage
		// The server puts another message beside the true initial message.
		s.refuses(s.b, l.initial, noise, ratchet.ErrUnknownChain)
		s.refuses(s.b, l.initial, foreign.message, ratchet.ErrUnknownChain)
		s.refuses(s.b, l.initial, l.message[:30], ratchet.ErrMalformed)
		bad := slices.Clone(l.message)
		bad[len(bad)-1] ^= 1
		s.refuses(s.b, l.initial, bad, ratchet.ErrForged)
		// A first message that says goodbye begins nothing.
		active := s.a.pair.Active()
		bye, err := active.State.Farewell(active.AD[:])
		s.must(err)
		s.refuses(s.b, l.initial, bye, ratchet.ErrMalformed)
		s.read(s.b, l) // the true one is not hurt
	}
}

func TestR_SES_05_CrossedStarts(t *testing.T) {
	for seed := range uint64(8) {
		// Both first messages arrive.
		s, lo, hi := crossed(t, seed)
		x := lo.pair.Active().ID
		fromLo, fromHi := s.write(lo), s.write(hi)
		s.read(lo, fromHi)
		s.active(lo, x, "the larger start arrives")
		s.read(hi, fromLo)
		s.active(hi, x, "the smaller start arrives")
		if len(s.talk(lo).initial) == 0 || len(s.talk(hi).initial) != 0 || len(s.talk(lo).initial) != 0 {
			t.Error("wrong initial messages")
		}
		s.active(lo, x, "after talk")
		s.active(hi, x, "after talk")

		// The larger start arrives late, after the answer on the smaller: it
		// could be a peer that has lost its state, and is preferred.
		s, lo, hi = crossed(t, seed)
		x, y := lo.pair.Active().ID, hi.pair.Active().ID
		fromHi = s.write(hi)
		s.talk(lo)
		s.talk(hi)
		s.active(lo, x, "answered")
		s.read(lo, fromHi)
		s.active(lo, y, "a start after the answer")
		s.read(hi, s.write(lo))
		s.active(hi, y, "the first answer")

		// The larger start never arrives: nothing is lost.
		s, lo, hi = crossed(t, seed)
		x = lo.pair.Active().ID
		s.write(hi)
		s.talk(lo)
		s.talk(hi)
		s.active(lo, x, "answered")
		s.active(hi, x, "answered")
	}
	// A peer that lost its state begins anew, whatever the ids.
	for seed := range uint64(8) {
		s := newStage(t, seed)
		s.talk(s.a)
		s.talk(s.b)
		s.a.forget()
		l := s.talk(s.a)
		s.active(s.b, l.session, "a new start")
		s.talk(s.b)
	}
}

func TestR_SES_06_UnansweredEnds(t *testing.T) {
	s := newStage(t, 8)
	s.write(s.a)
	s.now = s.now.Add(UnansweredFor - day)
	s.write(s.a) // sending does not keep it
	s.now = s.now.Add(day - time.Millisecond)
	if next, ch, bye := s.a.pair.Tick(s.now); next.Active() == nil || len(ch.Erase)+len(ch.Write)+len(bye) != 0 {
		t.Error("ended too early")
	}
	next, ch, bye := s.a.pair.Tick(s.now.Add(time.Millisecond))
	if next.Active() != nil || len(ch.Erase) != 1 || len(bye)+len(ch.Farewells) != 0 {
		t.Error("not ended, or with a farewell that nobody can open")
	}
	// One that was answered once and no more ends as well, though in use, and
	// discloses what was received.
	s = newStage(t, 8)
	s.talk(s.a)
	s.talk(s.b)
	for range 30 {
		s.write(s.a)
		if next, _, _ := s.a.pair.Tick(s.now); next.Active() == nil {
			t.Fatal("ended too early")
		}
		s.now = s.now.Add(UnansweredFor / 30)
	}
	next, ch, bye = s.a.pair.Tick(s.now)
	if next.Active() != nil || len(ch.Erase) != 1 || len(bye) != 1 {
		t.Error("a session without a peer goes on for ever")
	}
	// One that is answered goes on.
	s = newStage(t, 8)
	for range 5 {
		s.talk(s.a)
		s.talk(s.b)
		s.now = s.now.Add(UnansweredFor / 3)
		for _, d := range s.devices {
			if next, _, _ := d.pair.Tick(s.now); next.Active() == nil {
				t.Fatal("a session in use ended")
			}
		}
	}
}

func TestR_SES_07_IdleFarewell(t *testing.T) {
	s := newStage(t, 9)
	s.talk(s.a)
	s.talk(s.b)
	received := s.talk(s.a)
	late := s.write(s.a)
	s.now = s.now.Add(IdleFor)
	if next, _, bye := s.b.pair.Tick(s.now.Add(-time.Millisecond)); len(bye) != 0 || next.Active() == nil {
		t.Fatal("too early")
	}
	next, ch, bye := s.b.pair.Tick(s.now)
	if next.Active() != nil || len(ch.Erase) != 1 || len(ch.Farewells) != 0 || len(bye) != 1 || bye[0].Session != received.session {
		t.Fatal("not ended")
	}
	s.must(s.b.commit(next, ch))
	// The farewell discloses what b received, and b opens nothing more.
	wire, err := ratchet.ParseMessage(bye[0].Message)
	s.must(err)
	if !slices.ContainsFunc(wire.Disclosed, func(seed [32]byte) bool {
		return ratchet.VerifyDisclosed(seed, received.at.Number, received.message, received.ad[:])
	}) {
		t.Error("the farewell does not disclose")
	}
	s.refuses(s.b, late.initial, late.message, ErrNoSession)
	// a answers with what it received, and opens nothing more either.
	o, _, err := s.try(s.a, nil, bye[0].Message)
	s.must(err)
	if !o.Farewell || len(o.Plaintext) != 0 || len(o.Next.sessions) != 0 || len(o.Change.Erase) != 1 || !o.Switched || len(o.Disclosed) == 0 {
		t.Errorf("%+v", o)
	}
	reply, err := ratchet.ParseMessage(o.Reply)
	if err != nil || reply.Type != ratchet.TypeFarewell || len(reply.Disclosed) == 0 {
		t.Error("no reply", err)
	}
	s.must(s.a.commit(o.Next, o.Change))
	s.refuses(s.a, nil, bye[0].Message, ErrNoSession)
	s.refuses(s.b, nil, o.Reply, ErrNoSession)
	// Receiving and sending both put the end off.
	for _, act := range []func(*stage){func(s *stage) { s.talk(s.a) }, func(s *stage) { s.talk(s.b) }} {
		s := newStage(t, 10)
		s.talk(s.a)
		s.talk(s.b)
		s.now = s.now.Add(IdleFor - time.Millisecond)
		act(s)
		s.now = s.now.Add(IdleFor - time.Millisecond)
		for _, d := range s.devices {
			if next, _, _ := d.pair.Tick(s.now); next.Active() == nil {
				t.Error("a session in use ended")
			}
		}
	}
}

func TestR_SES_08_Heartbeat(t *testing.T) {
	s := newStage(t, 11)
	for i := range ratchet.HeartbeatAfter {
		if (Pair{}).HeartbeatDue() || s.b.pair.HeartbeatDue() {
			t.Fatalf("due after %d", i)
		}
		s.talk(s.a)
	}
	if !s.b.pair.HeartbeatDue() {
		t.Fatal("not due")
	}
	s.talk(s.b)
	if s.b.pair.HeartbeatDue() || s.a.pair.HeartbeatDue() {
		t.Error("still due")
	}
}

func TestR_SES_09_FollowingThePeer(t *testing.T) {
	// Own start whose initial message the peer cannot take: after enough
	// messages on the peer's session that one is used.
	s, lo, hi := crossed(t, 12)
	x, y := lo.pair.Active().ID, hi.pair.Active().ID
	clear(hi.keys)
	l := s.write(lo)
	s.refuses(hi, l.initial, l.message, errGone)
	s.read(lo, s.write(hi))
	for range 2*FollowAfter - 1 {
		s.active(lo, x, "still hoping")
		s.talk(hi)
	}
	s.active(lo, x, "one before")
	s.talk(hi)
	s.active(lo, y, "followed")
	s.talk(lo)

	// The other way round half as many will do.
	s, lo, hi = crossed(t, 12)
	x = lo.pair.Active().ID
	clear(lo.keys)
	s.read(hi, s.write(lo))
	s.active(hi, x, "the smaller start arrives")
	first := ID{0xff}
	for first[0] >= 0x40 { // so that a larger one is drawn before the first is evicted
		s = newStage(t, 13)
		s.talk(s.a)
		s.talk(s.b)
		first = s.a.pair.Active().ID
	}
	var second ID
	for second = s.begins(s.a); bytes.Compare(first[:], second[:]) > 0; second = s.begins(s.a) {
	}
	for i := range FollowAfter {
		s.active(s.a, second, "own start")
		if i == FollowAfter/2 {
			s.must(s.a.restart()) // the count is kept
		}
		s.talk(s.b)
	}
	s.active(s.a, first, "followed to the smaller id")

	// Of two own starts the answer to the newer one counts at once, the late
	// answer to the older one does not.
	s = newStage(t, 13)
	older := s.begins(s.a)
	s.talk(s.a)
	answer := s.write(s.b)
	s.now = s.now.Add(time.Second)
	newest := s.begins(s.a)
	s.read(s.a, answer)
	if older == newest {
		t.Fatal("one id for two starts")
	}
	s.active(s.a, newest, "an answer to the older start")

	// A message on the active session begins the count anew.
	s = newStage(t, 14)
	s.talk(s.a)
	s.talk(s.b)
	stay := s.begins(s.a)
	held, again := s.write(s.b), s.write(s.b) // on the first session
	s.talk(s.a)
	for range 3 * FollowAfter {
		s.talk(s.b)
	}
	s.read(s.a, held)
	s.active(s.a, stay, "one old message")
	if s.a.pair.Active().Elsewhere != 1 {
		t.Errorf("counts %d", s.a.pair.Active().Elsewhere)
	}
	s.talk(s.b)
	if s.a.pair.Active().Elsewhere != 0 {
		t.Error("the count goes on")
	}

	// So does one that begins a chain while the skipped keys of the oldest go.
	for range ratchet.MaxChains + 1 {
		s.write(s.b) // lost
		s.talk(s.b)
		s.talk(s.a)
	}
	s.read(s.a, again)
	if s.a.pair.Active().Elsewhere != 1 {
		t.Errorf("counts %d", s.a.pair.Active().Elsewhere)
	}
	s.talk(s.b)
	if s.a.pair.Active().Elsewhere != 0 {
		t.Error("a message that ratchets does not count as new")
	}

	// The peer began both: its last word counts at once, but not a late one.
	s = newStage(t, 15)
	s.talk(s.a)
	s.talk(s.b)
	gap, next := s.write(s.a), s.write(s.a)
	old := next.session
	s.read(s.b, next) // gap is skipped
	newer := s.begins(s.a)
	withheld := s.write(s.a)
	s.active(s.b, old, "the new start is withheld")
	s.read(s.b, withheld)
	s.active(s.b, newer, "the new start")
	s.read(s.b, gap)
	s.active(s.b, newer, "a late message")
}

// A server that delivers an initial message it withheld, of a session older
// than the active one, diverts the responder only until the initiator speaks.
func TestWithheldStart(t *testing.T) {
	s := newStage(t, 16)
	old := s.write(s.a)
	newer := s.begins(s.a)
	s.talk(s.a)
	s.read(s.b, old)
	s.active(s.b, old.session, "a new start")
	s.talk(s.a)
	s.active(s.b, newer, "the initiator's last word")
}

// R-SES-09: the server cannot steer by adding or leaving out the initial
// message of an envelope.
func TestStrippedInitialSteersNothing(t *testing.T) {
	s, lo, hi := crossed(t, 17)
	x := lo.pair.Active().ID
	s.read(lo, s.write(hi))
	l := s.write(hi)
	o, _, err := s.try(lo, nil, l.message)
	s.must(err)
	with, _, err := s.try(lo, l.initial, l.message)
	s.must(err)
	if o.Next.Active().ID != x || with.Next.Active().ID != x || !bytes.Equal(encode(o.Next), encode(with.Next)) {
		t.Error("the envelope decides")
	}
}

func TestR_SES_10_ClockSetBack(t *testing.T) {
	s := newStage(t, 18)
	s.now = s.now.Add(1000 * day)
	s.talk(s.a)
	s.talk(s.b)
	s.begins(s.b)
	s.now = s.now.Add(-1000 * day)
	next, ch, _ := s.b.pair.Tick(s.now)
	if len(ch.Write) != 2 || len(ch.Erase) != 0 {
		t.Fatalf("%d written, %d erased", len(ch.Write), len(ch.Erase))
	}
	s.must(s.b.commit(next, ch))
	if _, ch, _ := next.Tick(s.now); len(ch.Write) != 0 {
		t.Error("changes again")
	}
	if next, _, _ := s.b.pair.Tick(s.now.Add(UnansweredFor)); len(next.sessions) != 0 {
		t.Error("lives on in the future")
	}
	// Times before 1970 are taken as 1970.
	s.now = time.Unix(-100, 0)
	s.must(s.begin(s.a, true))
	if got := s.a.pair.Active().Started; !got.Equal(time.Unix(0, 0)) {
		t.Error(got)
	}
}
