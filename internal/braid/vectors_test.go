package braid

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pawl-chat/pawl/internal/codec"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

type (
	vector = vectorfile.Vector
	fields = vectorfile.Fields
)

func text(b []byte) string { return hex.EncodeToString(b) }

func pieceObject(b []byte) any  { return vectorfile.Object("braid-piece", codec.Marshal(b)) }
func recordObject(b []byte) any { return vectorfile.Object("braid-record", codec.Marshal(b)) }

// counted is n bytes that count from first.
func counted(n int, first byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func TestVectors(t *testing.T) {
	var all []vector
	all = append(all, erasureVectors()...)
	all = append(all, kemVector(t), keysVector())
	all = append(all, exchangeVectors(t)...)
	all = append(all, pieceVectors(t)...)
	all = append(all, recordVectors(t)...)
	vectorfile.Check(t, "../../spec/vectors/braid.json", "braid", all)
}

// erasureVectors are chunks of a part by index (R-BRD-02).
func erasureVectors() (out []vector) {
	for name, c := range map[string]code{"erasure: header": offered[0], "erasure: second part of the ciphertext": answered[1]} {
		part := counted(c.length(), 3)
		chunks := map[string]string{}
		for _, x := range []uint16{0, uint16(c.k - 1), uint16(c.k), uint16(c.k + 1), 1000, 65535} {
			chunks[hex.EncodeToString(binary.BigEndian.AppendUint16(nil, x))] = text(c.append(nil, part, x, 1))
		}
		v := vectorfile.Positive(name, fields{"part": text(part), "chunks_by_index": chunks})
		if c == offered[0] {
			out = append([]vector{v}, out...)
		} else {
			out = append(out, v)
		}
	}
	return out
}

// kemVector is ML-KEM in two steps (R-BRD-03).
func kemVector(t *testing.T) vector {
	seed, m := [seedLen]byte(counted(seedLen, 0)), [randomLen]byte(counted(randomLen, 100))
	header, vec := newKey(&seed)
	ct1 := encapsulate1(&header, &m)
	ct2, shared, err := encapsulate2(&header, vec, &m)
	if err != nil {
		t.Fatal(err)
	}
	return vectorfile.Positive("kem: one encapsulation", fields{
		"seed": text(seed[:]), "m": text(m[:]), "header": text(header[:]), "vector": text(vec), "first": text(ct1), "second": text(ct2), "secret": text(shared[:]),
	})
}

// keysVector is one step of the authentication key, and both MACs (R-BRD-07,
// R-BRD-08).
func keysVector() vector {
	secret := [32]byte(counted(32, 1))
	auth := start(&secret)
	shared := kemSecret(counted(32, 50))
	header := [headerLen]byte(counted(headerLen, 9))
	ct1, ct2 := counted(ct1Len, 11), counted(ct2Len, 13)
	f := fields{"secret": text(secret[:]), "authentication": text(auth[:]), "epoch": 7, "shared": text(shared[:]),
		"header": text(header[:]), "first": text(ct1), "second": text(ct2)}
	tag := auth.header(7, &header)
	next, yield, mac := auth.advance(7, &shared)
	f["header_mac"], f["next"], f["epoch_secret"], f["ciphertext_key"] = text(tag[:]), text(next[:]), text(yield.Key[:]), text(mac[:])
	tag = mac.ciphertext(7, &header, ct1, ct2)
	f["ciphertext_mac"] = text(tag[:])
	return vectorfile.Positive("keys: one epoch", f)
}

// exchangeVectors are two epochs with the randomness of each step given, some
// pieces lost on the way.
func exchangeVectors(t *testing.T) []vector {
	secret := [32]byte(counted(32, 1))
	sides := [2]State{Start(&secret, Initiator), Start(&secret, Responder)}
	start := fields{"secret": text(secret[:]), "initiator": recordObject(sides[0].AppendRecord(nil)), "responder": recordObject(sides[1].AppendRecord(nil))}
	var steps []fields
	var secrets [2][]string
	for i := 0; len(secrets[0]) < 2 || len(secrets[1]) < 2; i++ {
		who := i % 2
		random := [seedLen]byte(counted(seedLen, byte(i)))
		sent := sides[who].Send(500, &random)
		sides[who] = sent.Next
		lost := i == 2 || i == 5
		step := fields{"from": []string{"initiator", "responder"}[who], "room": 500, "random": text(random[:]), "piece": pieceObject(sent.Piece), "lost": lost}
		note := func(who int, name string, s Secret) {
			if s.Epoch != 0 {
				step[name] = text(s.Key[:])
				secrets[who] = append(secrets[who], text(s.Key[:]))
			}
		}
		note(who, "sender_yields", sent.Secret)
		if !lost {
			got, err := sides[1-who].Receive(sent.Piece)
			if err != nil || got.Discarded {
				t.Fatal(err)
			}
			sides[1-who] = got.Next
			note(1-who, "receiver_yields", got.Secret)
		}
		steps = append(steps, step)
	}
	if secrets[0][0] != secrets[1][0] || secrets[0][1] != secrets[1][1] {
		t.Fatal("the sides disagree")
	}
	start["steps"] = steps
	start["initiator_after"] = recordObject(sides[0].AppendRecord(nil))
	start["responder_after"] = recordObject(sides[1].AppendRecord(nil))
	return []vector{vectorfile.Positive("exchange: two epochs with losses", start)}
}

// pieceVectors are pieces that a state refuses.
func pieceVectors(t *testing.T) (out []vector) {
	w := newWorld(t)
	good := w.send(0, 200)
	resting := newWorld(t).states[0]
	listening := w.states[1]
	refuse := func(name, reason string, want error, s State, b []byte) {
		if _, err := s.Receive(b); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		out = append(out, vectorfile.Negative("piece: "+name, reason, fields{"state": text(s.AppendRecord(nil)), "piece": text(b)}))
	}
	const malformed = "braid.ErrMalformed"
	refuse("empty", malformed, ErrMalformed, listening, nil)
	refuse("a chunk is cut off", malformed, ErrMalformed, listening, good[:len(good)-1])
	refuse("trailing byte", malformed, ErrMalformed, listening, append(bytes.Clone(good), 0))
	refuse("epoch 0", malformed, ErrMalformed, listening, appendPiece(nil, 0, 0))
	refuse("unknown status", malformed, ErrMalformed, listening, appendPiece(nil, 1, 4))
	refuse("no chunks in a run", malformed, ErrMalformed, listening, appendRun(appendPiece(nil, 1, 0), 0, 0, 0))
	refuse("more chunks than the header has", malformed, ErrMalformed, listening, append(appendRun(appendPiece(nil, 1, 0), 0, 0, 4), make([]byte, 4*ChunkSize)...))
	refuse("who offers holds the whole ciphertext", malformed, ErrMalformed, listening, appendPiece(nil, 1, 3))
	refuse("an epoch that cannot have begun", "braid.ErrEpoch", ErrEpoch, listening, appendPiece(nil, 2, 0))
	refuse("an answer to nothing", "braid.ErrRolledBack", ErrRolledBack, resting, appendPiece(nil, 1, holdsFirst))
	refuse("parts held that were never sent", "braid.ErrRolledBack", ErrRolledBack, listening, appendPiece(nil, 1, holdsFirst))
	return out
}

// recordVectors are golden states, which stay readable for ever, and records
// that are refused.
func recordVectors(t *testing.T) (out []vector) {
	all := states(t)
	for _, name := range []string{"resting", "offering, some of the ciphertext", "listening, some of the header", "answering", "done"} {
		out = append(out, vectorfile.Positive("record: "+name, fields{"record": recordObject(all[name].AppendRecord(nil))}))
	}
	refuse := func(name string, b []byte) {
		if _, err := ParseRecord(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		out = append(out, vectorfile.Negative("record: "+name, "braid.ErrMalformed", fields{"record": text(b)}))
	}
	short := all["resting"].AppendRecord(nil)
	refuse("cut off", short[:len(short)-1])
	refuse("too long", append(bytes.Clone(short), 0))
	version := bytes.Clone(short)
	version[0] = 2
	refuse("unknown version", version)
	role := bytes.Clone(short)
	role[5] ^= 1 // the epoch
	refuse("a role that is the other side's", role)
	return out
}
