//go:build unix

package home

import (
	"io/fs"
	"os"
	"syscall"
)

// mine reports whether this process's user owns what info describes.
func mine(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
