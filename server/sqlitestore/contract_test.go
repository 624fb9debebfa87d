package sqlitestore_test

import (
	"testing"

	"github.com/pawl-chat/pawl/server/sqlitestore"
	"github.com/pawl-chat/pawl/server/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) (func() (storetest.Store, error), bool) {
		dir := t.TempDir()
		return func() (storetest.Store, error) {
			return sqlitestore.Open(sqlitestore.Options{Dir: dir, Fatal: func(err error) { t.Error(err) }})
		}, true
	})
}
