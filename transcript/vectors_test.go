package transcript

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/dh"
	"github.com/pawl-chat/pawl/internal/vectorfile"
)

// recorded are transcripts as they were once forged: forging draws randomness,
// so these can only be read again.
func recorded(t *testing.T, name string, make func() (*Transcript, error)) *Transcript {
	t.Helper()
	path := "testdata/" + name
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		tr, err := make()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := tr.Write(&out); err != nil {
			t.Fatal(err)
		}
		b = out.Bytes()
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	tr, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func known(n byte, addr string) Party {
	key := dh.FromBytes([32]byte{n, 1})
	return Party{Account: [32]byte{n}, Address: addr, Devices: []Device{{uint64(n), key.Public().Array()}}}
}

func TestVectors(t *testing.T) {
	a, b := known(1, "alice@example.org"), known(2, "bob12@example.org")
	var lines []Line
	for i, text := range []string{"Shall we meet?", "At noon.", "I bring the oars.", "Good.", "Till then."} {
		lines = append(lines, Line{[]string{a.Address, b.Address}[i%2], text, time.UnixMilli(1763726400000 + int64(i)*60000).UTC()})
	}
	var vectors []vectorfile.Vector
	for name, tr := range map[string]*Transcript{
		"pair":  recorded(t, "pair.transcript", func() (*Transcript, error) { return Forge(a, b, lines) }),
		"group": recorded(t, "group.transcript", func() (*Transcript, error) { return ForgeGroup(groups.ID{7}, []Party{a, b}, lines) }),
	} {
		r, err := tr.Verify()
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := tr.Write(&file); err != nil {
			t.Fatal(err)
		}
		var items []any
		for rest := file.Bytes()[len(magic):]; len(rest) > 0; {
			n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
			items = append(items, vectorfile.Object("transcript-item", rest[4:4+n]))
			rest = rest[4+n:]
		}
		var verdicts []any
		for _, v := range r.Verdicts {
			f := map[string]any{"state": string(v.State)}
			if v.State == Verified {
				f["by"], f["number"], f["seed"] = v.By, v.Number, hex.EncodeToString(v.Seed[:])
			}
			verdicts = append(verdicts, f)
		}
		vectors = append(vectors, vectorfile.Positive(name, vectorfile.Fields{"items": items, "verdicts": verdicts}))
		cut := file.Bytes()[:file.Len()-1]
		if _, err := Read(bytes.NewReader(cut)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		vectors = append(vectors, vectorfile.Negative(name+", without its last byte", "ErrMalformed", vectorfile.Fields{"file_tail": hex.EncodeToString(cut[len(cut)-8:])}))
	}
	if vectors[0].Name != "pair" { // maps have no order
		vectors = append(vectors[2:], vectors[:2]...)
	}
	vectorfile.Check(t, "../spec/vectors/transcript.json", "transcript", vectors)
}
