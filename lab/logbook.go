package lab

import (
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// logbook is what the relay keeps of a group: the log, in as many branches as
// it shows people different ones, and who is shown which, and how much of it.
type logbook struct {
	branches [][]blob
	of       map[string]int // by address; 0 is everybody's
	frozen   map[string]int // by address: how many entries are shown
}

// blob is an entry as the relay has it.
type blob struct {
	head groups.Head
	data []byte
}

// entry is an entry of a group's log as both judges see it (R-LAB-31).
type entry struct {
	index int
	group groups.ID
	seq   uint64
	prev  groups.Head
	epoch uint64 // in which it is written
	data  []byte
}

func newLogbook() *logbook {
	return &logbook{branches: make([][]blob, 1), of: map[string]int{}, frozen: map[string]int{}}
}

// shown is the log as the relay shows it to somebody.
func (b *logbook) shown(address string) []blob {
	all := b.branches[b.of[address]]
	if n, ok := b.frozen[address]; ok && n < len(all) {
		return all[:n]
	}
	return all
}

// place puts an entry upon the head that it names, or refuses (R-GRP-21).
func (b *logbook) place(address string, g groups.ID, prev groups.Head, data []byte) bool {
	at := b.of[address]
	all := b.branches[at]
	var head groups.Head
	if len(all) > 0 {
		head = all[len(all)-1].head
	}
	if head != prev {
		return false
	}
	b.branches[at] = append(slices.Clip(all), blob{groups.HeadOf(g, uint64(len(all)+1), prev, data), data})
	return true
}

// fork shows somebody a branch of their own from now on.
func (b *logbook) fork(address string) {
	b.branches = append(b.branches, slices.Clone(b.shown(address)))
	b.of[address] = len(b.branches) - 1
}

// head is the head at an entry as somebody is shown it.
func (b *logbook) head(address string, seq uint64) (groups.Head, bool) {
	all := b.shown(address)
	if seq == 0 || seq > uint64(len(all)) {
		return groups.Head{}, false
	}
	return all[seq-1].head, true
}
