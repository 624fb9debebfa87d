package sqlitestore

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pawl-chat/pawl/server"
)

// Checksums find what a disk or a stray hand changed inside a value; they are
// no defence against anyone who can write the file, whom sealing and the
// clients' signatures answer (R-STO-21).

func sum(number [3]int64, id, value []byte) int64 {
	var head [24]byte
	for i, n := range number {
		binary.BigEndian.PutUint64(head[8*i:], uint64(n))
	}
	table := crc32.MakeTable(crc32.Castagnoli) // the shared table of the hardware path
	c := crc32.Update(0, table, head[:])
	c = crc32.Update(c, table, id)
	return int64(crc32.Update(c, table, value))
}

// sumDevice stands for a device in the checksums of its rows: with its name,
// not with its number, so that rows are noticed whose device was changed.
func sumDevice(dev server.Device) int64 {
	return sum([3]int64{int64(dev.ID)}, []byte(dev.User), nil)
}

func sumMessage(dev server.Device, seq, at int64, id, body []byte) int64 {
	return sum([3]int64{sumDevice(dev), seq, at}, id, body)
}

func sumAccount(user string, version int64, record []byte) int64 {
	return sum([3]int64{version, int64(len(user))}, []byte(user), record)
}

func sumOneTime(dev server.Device, kind, id int64, public []byte) int64 {
	return sum([3]int64{sumDevice(dev), kind, id}, nil, public)
}

func sumEpoch(dev server.Device, epoch []byte) int64 {
	return sum([3]int64{sumDevice(dev)}, nil, epoch)
}

func sumInvite(hash []byte, expires, uses int64) int64 {
	return sum([3]int64{expires, uses}, hash, nil)
}

func sumGroup(group server.GroupID, seq int64, head []byte) int64 {
	return sum([3]int64{seq}, group[:], head)
}

// sumGroupEpoch covers the head of the last entry, which the row does not hold.
func sumGroupEpoch(group server.GroupID, token server.GroupToken, first, last int64, end []byte) int64 {
	return sum([3]int64{first, last, sum([3]int64{}, nil, end)}, group[:], token[:])
}

func sumGroupEntry(group server.GroupID, seq int64, prev, head, blob []byte) int64 {
	return sum([3]int64{seq, sum([3]int64{}, prev, head)}, group[:], blob)
}
