//go:build !linux && !darwin && !freebsd

package owner

import "net"

// sameUser trusts the directory, which no other user can enter.
func sameUser(*net.UnixConn) bool { return true }
