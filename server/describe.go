package server

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// describe tells an operator what an error is without its text, which may name
// whom the failed request was about (R-REL-25): the types it is wrapped in, the
// store's own error if it is one, and the code of the system or the database.
func describe(err error) string {
	var words []string
	for _, own := range [...]error{ErrDamaged, ErrNewer, ErrInUse, ErrDiskFull, ErrBusy, ErrClosed} {
		if errors.Is(err, own) {
			words = append(words, own.Error())
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		words = append(words, errno.Error())
	}
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		words = append(words, fmt.Sprintf("code %d", coded.Code()))
	}
	if len(words) > 0 {
		return strings.Join(words, ": ")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		words = append(words, fmt.Sprintf("%T", e))
	}
	return strings.Join(words, " of ")
}
