package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Present returns nil when there is a store in dir, and ErrAbsent or what else
// Open would say of the place. It opens nothing and needs no secret.
func Present(dir string) error {
	_, err := find(dir)
	return err
}

// Destroy closes the store and removes its files: for a store whose account
// came to nothing.
func (v *Vault) Destroy() error {
	errs := []error{v.Close()}
	for _, suffix := range append(companions[:], "") {
		if err := os.Remove(v.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, syncDir(filepath.Dir(v.path)))...)
}
