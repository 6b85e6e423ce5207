package transfer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

// liar is a source that says what it likes.
type liar struct {
	root      oci.Descriptor
	manifests map[digest.Digest][]byte
	blob      func() io.ReadSeekCloser
	asked     int
}

func (l *liar) Resolve(_ context.Context, reference string) (oci.Descriptor, error) {
	if reference != "x" {
		return oci.Descriptor{}, layout.ErrUnknown
	}
	return l.root, nil
}

func (l *liar) Manifest(_ context.Context, d oci.Descriptor) ([]byte, error) {
	l.asked++
	return l.manifests[d.Digest], nil
}

func (l *liar) OpenBlob(context.Context, oci.Descriptor) (io.ReadSeekCloser, error) {
	return l.blob(), nil
}

func (l *liar) put(mediaType string, document any) oci.Descriptor {
	raw, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	if l.manifests == nil {
		l.manifests = map[digest.Digest][]byte{}
	}
	d := describe(mediaType, raw)
	l.manifests[d.Digest] = raw
	return d
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error)          { clear(p); return len(p), nil }
func (endless) Seek(at int64, _ int) (int64, error) { return at, nil }
func (endless) Close() error                        { return nil }

func indexOf(list ...oci.Descriptor) oci.Index {
	return oci.Index{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex, Manifests: list}
}

// What a source may do wrong, and what then comes of it; nothing gets a name.
func TestLiars(t *testing.T) {
	text := func(s string) func() io.ReadSeekCloser {
		return func() io.ReadSeekCloser { return closer{strings.NewReader(s)} }
	}
	oneLayer := func(l *liar) {
		l.root = l.put(oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: describe("a/b", []byte("content"))})
	}
	for _, row := range []struct {
		name string
		make func(l *liar)
		want error
	}{
		{"other bytes in a blob", func(l *liar) { oneLayer(l); l.blob = text("cONTENT") }, digest.ErrMismatch},
		{"a blob that is cut", func(l *liar) { oneLayer(l); l.blob = text("cont") }, digest.ErrMismatch},
		{"a blob without end", func(l *liar) { oneLayer(l); l.blob = func() io.ReadSeekCloser { return endless{} } }, digest.ErrMismatch},
		{"another manifest", func(l *liar) {
			oneLayer(l)
			l.manifests[l.root.Digest] = []byte(strings.Repeat(" ", int(l.root.Size)))
		}, digest.ErrMismatch},
		{"a manifest that is an index: two readers see two images", func(l *liar) {
			l.root = l.put(oci.MediaTypeImageManifest, oci.Index{SchemaVersion: 2})
		}, manifest.ErrInvalid},
		{"a manifest that is not one", func(l *liar) {
			l.root = l.put(oci.MediaTypeImageManifest, "x")
		}, manifest.ErrInvalid},
		{"a manifest said to be huge", func(l *liar) { oneLayer(l); l.root.Size = 1 << 40 }, transfer.ErrTooMuch},
		{"indexes in indexes in indexes", func(l *liar) {
			l.root = l.put(oci.MediaTypeImageIndex, indexOf())
			for range 100 {
				l.root = l.put(oci.MediaTypeImageIndex, indexOf(l.root))
			}
		}, transfer.ErrTooMuch},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, dst := &liar{}, newLayout(t)
			row.make(l)
			_, err := transfer.Copy(t.Context(), dst, "x", l, "x", transfer.Options{})
			if !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
			if entries, err := dst.Entries(t.Context()); err != nil || len(entries) > 0 {
				t.Errorf("named: %v, %v", entries, err)
			}
		})
	}
}

// Indexes that list each other's children over and over lead to 2^15 manifests, but
// there are 16.
func TestNothingIsWalkedTwice(t *testing.T) {
	l := &liar{}
	l.root = l.put(oci.MediaTypeImageIndex, indexOf())
	for range 15 {
		l.root = l.put(oci.MediaTypeImageIndex, indexOf(l.root, l.root))
	}
	copyTo(t, newLayout(t), "y", l, "x", transfer.Options{})
	if l.asked > 16 {
		t.Errorf("%d manifests were asked for", l.asked)
	}
}

// However many there are, the copy ends.
func TestTooMany(t *testing.T) {
	l := &liar{blob: func() io.ReadSeekCloser { return endless{} }}
	var levels []oci.Descriptor
	for i := range 4 {
		var list []oci.Descriptor
		for n := range 30_000 {
			list = append(list, oci.Descriptor{MediaType: "a/b", Digest: digest.FromBytes(fmt.Append(nil, i, n)), Size: 0})
		}
		levels = append(levels, l.put(oci.MediaTypeImageIndex, indexOf(list...)))
	}
	l.root = l.put(oci.MediaTypeImageIndex, indexOf(levels...))
	dst := &accepting{}
	if _, err := transfer.Copy(t.Context(), dst, "y", l, "x", transfer.Options{}); !errors.Is(err, transfer.ErrTooMuch) {
		t.Errorf("%v", err)
	}
	if dst.named {
		t.Error("it got a name")
	}
}

// accepting takes all, and keeps nothing.
type accepting struct{ named bool }

func (a *accepting) HasTree(context.Context, oci.Descriptor) (bool, error) { return false, nil }

func (a *accepting) PutBlob(context.Context, oci.Descriptor, func(int64) (io.ReadCloser, error)) error {
	return nil
}

func (a *accepting) PutManifest(_ context.Context, _ oci.Descriptor, _ []byte, name string) error {
	a.named = a.named || name != ""
	return nil
}

// The first failure is what is told, and it stops the rest.
func TestFirstFailure(t *testing.T) {
	s := newSample(t)
	if err := s.Blobs().Delete(t.Context(), digest.FromBytes([]byte("of amd64"))); err != nil {
		t.Fatal(err)
	}
	dst := newLayout(t)
	if _, err := transfer.Copy(t.Context(), dst, "x", s, "app", transfer.Options{Parallel: 1}); !errors.Is(err, layout.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := dst.Resolve(t.Context(), "x"); !errors.Is(err, layout.ErrUnknown) {
		t.Errorf("named: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := transfer.Copy(ctx, dst, "x", newSample(t), "app", transfer.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// stuck hangs until it is told to stop, but for one blob, which fails.
type stuck struct {
	accepting
	fails digest.Digest
}

var errBroken = errors.New("broken")

func (s *stuck) PutBlob(ctx context.Context, d oci.Descriptor, _ func(int64) (io.ReadCloser, error)) error {
	if d.Digest == s.fails {
		return errBroken
	}
	<-ctx.Done()
	return ctx.Err()
}

// One failure ends what else is under way, and is what is told.
func TestFailureEndsTheRest(t *testing.T) {
	s := newSample(t)
	for _, text := range []string{"shared", "of amd64", "of arm64"} {
		dst := &stuck{fails: describe("", []byte(text)).Digest}
		if _, err := transfer.Copy(t.Context(), dst, "x", s, "app", transfer.Options{Parallel: 100}); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
