//go:build !unix

package home

import "io/fs"

// mine trusts the system's own access control where files have no owner id.
func mine(fs.FileInfo) bool { return true }
