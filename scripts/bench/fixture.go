package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// fixture is an image in an OCI layout, to push from.
type fixture struct {
	folder   string
	manifest string // its digest
	size     int64  // of its layers, in bytes
}

// newFixture makes an image of so many layers of size bytes of noise each, in files:
// what this program has in memory, its children seem to have.
func (b *bench) newFixture(layers int, size int64) (*fixture, error) {
	folder, err := os.MkdirTemp(b.work, "layout")
	if err != nil {
		return nil, err
	}
	f := &fixture{folder: folder}
	if err := os.MkdirAll(filepath.Join(folder, "blobs/sha256"), 0o755); err != nil {
		return nil, err
	}
	var list []descriptor
	var ids []string
	for range layers {
		d, err := f.layer(size)
		if err != nil {
			return nil, err
		}
		list, ids = append(list, d), append(ids, d.Digest)
		f.size += int64(d.Size)
	}
	config, err := f.add("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		return nil, err
	}
	d, err := f.add(manifestType, map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": list})
	if err != nil {
		return nil, err
	}
	f.manifest = d.Digest
	return f, os.WriteFile(filepath.Join(folder, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// call gives the image of the layout its name.
func (f *fixture) call(name string) error {
	info, err := os.Stat(f.blob(f.manifest))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
		"mediaType": manifestType, "digest": f.manifest, "size": info.Size(),
		"annotations": map[string]string{"org.opencontainers.image.ref.name": name},
	}}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.folder, "index.json"), raw, 0o644)
}

// named is a layout of its own with the same blobs, where the image has another name.
func (f *fixture) named(name string) (*fixture, error) {
	folder, err := os.MkdirTemp(filepath.Dir(f.folder), "named")
	if err != nil {
		return nil, err
	}
	n := &fixture{folder, f.manifest, f.size}
	err = os.CopyFS(folder, os.DirFS(f.folder))
	if err == nil {
		err = n.call(name)
	}
	return n, err
}

func (f *fixture) blob(digest string) string {
	return filepath.Join(f.folder, "blobs/sha256", strings.TrimPrefix(digest, "sha256:"))
}

// layer makes one: a tar with one file in it.
func (f *fixture) layer(size int64) (descriptor, error) {
	file, err := os.CreateTemp(f.folder, "layer")
	if err != nil {
		return descriptor{}, err
	}
	defer file.Close()
	sum := sha256.New()
	w := tar.NewWriter(io.MultiWriter(file, sum))
	const room = 4 << 10 // what tar adds, more than that
	if err := w.WriteHeader(&tar.Header{Name: "noise", Mode: 0o644, Size: size - room}); err != nil {
		return descriptor{}, err
	}
	var seed [32]byte
	copy(seed[:], noise(len(seed)))
	if _, err := io.CopyN(w, rand.NewChaCha8(seed), size-room); err != nil {
		return descriptor{}, err
	}
	if err := w.Close(); err != nil {
		return descriptor{}, err
	}
	length, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{"application/vnd.oci.image.layer.v1.tar", fmt.Sprintf("sha256:%x", sum.Sum(nil)), int(length)}
	return d, os.Rename(file.Name(), f.blob(d.Digest))
}

func (f *fixture) add(mediaType string, document any) (descriptor, error) {
	raw, err := json.Marshal(document)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{mediaType, digestOf(raw), len(raw)}
	return d, os.WriteFile(f.blob(d.Digest), raw, 0o644)
}

// pushTo makes it the image name of a registry, by plain requests.
func (f *fixture) pushTo(b *bench, p *process, repo, tag string) error {
	raw, err := os.ReadFile(f.blob(f.manifest))
	if err != nil {
		return err
	}
	var image struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err := json.Unmarshal(raw, &image); err != nil {
		return err
	}
	for _, d := range append(image.Layers, image.Config) {
		if err := b.pushBlob(p, repo, d.Digest, opener(f.blob(d.Digest)), int64(d.Size), false); err != nil {
			return err
		}
	}
	return b.putManifest(p, repo, tag, raw)
}
