package client

import (
	"slices"

	"github.com/pawl-chat/pawl/groups"
)

// changesKept: what somebody was told is done is in the log, and what they were
// told is not done is not (R-GRP-46).
func (c *crowd) changesKept() {
	type who struct {
		d    *device
		kind groups.Kind
	}
	made := map[who]int{}
	var names []string
	for _, line := range c.archive.lines {
		change, err := decodeChange(line.Change)
		if err != nil || line.Void != "" {
			continue
		}
		for d := range c.all() {
			if uint64(d.id) == line.Device {
				made[who{d, change.Kind}]++
			}
		}
		if change.Kind == groups.Rename {
			names = append(names, change.Name)
		}
	}
	done := map[who]int{}
	for _, a := range c.changes {
		there := slices.Contains(names, a.name)
		switch {
		case a.done:
			done[who{a.by, a.kind}]++
			if a.kind == groups.Rename && !there {
				c.fault("%s was told that the group is named %q, and it never was", a.by.name(), a.name)
			}
		case a.told && a.kind == groups.Rename && there:
			c.fault("%s was told that the group is not named %q, and it was", a.by.name(), a.name)
		}
	}
	for w, n := range done {
		if made[w] < n {
			c.fault("%s was told of %d changes (%s), and %d are in the log", w.d.name(), n, w.kind, made[w])
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		c.fault("a change is in the log twice: %v", names)
	}
}
