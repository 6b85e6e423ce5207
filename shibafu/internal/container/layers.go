package container

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shibafu.dev/step6-client/layer"
)

// names are what the layers of an image are called when they are unpacked, the lowest
// first. They are short, as an overlay's options must fit into a page. Who the owners
// of files are depends on the mapping, so that is part of it.
func (s *Store) names(i Image) []string {
	const bytes = 16
	var all []string
	for _, chain := range i.chains() {
		sum := sha256.Sum256([]byte(chain.String() + " " + s.mapping.String()))
		all = append(all, strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:bytes])))
	}
	return all
}

// used are the names that images and containers need.
func (s *Store) used(images []Image) (map[string]bool, error) {
	used := map[string]bool{}
	for _, i := range images {
		for _, name := range s.names(i) {
			used[name] = true
		}
	}
	all, err := os.ReadDir(s.containers())
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		raw, err := os.ReadFile(filepath.Join(s.containers(), e.Name(), "layers"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, name := range strings.Fields(string(raw)) {
			used[name] = true
		}
	}
	return used, nil
}

// unpack unpacks the layers that are not there yet. It returns the names of those that
// show in the container, the topmost first: what lies below a layer that hides all
// does not, and an overlay would show it.
func (s *Store) unpack(ctx context.Context, i Image, unpacking func(layer.Blob)) ([]string, error) {
	var done []string
	for n, name := range s.names(i) {
		target := filepath.Join(s.layers(), name)
		if _, err := os.Lstat(target); errors.Is(err, fs.ErrNotExist) {
			unpacking(i.Layers[n])
			err := s.unpackOne(ctx, target, i.Layers[n], done)
			if err != nil && !errors.Is(err, fs.ErrExist) { // somebody else was quicker
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
		opaque, err := layer.Opaque(target)
		if err != nil {
			return nil, err
		}
		if opaque {
			done = nil
		}
		done = slices.Insert(done, 0, name)
	}
	return done, nil
}

func (s *Store) unpackOne(ctx context.Context, target string, b layer.Blob, lower []string) error {
	var below []string
	for _, name := range lower {
		below = append(below, filepath.Join(s.layers(), name))
	}
	if _, single := s.mapping.IsSingle(); single || s.mapping.IsNone() {
		return layer.Unpack(ctx, target, b, layer.Options{UserXattr: s.userXattr(), Lower: below})
	}
	f, err := b.Open(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.work(ctx, request{Target: target, Descriptor: b.Descriptor, DiffID: b.DiffID, Lower: below}, f)
}
