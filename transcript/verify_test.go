package transcript_test

import (
	"bytes"
	"errors"
	"math"
	"math/bits"
	"reflect"
	"strings"
	"testing"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
	"github.com/pawl-chat/pawl/transcript"
	"github.com/pawl-chat/pawl/x3dh"
)

const (
	alice = "alice@example.org"
	bob   = "bob12@example.org"
)

func verify(t testing.TB, tr *transcript.Transcript) *transcript.Report {
	t.Helper()
	r, err := tr.Verify()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bare is a transcript as somebody has it who only saw the wire.
func bare(t *transcript.Transcript) *transcript.Transcript {
	out := *t
	out.Messages = nil
	for _, m := range t.Messages {
		m.Place, m.Text = nil, ""
		out.Messages = append(out.Messages, m)
	}
	return &out
}

// R-TRN-05: what was disclosed verifies, the rest is not held against anybody,
// and what was altered is found where its place is claimed.
func TestR_TRN_05_Pair(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	tr := genuine(t, a, b, script(40, alice, bob))
	r := verify(t, tr)
	if r.Bad != 0 || r.Verified < 30 || !r.Complete || r.Verified+r.NoKey != 40 {
		t.Fatalf("%+v", r)
	}
	if r.Verdicts[39].State != transcript.NoKey {
		t.Error("the last chain is closed already")
	}
	for i, v := range verify(t, bare(tr)).Verdicts {
		if v.State != r.Verdicts[i].State || v.Seed != r.Verdicts[i].Seed || v.Number != r.Verdicts[i].Number {
			t.Errorf("message %d: %v without places, %v with them", i, v, r.Verdicts[i])
		}
	}
	// An altered byte.
	at := 4
	for r.Verdicts[at].State != transcript.Verified || at == 0 || *tr.Messages[at].Place == *tr.Messages[at-1].Place {
		at++
	}
	first := at // another message of its chain must verify
	for i := range tr.Messages {
		if p, q := tr.Messages[i].Place, tr.Messages[at].Place; i != at && p.Chain == q.Chain && r.Verdicts[i].State == transcript.Verified {
			first = i
		}
	}
	env := bytes.Clone(tr.Messages[at].Envelope)
	env[len(env)-40] ^= 1
	tr.Messages[at].Envelope = env
	v := verify(t, tr).Verdicts[at]
	if first != at && (v.State != transcript.Bad || v.Reason != "tag") || v.State == transcript.Verified {
		t.Errorf("an altered message is %+v", v)
	}
	if v := verify(t, bare(tr)).Verdicts[at]; v.State != transcript.NoKey {
		t.Errorf("an altered message without a place is %+v", v)
	}
}

// R-TRN-06
func TestR_TRN_06_Group(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	tr := genuineGroup(t, groups.NewID(), []*device{a, b}, script(20, alice, bob))
	if r := verify(t, tr); r.Verified != 20 {
		t.Fatalf("%+v", r)
	}
	env := bytes.Clone(tr.Messages[3].Envelope)
	env[len(env)-70] ^= 1
	tr.Messages[3].Envelope = env
	if v := verify(t, tr).Verdicts[3]; v.State != transcript.Bad || v.Reason != "signature" {
		t.Errorf("%+v", v)
	}
	keys := tr.Keys
	tr.Keys = keys[:1]
	for i, v := range verify(t, tr).Verdicts {
		if mine := strings.HasPrefix(tr.Keys[0].Address, "alice") == (script(20, alice, bob)[i].From == alice); !mine && v.State != transcript.NoKey {
			t.Errorf("message %d: %v", i, v)
		}
	}
	// A key under somebody else's name is the key of no chain.
	tr.Keys = []transcript.Key{keys[0]}
	tr.Keys[0].Address, tr.Keys[0].Device = keys[1].Address, keys[1].Device
	if r := verify(t, tr); r.NoKey != 20 {
		t.Errorf("%+v", r)
	}
}

// R-TRN-09, R-TRN-10, R-TRN-11, R-TRN-13: a verifier sees no difference between a
// genuine and a forged transcript of the same talk: the same verdicts, the same
// fields of the same lengths, and random bytes that are as random.
func TestR_TRN_13_ForgedLooksGenuine(t *testing.T) {
	lines := script(200, alice, bob)
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	real := genuine(t, a, b, lines)
	forged, err := transcript.Forge(a.party(), b.party(), lines)
	if err != nil {
		t.Fatal(err)
	}
	received, _, err := transcript.ForgeReceived(&b.own, a.party(), lines)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*transcript.Transcript{"forged": forged, "received": received} {
		same(t, name, real, f)
		same(t, name+", bare", bare(real), bare(f))
	}
	id := groups.NewID()
	c := newDevice(t, "carol@example.org", 3)
	lines = script(120, alice, bob, c.own.Address)
	forged, err = transcript.ForgeGroup(id, []transcript.Party{a.party(), b.party(), c.party()}, lines)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "group", genuineGroup(t, id, []*device{a, b, c}, lines), forged)
}

func same(t *testing.T, name string, a, b *transcript.Transcript) {
	t.Helper()
	ra, rb := verify(t, a), verify(t, b)
	if ra.Verified != rb.Verified || ra.Verified == 0 || ra.Bad+rb.Bad != 0 {
		t.Errorf("%s: %d and %d verified", name, ra.Verified, rb.Verified)
	}
	ea, err := a.Explain()
	if err != nil {
		t.Fatal(err)
	}
	eb, err := b.Explain()
	if err != nil {
		t.Fatal(err)
	}
	ones := map[string][4]int{} // by field: bits set and bits, in either
	for i := range ea {
		va, vb := ra.Verdicts[i], rb.Verdicts[i]
		if va.State != vb.State || va.By != vb.By || va.Number != vb.Number {
			t.Fatalf("%s: message %d: %+v and %+v", name, i, va, vb)
		}
		if ea[i].Type != eb[i].Type || len(ea[i].Fields) != len(eb[i].Fields) {
			t.Fatalf("%s: message %d: %v and %v", name, i, ea[i], eb[i])
		}
		for j, x := range ea[i].Fields {
			y := eb[i].Fields[j]
			if x.Name != y.Name || x.Bytes != y.Bytes || x.Meaning != y.Meaning || len(x.Value) != len(y.Value) && !strings.HasSuffix(x.Name, "_id") {
				t.Fatalf("%s: message %d: %+v and %+v", name, i, x, y)
			}
			switch x.Name {
			case "salt", "header", "disclosed_key", "body", "tag", "ephemeral_key", "signature":
				n := ones[x.Name]
				for _, c := range []byte(strings.TrimSuffix(x.Value, "…")) {
					n[0], n[1] = n[0]+weight(c), n[1]+4
				}
				for _, c := range []byte(strings.TrimSuffix(y.Value, "…")) {
					n[2], n[3] = n[2]+weight(c), n[3]+4
				}
				ones[x.Name] = n
			}
		}
	}
	for field, n := range ones {
		if field == "ephemeral_key" || field == "signature" { // have bits that are always zero
			continue
		}
		for k := 0; k < 4; k += 2 {
			if z := math.Abs(float64(n[k])-float64(n[k+1])/2) / math.Sqrt(float64(n[k+1])/4); z > 6 {
				t.Errorf("%s: %s: %d of %d bits are set", name, field, n[k], n[k+1])
			}
		}
	}
	if len(ones) < 2 {
		t.Errorf("%s: only %d fields were compared", name, len(ones))
	}
}

func weight(hex byte) int {
	return bits.OnesCount8(uint8(strings.IndexByte("0123456789abcdef", hex) & 15))
}

// R-TRN-10, R-TRN-12: what the receiver forges stands up to the receiver's
// private keys; what is forged of public keys does not, and that takes them.
func TestR_TRN_10_StandsUpToPrivateKeys(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	lines := script(12, alice, bob)
	tr, keys, err := transcript.ForgeReceived(&b.own, a.party(), lines)
	if err != nil {
		t.Fatal(err)
	}
	env, err := content.DecodeEnvelope(tr.Messages[0].Envelope)
	if err != nil {
		t.Fatal(err)
	}
	open := func(initial []byte, k *x3dh.Keys) (string, error) {
		acc, err := x3dh.Respond(&b.own, a.own.Party, initial, k)
		if err != nil {
			return "", err
		}
		o, err := ratchet.Respond(&acc.Secret, acc.RatchetKey).Open(env.Message, acc.AD[:], noon)
		if err != nil {
			return "", err
		}
		c, err := content.Decode(o.Plaintext)
		return c.Text.Text, err
	}
	k := keys[x3dh.SessionID(env.Initial)]
	if text, err := open(env.Initial, k); err != nil || text != lines[0].Text {
		t.Errorf("%q, %v", text, err)
	}
	if tr, err = transcript.Forge(a.party(), b.party(), lines); err != nil {
		t.Fatal(err)
	}
	other := env.Initial
	if env, err = content.DecodeEnvelope(tr.Messages[0].Envelope); err != nil {
		t.Fatal(err)
	}
	if _, err := open(other, k); !errors.Is(err, ratchet.ErrUnknownChain) {
		t.Errorf("a message forged of public keys: %v", err)
	}
	if _, _, err := transcript.ForgeReceived(&a.own, b.party(), lines); !errors.Is(err, transcript.ErrStart) {
		t.Errorf("a session that oneself began: %v", err)
	}
}

// R-TRN-09: people with several devices.
func TestForgeForAllDevices(t *testing.T) {
	a, b := newDevice(t, alice, 1), newDevice(t, bob, 2)
	p, q := a.party(), b.party()
	p.Devices = append(p.Devices, transcript.Device{ID: 7, Identity: newDevice(t, alice, 7).own.Identity.Array()})
	q.Devices = append(q.Devices, transcript.Device{ID: 8, Identity: newDevice(t, bob, 8).own.Identity.Array()})
	tr, err := transcript.Forge(p, q, script(30, alice, bob))
	if err != nil {
		t.Fatal(err)
	}
	r := verify(t, tr)
	if len(tr.Messages) != 60 || r.Verified == 0 || r.Bad != 0 {
		t.Errorf("%d messages, %+v", len(tr.Messages), r)
	}
	if !reflect.DeepEqual(r, verify(t, tr)) {
		t.Error("two looks, two reports")
	}
}
