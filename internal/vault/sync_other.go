//go:build !unix

package vault

// syncDir does nothing where a directory cannot be opened: a rename is durable
// with the file system's journal there.
func syncDir(string) error { return nil }
