package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/spec"
)

// bundleVersion is the form of a bundle.
const bundleVersion = 1

// bundle is all vectors and rules in one file (R-LAB-27).
type bundle struct {
	Version int                        `json:"pawl_vectors"`
	CDDL    map[string]string          `json:"cddl"`
	Vectors map[string]json.RawMessage `json:"vectors"` // by area
}

// Bundle returns the vectors and the CDDL of a specification as one file.
func Bundle(files fs.FS) ([]byte, error) {
	b := bundle{Version: bundleVersion, CDDL: map[string]string{}, Vectors: map[string]json.RawMessage{}}
	for _, name := range Names() {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		switch base := path.Base(name); path.Ext(base) {
		case ".cddl":
			b.CDDL[base] = string(text)
		case ".json":
			b.Vectors[strings.TrimSuffix(base, ".json")] = text
		}
	}
	out, err := json.MarshalIndent(b, "", " ")
	return append(out, '\n'), err
}

// Names lists the files that are handed out, as paths in spec.Files.
func Names() []string {
	names := []string{"vectors/README.md"}
	for _, pattern := range []string{"vectors/*.json", "cddl/*.cddl"} {
		found, err := fs.Glob(spec.Files(), pattern)
		if err != nil {
			panic("conform: the embedded specification cannot be read")
		}
		names = append(names, found...)
	}
	return names
}

// Read reads a file of vectors, or a bundle of several.
func Read(b []byte) ([]spec.VectorFile, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: longer than %d bytes", spec.ErrVectors, MaxFile)
	}
	var all bundle
	if json.Unmarshal(b, &all) != nil || all.Version == 0 {
		f, err := spec.ReadVectors(b)
		return []spec.VectorFile{f}, err
	}
	if all.Version != bundleVersion || len(all.Vectors) == 0 {
		return nil, fmt.Errorf("%w: a bundle of another form than %d, or of nothing", spec.ErrVectors, bundleVersion)
	}
	var out []spec.VectorFile
	for _, name := range slices.Sorted(maps.Keys(all.Vectors)) {
		f, err := spec.ReadVectors(bytes.TrimSpace(all.Vectors[name]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, f)
	}
	return out, nil
}
