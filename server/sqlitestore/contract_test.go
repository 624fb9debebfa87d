package sqlitestore_test

import (
	"testing"

	"github.com/pawl-chat/pawl/server/sqlitestore"
	"github.com/pawl-chat/pawl/server/storetest"
)

// The suite holds what every store owes: R-STO-01 to R-STO-11, R-STO-13,
// R-STO-14, R-STO-17 and R-STO-18.
// R-STO-02 R-STO-03 R-STO-04 R-STO-05 R-STO-06 R-STO-07 R-STO-08 R-STO-09
// R-STO-10 R-STO-11 R-STO-30 R-STO-31 R-STO-32 R-STO-33 R-STO-34
func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) (func() (storetest.Store, error), bool) {
		dir := t.TempDir()
		return func() (storetest.Store, error) {
			return sqlitestore.Open(sqlitestore.Options{Dir: dir, Fatal: func(err error) { t.Error(err) }})
		}, true
	})
}
