//go:build (!unix && !windows) || solaris || aix || illumos

package owner

import "io"

// lock has no counterpart here.
func lock(string) (io.Closer, error) { return nil, ErrUnsupported }
