package sqlitestore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/server"
)

// childDir makes the test binary run as the child of TestR_STO_01_kill.
const childDir = "PAWL_TEST_STORE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" && os.Getenv(childDir+"_ROUND") == "flush" {
		flushChild(dir)
		return
	} else if dir != "" {
		child(dir, os.Getenv(childDir+"_ROUND"))
		return
	}
	os.Exit(m.Run())
}

const (
	childSenders = 8
	childTakers  = 2
)

var at = time.UnixMilli(1_800_000_000_000)

// child appends and takes until it is killed, and prints what the store
// acknowledged: "A sender number" and "T id".
func child(dir, round string) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Println("E", err)
		return
	}
	ctx := context.Background()
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	var r uint64
	fmt.Sscan(round, &r)
	var wg sync.WaitGroup
	for sender := range uint64(childSenders) {
		wg.Go(func() {
			for n := uint64(0); ; n++ {
				if _, err := s.Append(ctx, []server.Envelope{killEnvelope(r, sender, n)}); err != nil {
					say("E %v", err)
					return
				}
				say("A %d %d", sender, n)
			}
		})
	}
	wg.Go(func() {
		c := killGroup(r)
		if err := s.CreateGroup(ctx, c); err != nil {
			say("E %v", err)
			return
		}
		for seq := uint64(2); ; seq++ {
			if _, err := s.AppendGroup(ctx, killEntry(r, seq)); err != nil {
				say("E %v", err)
				return
			}
			say("G %d", seq)
		}
	})
	taker := server.Device{User: "taker", ID: 1}
	var batch sync.Mutex
	put := uint64(0)
	for range childTakers {
		wg.Go(func() {
			for {
				t, err := s.TakeOneTime(ctx, taker)
				if err != nil {
					say("E %v", err)
					return
				}
				if t.EC != nil {
					say("T %d", t.EC.ID)
					continue
				}
				batch.Lock()
				put++
				set := server.OneTimeSet{Device: 1, Kind: server.OneTimeEC, Batch: server.BatchID{byte(r), byte(put), byte(put >> 8)}}
				for i := range uint64(50) {
					set.Keys = append(set.Keys, server.OneTimeKey{ID: r<<40 | put<<16 | i + 1, Public: []byte("public")})
				}
				batch.Unlock()
				if err := s.PutOneTime(ctx, "taker", set); err != nil {
					say("E %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// flushChild acknowledges one message, then its disk fails to flush.
func flushChild(dir string) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Println("E", err)
		return
	}
	ctx := context.Background()
	_, err = s.Append(ctx, []server.Envelope{killEnvelope(1, 1, 1)})
	fmt.Println("A", err)
	s.do(ctx, 0, func(w *writer) error {
		w.sync = func() error { return codeError(lib.SQLITE_IOERR_FSYNC) }
		return nil
	})
	fmt.Println("still here")
}

// The default of Options.Fatal ends the process before anybody is answered.
func TestR_STO_12_exit(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDir+"_ROUND=flush")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("the process ended with %v", err)
	}
	if string(out) != "A <nil>\n" || !bytes.Contains(stderr.Bytes(), []byte("failed to flush")) {
		t.Fatalf("it said %q and %q", out, stderr.Bytes())
	}
	s := mustOpen(t, dir)
	r, err := s.Append(context.Background(), []server.Envelope{killEnvelope(1, 1, 1)})
	ok(t, err)
	if !r[0].Duplicate {
		t.Fatal("the acknowledged message is gone")
	}
}

// killEnvelope is message n of a sender; every sender has a device of its own
// in each round, changing after 500 so that no mailbox is full.
func killEnvelope(round, sender, n uint64) server.Envelope {
	var id server.MessageID
	binary.BigEndian.PutUint64(id[:], sender+1)
	binary.BigEndian.PutUint64(id[8:], n)
	return server.Envelope{
		Device: server.Device{User: "alice", ID: address.Device(round<<32 | sender<<24 | n/500 + 1)},
		ID:     id, At: at, Body: bytes.Repeat(id[:], 1+int(n%64)),
	}
}

// killGroup is the group of a round; every fifth entry begins an epoch.
func killGroup(round uint64) server.GroupCreation {
	e := killEntry(round, 1)
	return server.GroupCreation{Group: e.Group, Token: e.Token, Entry: e.Entry}
}

func killEntry(round, seq uint64) server.GroupAppend {
	head := func(seq uint64) (h server.GroupHead) {
		binary.BigEndian.PutUint64(h[:], seq)
		return h
	}
	token := func(seq uint64) (t server.GroupToken) {
		binary.BigEndian.PutUint64(t[:], (seq-1)/5+1)
		return t
	}
	a := server.GroupAppend{Group: server.GroupID{byte(round)}, Token: token(seq), Entry: server.GroupEntry{Seq: seq, Head: head(seq), Blob: bytes.Repeat([]byte{byte(seq)}, 100)}}
	if seq > 1 {
		a.Entry.Prev = head(seq - 1)
	}
	if next := token(seq + 1); next != a.Token {
		a.Next = &next
	}
	return a
}

// R-STO-01, R-STO-07, R-STO-30: whatever was acknowledged when the process was killed is
// there when the store is opened again, and no key that was given comes back.
func TestR_STO_01_kill(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	ctx := context.Background()
	ok(t, s.CreateAccount(ctx, server.Registration{User: "taker"}))
	ok(t, s.Close())
	given := map[uint64]bool{}
	total, entries := 0, uint64(0)
	for round := range uint64(6) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_ROUND=%d", childDir, round+1))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		limit := 50 + rand.IntN(3000)
		var acked [childSenders][]uint64
		placed := uint64(0)
		lines := bufio.NewReader(out)
		for n := 0; ; n++ {
			if n == limit {
				cmd.Process.Kill()
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				break // the last line may be cut off: it does not count
			}
			var sender, number uint64
			switch {
			case line[0] == 'A':
				fmt.Sscanf(line, "A %d %d", &sender, &number)
				acked[sender] = append(acked[sender], number)
				total++
			case line[0] == 'G':
				fmt.Sscanf(line, "G %d", &placed)
			case line[0] == 'T':
				fmt.Sscanf(line, "T %d", &number)
				if given[number] {
					t.Fatalf("key %d was given twice", number)
				}
				given[number] = true
			default:
				t.Fatalf("the child says %q", line)
			}
		}
		cmd.Wait()

		s := mustOpen(t, dir)
		ok(t, s.Check(ctx))
		for sender := range acked {
			for _, n := range acked[sender] {
				e := killEnvelope(round+1, uint64(sender), n)
				r, err := s.Append(ctx, []server.Envelope{e})
				ok(t, err)
				if !r[0].Duplicate {
					t.Fatalf("round %d: message %d of sender %d was acknowledged and is not stored", round, n, sender)
				}
			}
			for first := 0; first < len(acked[sender]); first += 500 {
				e := killEnvelope(round+1, uint64(sender), uint64(first))
				msgs, _, err := s.Read(ctx, e.Device, 0, 1000, 1<<30)
				ok(t, err)
				for i, m := range msgs {
					want := killEnvelope(round+1, uint64(sender), uint64(first+i))
					if m.ID != want.ID || !bytes.Equal(m.Body, want.Body) || m.Damaged {
						t.Fatalf("round %d: message %d of sender %d is out of place", round, first+i, sender)
					}
				}
			}
		}
		for seq := uint64(1); seq <= placed; seq++ {
			want := killEntry(round+1, seq)
			got, st, err := s.ReadGroup(ctx, want.Group, want.Token, seq, 1, 1)
			ok(t, err)
			if len(got) != 1 || got[0].Seq != seq || got[0].Head != want.Entry.Head || !bytes.Equal(got[0].Blob, want.Entry.Blob) || st.Ended != (st.Seq%5 == 0) {
				t.Fatalf("round %d: entry %d was acknowledged and is %+v of %+v", round, seq, got, st)
			}
		}
		entries += placed
		for {
			taken, err := s.TakeOneTime(ctx, server.Device{User: "taker", ID: 1})
			ok(t, err)
			if taken.EC == nil {
				break
			}
			if given[taken.EC.ID] {
				t.Fatalf("key %d was given before the crash and again after it", taken.EC.ID)
			}
			given[taken.EC.ID] = true
		}
		ok(t, s.Close())
	}
	if total < 200 || len(given) < 50 || entries < 50 {
		t.Fatalf("only %d messages, %d keys and %d entries: the rounds prove nothing", total, len(given), entries)
	}
}

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}
