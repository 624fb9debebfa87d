package braid

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// R-BRD-05, R-BRD-11: epochs follow each other with roles exchanged, whatever
// the room, and both sides get the same secrets in the same order.
func TestR_BRD_11_EpochsFollowEachOther(t *testing.T) {
	for _, room := range []int{MinPiece + runLen + ChunkSize, 100, 171, 500, MaxPiece, 4000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			w := newWorld(t)
			w.talk(room, 4)
			for epoch := range uint32(5) {
				if offers(Initiator, epoch) == offers(Responder, epoch) || offers(Initiator, epoch) == offers(Initiator, epoch+1) {
					t.Errorf("epoch %d: wrong roles", epoch)
				}
			}
		})
	}
}

// Randomness matters: two exchanges from one secret differ.
func TestSecretsRestOnRandomness(t *testing.T) {
	secret := [32]byte{1}
	var first [2]Secret
	for i := range first {
		a, b := Start(&secret, Initiator), Start(&secret, Responder)
		for first[i].Epoch == 0 {
			sent := a.Send(1000, drawn())
			a = sent.Next
			got, err := b.Receive(sent.Piece)
			if err != nil {
				t.Fatal(err)
			}
			sent = got.Next.Send(1000, drawn())
			b = sent.Next
			if got, err = a.Receive(sent.Piece); err != nil {
				t.Fatal(err)
			}
			a, first[i] = got.Next, got.Secret
		}
	}
	if first[0].Key == first[1].Key {
		t.Error("two exchanges yield the same")
	}
}

// R-BRD-13: a key is made by the first piece of its epoch and not by receiving;
// and without room nothing happens at all.
func TestR_BRD_13_NothingIsMadeBeforeItIsSent(t *testing.T) {
	w := newWorld(t)
	if p := w.send(0, MinPiece-1); p != nil {
		t.Error("a piece without room")
	}
	if _, ok := w.states[0].turn.(resting); !ok {
		t.Error("a key was made and nothing sent")
	}
	w.receive(1, w.send(0, 2000))
	if _, ok := w.states[1].turn.(*listening); !ok {
		t.Error("receiving made an answer")
	}
	w.send(1, 2000)
	if _, ok := w.states[1].turn.(*done); !ok || len(w.yields[1]) != 1 {
		t.Error("header and vector were there, and the answer is not whole")
	}
}

// R-BRD-10: the short part fills each message first, and a part that the peer
// holds is not sent.
func TestR_BRD_10_WhatFillsTheRoom(t *testing.T) {
	w := newWorld(t)
	const room = MinPiece + 2*runLen + 5*ChunkSize
	counts := func(b []byte) [2]int {
		p, err := parsePiece(b)
		if err != nil {
			t.Fatal(err)
		}
		return [2]int{len(p.runs[0].chunks) / ChunkSize, len(p.runs[1].chunks) / ChunkSize}
	}
	first := w.send(0, room)
	for i, want := range [][2]int{{3, 2}, {3, 2}} {
		if i > 0 {
			first = w.send(0, room)
		}
		if got := counts(first); got != want {
			t.Errorf("message %d: %v chunks, want %v", i, got, want)
		}
	}
	w.receive(1, first)
	p, _ := parsePiece(first)
	if p.runs[0].index != 3 {
		t.Errorf("the second header begins with chunk %d", p.runs[0].index)
	}
	answer := w.send(1, room)
	if got := counts(answer); got != [2]int{5, 0} {
		t.Errorf("the answer begins with %v chunks", got)
	}
	w.receive(0, answer)
	if got := counts(w.send(0, room)); got != [2]int{0, 5} {
		t.Errorf("with the header there, %v chunks", got)
	}
}

// story lets a random schedule of sending, delivering late, twice, in any order
// or never, and restarting run between two sides, while somebody changes pieces
// on the way.
func story(t *rapid.T, w *world, evil tampering) {
	w.broken = evil != honest
	actions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [3]int {
		return [3]int{rapid.IntRange(0, 9).Draw(t, "do"), rapid.IntRange(0, 1).Draw(t, "who"), rapid.IntRange(0, 1<<20).Draw(t, "n")}
	}), 1, 120).Draw(t, "actions")
	for _, a := range actions {
		who, n := a[1], a[2]
		switch do := a[0]; {
		case do < 4: // and deliver
			if p := w.send(who, n%700); p != nil {
				w.receive(1-who, mutate(p, n, evil))
			}
		case do < 6: // and lose, or leave for later
			w.send(who, n%700)
		case do < 9: // any piece ever sent, perhaps not for the first time
			if all := w.sent[who]; len(all) > 0 {
				w.receive(1-who, mutate(all[len(all)-1-n%min(len(all), 1+n>>10)], n, evil))
			}
		case n%2 == 0:
			w.restart(who)
		default: // a crash before the next state was durable: nothing left the device (R-BRD-13)
			w.states[who].Send(n%700, w.random())
			w.restart(who)
		}
	}
}

// tampering is what is changed on the way.
type tampering int

const (
	honest    tampering = iota
	notEpochs           // chunks, indices, status
	anything
)

// mutate changes a piece in one of the ways that leave it well-formed, or in
// any way.
func mutate(b []byte, n int, evil tampering) []byte {
	if evil == honest || n%3 == 0 || evil == notEpochs && n%4 == 0 {
		return b
	}
	b = bytes.Clone(b)
	r := rand.New(rand.NewPCG(uint64(n), 5))
	switch n % 4 {
	case 0:
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	case 1: // a chunk
		if len(b) > MinPiece+runLen {
			b[MinPiece+runLen+r.IntN(len(b)-MinPiece-runLen)] ^= 0x40
		}
	case 2: // index
		if len(b) > MinPiece+runLen {
			b[MinPiece+2] ^= 1
		}
	case 3: // status
		b[epochLen] = byte(r.IntN(4))
	}
	return b
}

// R-BRD-14: loss, delay, duplication and any order only delay: the sides agree
// at all times, and once pieces arrive again the exchange goes on.
func TestR_BRD_14_LossAndDisorderOnlyDelay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		story(rt, w, honest)
		w.talk(171, 2)
	})
}

// R-BRD-08: whoever changes pieces stops or delays the exchange and never makes
// the sides yield different secrets: world checks that at each step.
func TestR_BRD_08_ChangedPiecesNeverSplit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { story(rt, newWorld(t), anything) })
}

// R-BRD-14: once nobody changes pieces any more the exchange goes on, if the
// epochs were left alone.
func TestR_BRD_14_ExchangeRecovers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		story(rt, w, notEpochs)
		w.talk(171, 2)
	})
}

// Whoever changes chunks and nothing else only delays: each part that turns out
// wrong is gathered anew.
func TestChangedChunksOnlyDelay(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t)
		w.broken = true
		r := rand.New(rand.NewPCG(seed, 6))
		discarded := false
		for range 60 {
			for who := range 2 {
				p := bytes.Clone(w.send(who, 171))
				if len(p) > MinPiece+runLen && r.IntN(4) == 0 {
					p[len(p)-1-r.IntN(20)] ^= 1
				}
				discarded = w.receive(1-who, p).Discarded || discarded
			}
		}
		if !discarded {
			t.Error("nothing was ever discarded: the test does not reach what it is for")
		}
		w.talk(171, 2)
	}
}

// A header under another authentication key, such as one who stole no state
// would make, is never answered.
func TestR_BRD_08_ForeignHeaderIsRefused(t *testing.T) {
	w := newWorld(t)
	w.broken = true
	other := Start(&[32]byte{8}, Initiator)
	if got := w.receive(1, other.Send(2000, w.random()).Piece); !got.Discarded {
		t.Error("a foreign header was not discarded")
	}
	if w.send(1, 500); len(w.yields[1]) != 0 || w.states[1].turn.status() != 0 {
		t.Error("a foreign header was answered")
	}
	// The vector came with it and stays until a header judges it.
	w.receive(1, w.send(0, 2000))
	w.talk(171, 1)
}

// Both sides ask for a ciphertext of the other's parts; one made by somebody
// without the authentication key has the wrong MAC and is dropped, one part
// after the other.
func TestR_BRD_08_ForeignCiphertextIsRefused(t *testing.T) {
	w := newWorld(t)
	w.broken = true
	p := w.send(0, 2000)
	// A thief that holds the authentication key of the responder could answer;
	// one that holds another cannot, even with the right header.
	parsed, _ := parsePiece(p)
	l := &listening{}
	l.in.add(&offered, &parsed)
	thief := begin(Responder, 1, authKey{9})
	thief.turn = l
	got := w.receive(0, thief.Send(2000, w.random()).Piece)
	if !got.Discarded || len(w.yields[0]) != 0 {
		t.Error("a ciphertext under another key was taken")
	}
	w.talk(171, 2)
}

func TestR_BRD_12_EpochsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.talk(1300, 3)
	for _, s := range w.states {
		for _, epoch := range []uint32{s.epoch + 2, math.MaxUint32} {
			if _, err := s.Receive(appendPiece(nil, epoch, 0)); !errors.Is(err, ErrEpoch) {
				t.Errorf("epoch %d in epoch %d: %v", epoch, s.epoch, err)
			}
		}
		if got, err := s.Receive(appendPiece(nil, s.epoch-1, 3)); err != nil || got.Next.epoch != s.epoch {
			t.Errorf("a late piece: %v", err)
		}
	}
	// The next epoch can have begun only for who has sent the whole ciphertext.
	if _, err := newWorld(t).states[1].Receive(appendPiece(nil, 2, 0)); !errors.Is(err, ErrEpoch) {
		t.Errorf("epoch 2 before anything: %v", err)
	}
}

func TestAnswersToNothing(t *testing.T) {
	w := newWorld(t)
	for _, p := range [][]byte{
		appendPiece(nil, 1, holdsFirst),
		append(appendRun(appendPiece(nil, 1, 0), 0, 0, 1), make([]byte, ChunkSize)...),
	} {
		if _, err := w.states[0].Receive(p); !errors.Is(err, ErrRolledBack) {
			t.Errorf("%x to a side that offered nothing: %v", p, err)
		}
	}
	if _, err := w.states[1].Receive(appendPiece(nil, 1, holdsFirst)); !errors.Is(err, ErrRolledBack) {
		t.Errorf("parts held that were never sent: %v", err)
	}
}

func TestLastEpoch(t *testing.T) {
	w := newWorld(t)
	for i, side := range []Side{Initiator, Responder} {
		w.states[i] = begin(side, math.MaxUint32, authKey{1})
		w.yields[i] = nil
	}
	offer := w.states[0].Send(2000, w.random())
	heard, err := w.states[1].Receive(offer.Piece)
	if err != nil {
		t.Fatal(err)
	}
	answer := heard.Next.Send(2000, w.random())
	if _, err := offer.Next.Receive(answer.Piece); !errors.Is(err, ErrExhausted) {
		t.Errorf("after the last epoch: %v", err)
	}
}

func TestR_BRD_09_Pieces(t *testing.T) {
	chunk := make([]byte, ChunkSize)
	piece := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	head := appendPiece(nil, 1, 0)
	first := append(appendRun(nil, 0, 9, 1), chunk...)
	second := append(appendRun(nil, 1, 65535, 1), chunk...)
	for _, good := range [][]byte{head, piece(head, first), piece(head, second), piece(head, first, second)} {
		if _, err := parsePiece(good); err != nil {
			t.Errorf("%x: %v", good, err)
		}
	}
	for name, bad := range map[string][]byte{
		"empty":            nil,
		"short":            head[:4],
		"epoch 0":          appendPiece(nil, 0, 0),
		"status":           appendPiece(nil, 1, 4),
		"run cut off":      piece(head, first[:2]),
		"chunk cut off":    piece(head, first[:len(first)-1]),
		"no chunks":        piece(head, appendRun(nil, 0, 0, 0)),
		"wrong order":      piece(head, second, first),
		"first twice":      piece(head, first, first),
		"second twice":     piece(head, second, second),
		"one too many":     piece(head, first, second, second),
		"trailing":         piece(head, first, []byte{0}),
		"longer than ever": piece(head, make([]byte, MaxPiece)),
	} {
		if _, err := parsePiece(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// More chunks than the part has, in either role, and a side that offers
	// and says that it holds the whole ciphertext.
	w := newWorld(t)
	w.send(0, 100)
	for who, bad := range map[int][][]byte{
		1: {piece(head, appendRun(nil, 0, 0, 4), make([]byte, 4*ChunkSize)), appendPiece(nil, 1, 3)},
		0: {piece(head, appendRun(nil, 1, 0, 6), make([]byte, 6*ChunkSize)), piece(head, appendRun(nil, 0, 0, 31), make([]byte, 31*ChunkSize))},
	} {
		for _, b := range bad {
			if _, err := w.states[who].Receive(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("to side %d, %d bytes: %v", who, len(b), err)
			}
		}
	}
}

func TestR_BRD_06_SecretsPrintRedacted(t *testing.T) {
	w := newWorld(t)
	sent := w.states[0].Send(1000, w.random())
	heard, err := w.states[1].Receive(sent.Piece)
	if err != nil {
		t.Fatal(err)
	}
	answer := heard.Next.Send(100, w.random())
	offer := sent.Next.turn.(*offering)
	answering := answer.Next.turn.(*answering)
	for _, v := range []any{sent.Next, sent, heard, answer, *offer, *answering, sent.Next.auth, macKey{1}, kemSecret{1}, Secret{Epoch: 1, Key: [32]byte{1}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s"} {
			if got := fmt.Sprintf(verb, v); got != "braid(redacted)" {
				t.Errorf("%T prints %.40q with %s", v, got, verb)
			}
		}
	}
	if s := fmt.Sprintf("%+v", &sent.Next); strings.Contains(s, "seed") {
		t.Errorf("a pointer prints %.60q", s)
	}
}

// R-BRD-07: each epoch's key comes from the one before and from what ML-KEM
// gave, so who lacks either has nothing.
func TestR_BRD_07_KeysDependOnBoth(t *testing.T) {
	derive := func(a authKey, epoch uint32, k kemSecret) [3][32]byte {
		next, secret, mac := a.advance(epoch, &k)
		return [3][32]byte{next, secret.Key, mac}
	}
	base := derive(authKey{1}, 1, kemSecret{1})
	if base != derive(authKey{1}, 1, kemSecret{1}) {
		t.Error("not a function")
	}
	all := map[[32]byte]bool{}
	for _, d := range [][3][32]byte{base, derive(authKey{2}, 1, kemSecret{1}), derive(authKey{1}, 2, kemSecret{1}), derive(authKey{1}, 1, kemSecret{2})} {
		for _, k := range d {
			if all[k] {
				t.Error("a key repeats")
			}
			all[k] = true
		}
	}
	if start(&[32]byte{1}) == start(&[32]byte{2}) {
		t.Error("the first key does not depend on the secret")
	}
	a, h := authKey{1}, [headerLen]byte{1}
	tags := map[[32]byte]bool{}
	b := authKey{2}
	tags[a.header(1, &h)] = true
	tags[a.header(2, &h)] = true
	tags[b.header(1, &h)] = true
	tags[a.header(1, &[headerLen]byte{2})] = true
	if len(tags) != 4 {
		t.Error("a header's MAC does not depend on everything")
	}
}

// R-BRD-01: successors of one state share no memory that either changes.
func TestR_BRD_01_SuccessorsShareNothingThatChanges(t *testing.T) {
	w := newWorld(t)
	var pieces [][]byte
	for range 12 {
		pieces = append(pieces, w.send(0, 143))
	}
	s := w.states[1]
	for i := range len(pieces) - 2 {
		one, err1 := s.Receive(pieces[i+1])
		record := one.Next.AppendRecord(nil)
		two, err2 := s.Receive(pieces[i+2])
		sent := two.Next.Send(300, w.random())
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if !bytes.Equal(one.Next.AppendRecord(nil), record) {
			t.Fatalf("after piece %d a state was changed by its sibling", i)
		}
		before := two.Next.AppendRecord(nil)
		if two.Next.Send(300, w.random()); !bytes.Equal(two.Next.AppendRecord(nil), before) || len(sent.Piece) == 0 {
			t.Fatal("sending changed a state")
		}
		next, err := s.Receive(pieces[i])
		if err != nil {
			t.Fatal(err)
		}
		s = next.Next
	}
}

// R-BRD-16: the state after an epoch's secret holds nothing that it could be
// found from.
func TestR_BRD_16_NothingIsLeftOfAnEpoch(t *testing.T) {
	w := newWorld(t)
	secret := [32]byte{7}
	first := start(&secret)
	seed := [seedLen]byte(counted(seedLen, 77))
	m := [seedLen]byte(counted(seedLen, 177))
	offer := w.states[0].Send(2000, &seed)
	heard, err := w.states[1].Receive(offer.Piece)
	if err != nil {
		t.Fatal(err)
	}
	answer := heard.Next.Send(2000, &m)
	end, err := offer.Next.Receive(answer.Piece)
	if err != nil || end.Secret.Epoch != 1 || answer.Secret.Epoch != 1 || end.Secret.Key != answer.Secret.Key {
		t.Fatal("the epoch is not over", err)
	}
	holds := func(s State, b []byte) bool { return bytes.Contains(s.AppendRecord(nil), b) }
	if !holds(offer.Next, seed[:32]) || !holds(offer.Next, first[:]) || !holds(heard.Next, first[:]) {
		t.Fatal("the test looks for the wrong bytes")
	}
	for name, s := range map[string]State{"who answered": answer.Next, "who offered": end.Next} {
		for what, b := range map[string][]byte{"the seed": seed[:32], "z": seed[32:], "m": m[:randomLen], "the secret": end.Secret.Key[:], "the old key": first[:], "what both began with": secret[:]} {
			if holds(s, b) {
				t.Errorf("%s still holds %s", name, what)
			}
		}
	}
}
