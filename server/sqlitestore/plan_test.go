package sqlitestore

import (
	"database/sql/driver"
	"path/filepath"
	"strings"
	"testing"
)

// Every statement on the message path finds its rows by an index, in order and
// without sorting: one slow plan would hold up the one writer.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), fileName)
	ok(t, create(path))
	c, err := connect(path, writerSettings)
	ok(t, err)
	defer c.Close()
	for sql, index := range map[string]string{
		sqlRead:         "message_pending",
		sqlStat:         "message_pending",
		sqlLoad:         "message_pending",
		sqlSeqOf:        "message_id",
		sqlDue:          "message_due",
		sqlDeleteAll:    "message_id",
		sqlAck:          "INTEGER PRIMARY KEY",
		sqlDelete:       "INTEGER PRIMARY KEY",
		sqlTake:         "PRIMARY KEY",
		sqlEpochOf:      "INTEGER PRIMARY KEY",
		sqlDropEpoch:    "INTEGER PRIMARY KEY",
		sqlGroupView:    "sqlite_autoindex_grouplog_1",
		sqlGroupEntries: "sqlite_autoindex_groupentry_1",
		sqlGroupEntry:   "sqlite_autoindex_groupentry_1",
		sqlFindDevice:   "sqlite_autoindex_device_1",
	} {
		st, err := c.prepare("EXPLAIN QUERY PLAN "+sql, 4)
		ok(t, err)
		var plan []string
		ok(t, st.each(func(row []driver.Value) error {
			detail, _ := row[3].(string)
			plan = append(plan, detail)
			return nil
		}, make([]driver.Value, len(st.args))...))
		all := strings.Join(plan, "; ")
		if !strings.Contains(all, index) || strings.Contains(all, "TEMP B-TREE") || strings.Contains(all, "SCAN message") || strings.Contains(all, "SCAN onetime") || strings.Contains(all, "SCAN group") {
			t.Errorf("%s\nis planned as %s", sql, all)
		}
	}
}
