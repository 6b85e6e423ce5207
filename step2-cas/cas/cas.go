// Package cas is a content-addressable store: bytes go in, and their digest is
// the name by which they come out. Equal bytes are kept once, and what comes out
// can be checked by anyone who knows its name.
//
// The store is written over a bucket.Bucket, and where it puts a digest is a
// parameter (Layout), so a registry's folder and an OCI image layout are the
// same store under different names.
package cas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
)

// Layout says at which key the bytes of a digest are.
type Layout struct {
	// Prefix is what all keys of the layout start with; it ends with a slash.
	Prefix string
	// Key is where d is.
	Key func(d digest.Digest) string
	// Digest is the inverse of Key; ok is false for a key that is not of the
	// layout.
	Digest func(key string) (d digest.Digest, ok bool)
}

// Distribution is the layout of the CNCF distribution registry:
// blobs/sha256/ab/abcd…/data. The folder of the first two hex digits keeps any
// one folder from holding everything.
var Distribution = Layout{
	Prefix: "blobs/",
	Key: func(d digest.Digest) string {
		sum := d.Hex()
		return "blobs/" + string(d.Algorithm()) + "/" + sum[:2] + "/" + sum + "/data"
	},
	Digest: func(key string) (digest.Digest, bool) {
		parts := strings.Split(key, "/")
		if len(parts) != 5 || parts[0] != "blobs" || parts[4] != "data" {
			return digest.Digest{}, false
		}
		d, err := digest.Parse(parts[1] + ":" + parts[3])
		return d, err == nil && strings.HasPrefix(parts[3], parts[2]) && len(parts[2]) == 2
	},
}

// OCI is the layout of the OCI image specification, image-layout.md:
// blobs/sha256/abcd….
var OCI = Layout{
	Prefix: "blobs/",
	Key: func(d digest.Digest) string {
		return "blobs/" + string(d.Algorithm()) + "/" + d.Hex()
	},
	Digest: func(key string) (digest.Digest, bool) {
		parts := strings.Split(key, "/")
		if len(parts) != 3 || parts[0] != "blobs" {
			return digest.Digest{}, false
		}
		d, err := digest.Parse(parts[1] + ":" + parts[2])
		return d, err == nil
	},
}

// Store is a content-addressable store. Its methods may be called at once from
// many goroutines.
type Store struct {
	bucket bucket.Bucket
	layout Layout
}

// New is the store that keeps its bytes in b.
func New(b bucket.Bucket, layout Layout) *Store { return &Store{b, layout} }

// Open returns the bytes of d, which the caller closes. bucket.ErrNotExist.
func (s *Store) Open(ctx context.Context, d digest.Digest) (bucket.Object, error) {
	if d.IsZero() {
		return nil, bucket.ErrNotExist
	}
	return s.bucket.Open(ctx, s.layout.Key(d))
}

// Stat describes the bytes of d. bucket.ErrNotExist.
func (s *Store) Stat(ctx context.Context, d digest.Digest) (bucket.Info, error) {
	if d.IsZero() {
		return bucket.Info{}, bucket.ErrNotExist
	}
	return s.bucket.Stat(ctx, s.layout.Key(d))
}

// Put stores what r yields and returns its digest by the algorithm a, and its
// size in bytes.
func (s *Store) Put(ctx context.Context, r io.Reader, a digest.Algorithm) (digest.Digest, int64, error) {
	w, err := s.NewWriter(ctx, newID(), a, nil)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	defer w.Cancel(context.WithoutCancel(ctx))
	if _, err := w.Append(ctx, 0, r); err != nil {
		return digest.Digest{}, 0, err
	}
	d, err := w.sum(a)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	return d, w.Size(), w.Commit(ctx, d)
}

// PutBytes stores data, which must be what d names (digest.ErrMismatch), and
// makes the other changes in the same Write. Where the same bytes are there
// already they stay; damaged ones are replaced.
func (s *Store) PutBytes(ctx context.Context, d digest.Digest, data []byte, also ...bucket.Change) error {
	got := d.Algorithm().FromBytes(data)
	if got == d {
		old, _, err := bucket.ReadAll(ctx, s.bucket, s.layout.Key(d), int64(len(data)))
		if err == nil && bytes.Equal(old, data) {
			return s.bucket.Write(ctx, also...)
		}
	}
	return s.publish(ctx, got, d, bucket.Change{Data: data}, also)
}

// publish is the one place through which bytes get their name.
func (s *Store) publish(ctx context.Context, got, want digest.Digest, change bucket.Change, also []bucket.Change) error {
	if err := match(got, want); err != nil {
		return err
	}
	change.Key = s.layout.Key(want)
	return s.bucket.Write(ctx, append([]bucket.Change{change}, also...)...)
}

func match(got, want digest.Digest) error {
	if got != want {
		return fmt.Errorf("%w: got %s, want %s", digest.ErrMismatch, got, want)
	}
	return nil
}

// Delete removes the bytes of d. bucket.ErrNotExist.
func (s *Store) Delete(ctx context.Context, d digest.Digest) error {
	if _, err := s.Stat(ctx, d); err != nil {
		return err
	}
	return s.bucket.Write(ctx, bucket.Change{Key: s.layout.Key(d), Delete: true})
}

// All yields the digests of what is stored, in the order of their keys.
func (s *Store) All(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for info, err := range s.bucket.List(ctx, s.layout.Prefix, "", false) {
			if err != nil {
				yield(digest.Digest{}, err)
				return
			}
			if d, ok := s.layout.Digest(info.Key); ok && !yield(d, nil) {
				return
			}
		}
	}
}

// Verify reads everything again and yields each digest with nil, with
// digest.ErrMismatch if its bytes are damaged, or with the error that kept them
// from being read.
func (s *Store) Verify(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for d, err := range s.All(ctx) {
			if err == nil {
				err = s.VerifyOne(ctx, d)
				if errors.Is(err, bucket.ErrNotExist) {
					continue // deleted since it was listed
				}
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// VerifyOne is Verify for one digest.
func (s *Store) VerifyOne(ctx context.Context, d digest.Digest) error {
	o, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer o.Close()
	_, err = io.Copy(io.Discard, digest.NewReader(o, d))
	return err
}
