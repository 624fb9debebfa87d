package memstore_test

import (
	"testing"

	"github.com/pawl-chat/pawl/server/memstore"
	"github.com/pawl-chat/pawl/server/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(testing.TB) (func() (storetest.Store, error), bool) {
		return func() (storetest.Store, error) { return memstore.New(), nil }, false
	})
}
