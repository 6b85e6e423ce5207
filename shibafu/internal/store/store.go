// Package store is the local store of images: an OCI image layout, in which each image
// has the name that it has everywhere, such as "localhost:5000/myapp:latest". Layers
// that were given a name of their own are there too, as "layer/NAME"; since the name
// of an image begins with a host, and "layer" is none, the two cannot meet.
//
// Reading order: store.go, find.go, pull.go.
package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/layout"
)

// Store is a local store. It can be copied from; one of Create also to. Its methods may
// be called at once from many goroutines.
type Store struct {
	*layout.Layout
	close func() error
}

// Image is what the store has under a name.
type Image struct {
	// Name is "" for what has none of its own, such as one image of an index.
	Name       string
	Descriptor oci.Descriptor
}

// Open opens the store in a folder for reading, while others may be writing to it. One
// that is not there has no images. The caller closes it.
func Open(ctx context.Context, folder string) (*Store, error) {
	f, err := layout.OpenFolder(ctx, folder)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, layout.ErrNotLayout) && isBegun(folder) {
		l, err := layout.Create(ctx, mem.New())
		return &Store{l, func() error { return nil }}, err
	}
	if err != nil {
		return nil, err
	}
	return &Store{f.Layout, f.Close}, nil
}

// isBegun tells whether a folder holds no more than what is there first: it is just
// being made into a store, or whoever did that has died.
func isBegun(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != bucket.UploadsFolder })
}

// Create opens the store in a folder for reading and writing, and makes it if it is not
// there. As long as another process has it, which waiting is told once if it is not
// nil, Create waits. The caller closes the store, soon.
func Create(ctx context.Context, folder string, waiting func(error)) (*Store, error) {
	f, err := layout.CreateFolder(ctx, folder, waiting)
	if err != nil {
		return nil, err
	}
	return &Store{f.Layout, f.Close}, nil
}

// Close lets go of the store.
func (s *Store) Close() error { return s.close() }

// layerPrefix begins the names of layers.
const layerPrefix = "layer/"

// Images returns what has a name, but for layers, in the order of the names.
func (s *Store) Images(ctx context.Context) ([]Image, error) {
	return s.named(ctx, func(name string) bool { return !strings.HasPrefix(name, layerPrefix) })
}

func (s *Store) named(ctx context.Context, wanted func(string) bool) (all []Image, err error) {
	entries, err := s.Entries(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name != "" && wanted(e.Name) {
			e.Descriptor.Annotations = nil // they belong to the entry
			all = append(all, Image{e.Name, e.Descriptor})
		}
	}
	slices.SortStableFunc(all, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
