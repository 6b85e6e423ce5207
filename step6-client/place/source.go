package place

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"shibafu.dev/step6-client/archive"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

// Source is a place to copy an image from.
type Source struct {
	transfer.Source
	// Reference is what the image is called there, and Name what it is called
	// everywhere.
	Reference, Name string
	close           func() error
}

// Close lets go of the place.
func (s *Source) Close() error { return s.close() }

// Source opens the place that a text says. The caller closes it. ErrPlace;
// layout.ErrAmbiguous with it where there are several images and none is named.
func (p Places) Source(ctx context.Context, text string) (*Source, error) {
	kind, path, name := split(text)
	switch kind {
	case inRegistry:
		r, err := p.Access.Registry(text)
		if err != nil {
			return nil, err
		}
		return r.Source(), nil
	case inLayout:
		return p.SourceIn(ctx, path, name)
	}
	open := func() (*archive.File, error) { return archive.OpenFile(path) }
	if path == "-" {
		open = func() (*archive.File, error) { return archive.Spool(p.In) }
	}
	f, err := open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return chosen(f, name, f.Entries(), f.Close)
}

// SourceIn is an image in the layout of a folder: that of the name, or the only one
// where that is "". Otherwise it is as Source.
func (p Places) SourceIn(ctx context.Context, folder, name string) (*Source, error) {
	f, err := layout.OpenFolder(ctx, folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	entries, err := f.Entries(ctx)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return chosen(f, name, entries, f.Close)
}

// Source is r to copy from.
func (r *Registry) Source() *Source { return &Source{r.Repository, r.At(), r.Name(), r.Close} }

// chosen is the image of that name in a place, or the only one where that is "".
func chosen(from transfer.Source, name string, entries []layout.Entry, end func() error) (*Source, error) {
	if err := oneOf(name, entries); err != nil {
		return nil, errors.Join(err, end())
	}
	full := name
	if name == "" && len(entries) == 1 {
		full = entries[0].Name
	}
	return &Source{from, name, full, end}, nil
}

// oneOf says what there is to choose from where nothing was chosen.
func oneOf(name string, entries []layout.Entry) error {
	const most = 10
	if name != "" || len(entries) < 2 {
		return nil
	}
	var names []string
	for _, e := range entries[:min(most, len(entries))] {
		if e.Name == "" {
			e.Name = e.Descriptor.Digest.String()
		}
		names = append(names, e.Name)
	}
	if len(entries) > most {
		names = append(names, "…")
	}
	return fmt.Errorf("%w: %w; add the name of one of them behind a colon: %s", ErrPlace, layout.ErrAmbiguous, strings.Join(names, " "))
}
