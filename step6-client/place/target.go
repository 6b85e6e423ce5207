package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"shibafu.dev/step6-client/archive"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

// Target is a place to copy an image to.
type Target struct {
	transfer.Target
	// Reference is what the image will be called there, and Name what it is called
	// everywhere.
	Reference, Name string
	// Stdout tells that the image itself goes there, so nothing else may.
	Stdout bool
	finish func(error) error
}

// Finish ends a copy, which ended with err: what is written as a whole is there only
// now, and only if that is nil. It must be called in any case, and returns err with
// what went wrong besides.
func (t *Target) Finish(err error) error { return t.finish(err) }

// Target opens the place that a text says. Where that names no image it gets name.
// The caller calls Finish. ErrPlace, layout.ErrName.
func (p Places) Target(ctx context.Context, text, name string) (*Target, error) {
	kind, path, own := split(text)
	if kind == inRegistry {
		r, err := p.Access.Registry(text)
		if err != nil {
			return nil, err
		}
		return r.Target(), nil
	}
	if own != "" {
		name = own
	}
	if name == "" {
		return nil, fmt.Errorf("%w: the image has no name yet, so give it one: %s:NAME", ErrPlace, text)
	}
	if err := layout.CheckName(name); err != nil {
		return nil, err
	}
	switch {
	case kind == inLayout:
		return p.TargetIn(ctx, path, name)
	case path == "-":
		w := archive.NewWriter(p.Out, transfer.Host())
		return &Target{w, name, name, true, func(err error) error { return closed(err, w) }}, nil
	}
	return newArchive(path, name)
}

// TargetIn is a name in the layout of a folder. Otherwise it is as Target.
func (p Places) TargetIn(ctx context.Context, folder, name string) (*Target, error) {
	f, err := layout.CreateFolder(ctx, folder, p.Waiting)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return &Target{f, name, name, false, func(err error) error { return errors.Join(err, f.Close()) }}, nil
}

// Target is r to copy to.
func (r *Registry) Target() *Target {
	return &Target{r.Repository, r.At(), r.Name(), false, func(err error) error { return errors.Join(err, r.Close()) }}
}

func closed(err error, w *archive.Writer) error {
	if err != nil {
		return err
	}
	return w.Close()
}

// newArchive is a file that is there when it is whole, and not before.
func newArchive(path, name string) (*Target, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return nil, err
	}
	w := archive.NewWriter(f, transfer.Host())
	finish := func(err error) error {
		defer os.Remove(f.Name()) // after the rename there is nothing
		if err = closed(err, w); err == nil {
			err = errors.Join(f.Chmod(0o644), f.Sync())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return os.Rename(f.Name(), path)
	}
	return &Target{w, name, name, false, finish}, nil
}
