package client

import (
	"slices"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/vault"
)

// R-GRP-66: questions are asked at once and then ever more rarely; what has been
// answered is not asked for again.
func TestR_GRP_66_Pauses(t *testing.T) {
	for tries, want := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour} {
		if got := askPause(uint64(tries)); got != want {
			t.Errorf("%d: %v", tries, got)
		}
	}
	if got := askPause(1 << 40); got != 24*time.Hour {
		t.Error(got)
	}
	r := &askRecord{}
	if r.askAt() < lastOrder || r.answerAt() < lastOrder {
		t.Error("nothing is lacking, and something is due")
	}
	chain := groups.ChainID{1}
	addLack(&r.Lacks, lackRecord{Chain: chain[:], Indexes: []uint32{7, 3, 7}})
	if r.askAt() != 0 || !slices.Equal(r.Lacks[0].Indexes, []uint32{3, 7}) {
		t.Errorf("%+v", r)
	}
	if addLack(&r.Lacks, lackRecord{Chain: chain[:], Indexes: []uint32{3}}) {
		t.Error("what is lacking already is lacking anew")
	}
	r.Asked, r.Tries = 1000, 1
	if got := r.askAt(); got != 1000+time.Hour.Milliseconds() {
		t.Error(got)
	}
	if !r.found(chain, 3) || r.found(chain, 3) || r.found(groups.ChainID{2}, 7) {
		t.Error("found what was not lacking, or not what was")
	}
	if got := r.unanswered(lackRecord{Chain: chain[:], Indexes: []uint32{3, 4, 7}}); !slices.Equal(got, []uint32{4, 7}) {
		t.Error(got)
	}
	if !r.found(chain, 7) || r.lacking() || r.Tries != 0 {
		t.Errorf("%+v", r)
	}
	for i := range 3 * MaxAskedChains {
		c := groups.ChainID{byte(i), 1}
		var many []uint32
		for n := range 2 * groups.MaxAsked {
			many = append(many, uint32(n))
		}
		addLack(&r.Lacks, lackRecord{Chain: c[:], Indexes: many})
	}
	if n := len(r.Lacks); n != MaxAskedChains || len(r.Lacks[n-1].Indexes) != groups.MaxAsked || r.Lacks[n-1].Indexes[0] != groups.MaxAsked {
		t.Errorf("%d chains", n)
	}
}

// R-GRP-67: a device is answered a few times an hour.
func TestR_GRP_67_Answers(t *testing.T) {
	now := time.UnixMilli(1 << 40)
	chain := groups.ChainID{1}
	r := &askRecord{Owed: []lackRecord{{Chain: chain[:], Key: true}}}
	for range GroupAnswers {
		if r.answerAt() > now.UnixMilli() {
			t.Fatal("not answered")
		}
		r.answered(now)
	}
	if r.answerAt() <= now.Add(59*time.Minute).UnixMilli() {
		t.Error("answered without end")
	}
	if now = now.Add(time.Hour); r.answerAt() > now.UnixMilli() {
		t.Error("not answered after an hour")
	}
	if r.answered(now); r.Answers != 1 {
		t.Errorf("%+v", r)
	}
}

// R-GRP-69: what was asked for in vain for long is told, once.
func TestR_GRP_69_GivingUp(t *testing.T) {
	c, group := talkers(t, "alice", "bob")
	ctx := t.Context()
	id, _ := groupID(group)
	e := c.of["alice"].engine
	bob := peerKey{c.address("bob"), c.of["bob"].engine.self.device}
	chain := groups.ChainID{9}
	err := e.groupStep(ctx, func(w *work) error {
		r, err := getAsk(w.tx, id, bob)
		if err != nil {
			return err
		}
		now := e.now()
		r.Lacks = []lackRecord{
			{Chain: chain[:], Indexes: []uint32{1, 2, 3}, Since: now.Add(-GroupAskFor).UnixMilli()},
			{Chain: []byte("another chain id"), Indexes: []uint32{4}, Since: now.Add(time.Hour - GroupAskFor).UnixMilli()},
		}
		for range 2 {
			if err := w.giveUp(id, &r); err != nil {
				return err
			}
		}
		if len(r.Lacks) != 1 || r.Lacks[0].Indexes[0] != 4 {
			t.Errorf("%+v", r.Lacks)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.of["alice"].History(ctx, group, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range h {
		if m.Notice == NoticeMessagesMissing {
			if n++; m.Text != "3" || m.From != bob.address {
				t.Errorf("%+v", m)
			}
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

// R-GRP-63: a device is believed about what was for it, for each member by
// itself, and a status never falls.
func TestR_GRP_63_Claims(t *testing.T) {
	now := time.UnixMilli(1 << 40)
	me, b1, b2, x := peerKey{"me@h", 1}, peerKey{"bob@h", 2}, peerKey{"bob@h", 3}, peerKey{"cem@h", 4}
	r := &messageRecord{ID: make([]byte, 16), From: "me@h", Outgoing: true, Status: string(StatusSending), Conversation: groupName(groups.ID{1})}
	r.addressedTo([]peerKey{me, b1, b2, x})
	if r.claimedBy(b1, StatusDelivered, now) {
		t.Error("believed before it was sealed")
	}
	r.SealedAt = 1
	r.acceptedInGroup(&groupSettled{full: []peerKey{b2}})
	r.sum(StatusAccepted)
	if s := r.perMember(); len(s) != 2 || s["bob@h"] != StatusAccepted || s["cem@h"] != StatusAccepted {
		t.Errorf("%v", s)
	}
	if r.claimedBy(peerKey{"eve@h", 4}, StatusRead, now) || r.claimedBy(peerKey{"bob@h", 4}, StatusRead, now) {
		t.Error("believed somebody whom it was not for")
	}
	step := func(k peerKey, claim Status, changed bool, whole Status) {
		t.Helper()
		if r.claimedBy(k, claim, now) != changed || Status(r.Status) != whole {
			t.Errorf("%v %v: whole %v", k, claim, r.Status)
		}
	}
	step(b1, StatusRead, true, StatusAccepted)
	step(b1, StatusDelivered, false, StatusAccepted)
	step(me, StatusRead, true, StatusAccepted)
	step(x, StatusDelivered, true, StatusDelivered)
	step(b2, StatusDelivered, true, StatusDelivered) // it was left out, and has got it since
	step(x, StatusRead, true, StatusRead)
	m := r.message()
	if m.PerMember["bob@h"] != StatusRead || len(m.PerDevice) != 3 || len(m.Receipts) != 3 {
		t.Errorf("%+v", m)
	}
	// Who is no member any more and has it stays; who has not goes.
	y := &messageRecord{From: "me@h", SealedAt: 1}
	y.addressedTo([]peerKey{b1, x})
	y.acceptedInGroup(&groupSettled{})
	y.claimedBy(b1, StatusDelivered, now)
	y.addressedTo([]peerKey{b2})
	if len(y.Members) != 2 || y.Members[0].key() != b1 || y.Members[1].key() != b2 {
		t.Errorf("%+v", y.Members)
	}
}

// R-GRP-70: chains end with their time, and are forgotten in the end.
func TestR_GRP_70_OldChains(t *testing.T) {
	c, group := talkers(t, "alice", "bob")
	ctx := t.Context()
	id, _ := groupID(group)
	c.say("bob", "one")
	c.got("alice")
	e := c.of["alice"].engine
	states := func() (all []groups.Receiving) {
		err := e.view(ctx, func(tx *vault.Tx) error {
			return tx.Scan(tableChain, id[:], firstOrder, lastOrder, 0, false, func(row vault.Row) error {
				r, err := decodeRecord[chainRecord](row.Value)
				if err != nil {
					return err
				}
				s, err := groups.ParseReceiving(r.State)
				all = append(all, s)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := states(); len(all) != 1 || all[0].Closed() {
		t.Fatalf("%d chains", len(all))
	}
	for _, step := range []struct {
		later  time.Duration
		chains int
		closed bool
	}{{groups.ChainLife - time.Hour, 1, false}, {groups.ChainLife + time.Hour, 1, true}, {ClosedChainFor + time.Hour, 0, true}} {
		if err := e.lookAtChains(ctx, id, e.now().Add(step.later)); err != nil {
			t.Fatal(err)
		}
		all := states()
		if len(all) != step.chains || len(all) == 1 && all[0].Closed() != step.closed {
			t.Errorf("after %v: %d chains", step.later, len(all))
		}
	}
}

// R-GRP-62: the life of a message to a group, in words.
func TestR_GRP_62_Explained(t *testing.T) {
	at := time.UnixMilli(1 << 40)
	m := Message{
		Direction: Out, Kind: KindText, Group: "#g", From: "me@h", To: "#g", Status: StatusAccepted, SentAt: at, SealedAt: at, AcceptedAt: at,
		PerDevice: map[string]Status{"1": StatusDelivered, "2": StatusAccepted, "3": StatusAccepted},
		PerMember: map[string]Status{"a@h": StatusDelivered, "b@h": StatusAccepted},
	}
	x := Explain(m)
	if x.Next != "1 of 2 members have not said that a device of theirs has it: they may be switched off" ||
		!slices.ContainsFunc(x.Steps, func(s Step) bool { return s.What == "sealed once, for 3 devices of 2 members" }) {
		t.Errorf("%+v", x)
	}
	x = Explain(Message{Direction: In, Kind: KindText, Group: "#g", RetoldBy: "a@h", SentAt: at, ReceivedAt: at})
	if len(x.Steps) != 2 || x.Steps[1].What != "retold by a@h, who has let you in; that it was said, and by whom, is their word" {
		t.Errorf("%+v", x)
	}
}
