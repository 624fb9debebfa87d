package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawl-chat/pawl/internal/conform"
	"github.com/pawl-chat/pawl/spec"
)

// errVectors: some vectors do not pass.
var errVectors = errors.New("not all vectors pass")

func (a *app) labVectors() *cobra.Command {
	return a.noun(&cobra.Command{
		Use:   "vectors",
		Short: "test vectors for another implementation, and of one",
		Long: `The protocol's test vectors, with the CDDL of every encoded object: as files for another
implementation to check itself with, and the other way round, vectors of the same form
held against the code that pawl itself runs.`,
		Example: "  pawl lab vectors export ./pawl-vectors\n  pawl lab vectors check ./their-vectors",
	}, a.vectorsExport(), a.vectorsCheck())
}

func (a *app) vectorsExport() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "export DIR|FILE",
		Short: "write the vectors and the CDDL",
		Long: `Writes vectors/*.json and cddl/*.cddl into DIR, or all of it into one FILE whose name ends
in .json. vectors/README.md in DIR describes the form.`,
		Example: "  pawl lab vectors export ./pawl-vectors\n  pawl lab vectors export pawl-vectors.json --force",
		Args:    words(1, 1, "one DIR or FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			to := target{args[0], force}
			var n int64
			var err error
			names := conform.Names()
			if strings.HasSuffix(to.path, ".json") {
				err = to.write(ctx, func(w io.Writer) error {
					b, err := conform.Bundle(spec.Files())
					if err == nil {
						n = int64(len(b))
						_, err = w.Write(b)
					}
					return err
				})
			} else {
				n, err = to.tree(ctx, spec.Files(), names)
			}
			if err != nil {
				return err
			}
			o := vectorsObject{head("vectors"), to.path, len(names), n}
			return a.out.show(o, fmt.Sprintf("%s: %s, %d bytes\n", clean(to.path), number(len(names), "file"), n))
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace what is there")
	return cmd
}

// tree writes files of from below t. A directory that is new appears whole or
// not at all (R-LAB-29).
func (t *target) tree(ctx context.Context, from fs.FS, names []string) (n int64, err error) {
	info, err := os.Lstat(t.path)
	switch {
	case err == nil && !info.IsDir():
		return 0, usagef("name a directory, or a file that ends in .json", "%s is a file", clean(t.path))
	case err == nil && !t.force:
		return 0, errTaken(t.path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, usagef("", "%s cannot be written: %s", clean(t.path), reason(err))
	}
	dir := t.path
	if err != nil {
		if dir, err = os.MkdirTemp(filepath.Dir(filepath.Clean(t.path)), ".pawl-*.part"); err != nil {
			return 0, usagef("the directory above must exist and be writable", "%s cannot be written: %s", clean(t.path), reason(err))
		}
		defer func() {
			if err == nil {
				err = os.Rename(dir, t.path)
			}
			if err != nil {
				os.RemoveAll(dir)
			}
		}()
	}
	for _, name := range names {
		b, err := fs.ReadFile(from, name)
		if err != nil {
			return 0, err
		}
		file := target{filepath.Join(dir, filepath.FromSlash(name)), true}
		if err := os.MkdirAll(filepath.Dir(file.path), 0o700); err != nil {
			return 0, err
		}
		if err := file.write(ctx, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
			return 0, err
		}
		n += int64(len(b))
	}
	return n, nil
}

func (a *app) vectorsCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR|FILE",
		Short: "hold vectors against pawl's code",
		Long: `Reads vectors of the form that export writes, from a DIR of them or from one FILE, and holds
each against pawl's own code and CDDL: what it says is opened must open, what it says is
refused must be refused with that error. What cannot be checked from outside is listed as
not checked. The command fails when a vector does not pass.`,
		Example: "  pawl lab vectors check ./their-vectors\n  pawl lab vectors check ratchet.json --json | jq -r .outcome",
		Args:    words(1, 1, "one DIR or FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			files, err := vectorFiles(args[0])
			if err != nil {
				return err
			}
			rules, err := spec.ParseRules(spec.Files())
			if err != nil {
				return err
			}
			sum := vectorCheckObject{header: head("vector_check"), Files: len(files), ByCode: []string{}, Outside: []string{}}
			var results []conform.Result
			for _, f := range files { // all of them first: a malformed one leaves nothing half told
				for i := range f.all {
					if err := ctx.Err(); err != nil {
						return err
					}
					r, err := conform.Check(rules, &f.all[i])
					if err != nil {
						return fmt.Errorf("%s: %w", clean(f.name), err)
					}
					results = append(results, r...)
				}
			}
			for _, r := range results {
				sum.add(r)
				if a.out.json {
					if err := a.out.object(vectorObject{head("vector"), r.Area, r.Name, r.Kind, string(r.Outcome), some(r.By), r.Why}); err != nil {
						return err
					}
				}
			}
			if err := a.out.show(sum, a.vectorsText(results, &sum)); err != nil {
				return err
			}
			if sum.Failed > 0 {
				return &failure{err: errVectors, message: fmt.Sprintf("%d of %d vectors do not pass", sum.Failed, len(results))}
			}
			return nil
		}),
	}
}

// vectorFile is a file that was read.
type vectorFile struct {
	name string
	all  []spec.VectorFile
}

// vectorFiles reads a file of vectors, or all files of a directory or of the
// directory vectors in it.
func vectorFiles(word string) ([]vectorFile, error) {
	info, err := os.Stat(word)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("", "there is no file or directory %s", clean(word))
	}
	if err != nil {
		return nil, err
	}
	names := []string{word}
	if info.IsDir() {
		dir := word
		if inner, err := os.Stat(filepath.Join(word, "vectors")); err == nil && inner.IsDir() {
			dir = filepath.Join(word, "vectors")
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		names = nil
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
		if len(names) == 0 || len(names) > conform.MaxFiles {
			return nil, fmt.Errorf("%s: %w: a directory has 1 to %d files *.json", clean(dir), spec.ErrVectors, conform.MaxFiles)
		}
	}
	var out []vectorFile
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, conform.MaxFile+1))
		f.Close()
		if err != nil {
			return nil, err
		}
		all, err := conform.Read(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", clean(name), err)
		}
		out = append(out, vectorFile{name, all})
	}
	return out, nil
}

// vectorsObject is what was exported.
type vectorsObject struct {
	header
	To    string `json:"to" doc:"the directory or file written"`
	Files int    `json:"files" doc:"files of vectors and CDDL in it"`
	Bytes int64  `json:"bytes" doc:"their length"`
}

// vectorObject is what became of one vector.
type vectorObject struct {
	header
	Area    string   `json:"area" doc:"what it is about"`
	Name    string   `json:"name" doc:"its name in the file"`
	Kind    string   `json:"kind" enum:"positive,negative" doc:"to be accepted, or to be refused"`
	Outcome string   `json:"outcome" enum:"passed,failed,not_checked" doc:"what became of it"`
	By      []string `json:"by" doc:"what it was held against: cddl, code"`
	Why     string   `json:"why" doc:"what differs, or why nothing was checked; else empty"`
}

// vectorCheckObject ends a check.
type vectorCheckObject struct {
	header
	Files      int      `json:"files" doc:"files read"`
	Passed     int      `json:"passed" doc:"vectors that pass"`
	Failed     int      `json:"failed" doc:"vectors that do not"`
	NotChecked int      `json:"not_checked" doc:"vectors that nothing could be held against"`
	ByCode     []string `json:"areas_by_code" doc:"areas of which vectors were held against pawl's code"`
	Outside    []string `json:"areas_not_by_code" doc:"areas held against the CDDL at most"`
}

func (o *vectorCheckObject) add(r conform.Result) {
	switch r.Outcome {
	case conform.Passed:
		o.Passed++
	case conform.Failed:
		o.Failed++
	default:
		o.NotChecked++
	}
	list := &o.Outside
	if slices.Contains(conform.Areas(), r.Area) {
		list = &o.ByCode
	}
	if !slices.Contains(*list, r.Area) {
		*list = append(*list, r.Area)
	}
}

// vectorsText tells a check by areas, and by name what did not pass.
func (a *app) vectorsText(results []conform.Result, sum *vectorCheckObject) string {
	ink := a.out.out()
	var b strings.Builder
	var areas []string
	counts := map[string]map[conform.Outcome]int{}
	for _, r := range results {
		if counts[r.Area] == nil {
			counts[r.Area] = map[conform.Outcome]int{}
			areas = append(areas, r.Area)
		}
		counts[r.Area][r.Outcome]++
	}
	var pairs [][2]string
	for _, area := range areas {
		n := counts[area]
		told := fmt.Sprintf("%d passed, %d failed, %d not checked", n[conform.Passed], n[conform.Failed], n[conform.NotChecked])
		if slices.Contains(sum.Outside, area) {
			told += "; by CDDL only"
		}
		pairs = append(pairs, [2]string{clean(area), told})
	}
	b.WriteString(fields("", pairs...))
	for _, outcome := range []conform.Outcome{conform.NotChecked, conform.Failed} {
		for _, r := range results {
			if r.Outcome != outcome {
				continue
			}
			word := ink.dim("not checked")
			if outcome == conform.Failed {
				word = ink.bold(red, "FAILED")
			}
			fmt.Fprintf(&b, "%s  %s, %s: %s\n", word, clean(r.Area), clean(r.Name), clean(r.Why))
		}
	}
	fmt.Fprintf(&b, "%d passed, %d failed, %d not checked\n", sum.Passed, sum.Failed, sum.NotChecked)
	return b.String()
}
