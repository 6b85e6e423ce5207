package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
)

// backend is a bucket, and a way to damage what it holds: damage flips one bit of
// a key's bytes.
type backend struct {
	bucket.Bucket
	damage func(t *testing.T, key string)
}

// backends are all that a store is tested over.
var backends = map[string]func(t *testing.T) backend{
	"mem": func(t *testing.T) backend {
		b := mem.New()
		return backend{b, func(t *testing.T, key string) {
			t.Helper()
			data, _, err := bucket.ReadAll(t.Context(), b, key, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			data[0] ^= 1
			if err := b.Write(t.Context(), bucket.Change{Key: key, Data: data}); err != nil {
				t.Fatal(err)
			}
		}}
	},
	"dir": func(t *testing.T) backend {
		root := t.TempDir()
		b, err := dir.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return backend{b, func(t *testing.T, key string) {
			t.Helper()
			file := root + "/" + key
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[0] ^= 1
			if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}}
	},
}

// each runs a test over all backends.
func each(t *testing.T, test func(t *testing.T, b backend)) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// keys are the keys of all objects in b.
func keys(t *testing.T, b bucket.Bucket) (all []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), "", "", false) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// uploads are the IDs of the uploads that are open in b.
func uploads(t *testing.T, b bucket.Bucket) (all []string) {
	t.Helper()
	for id, err := range b.Uploads(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

// wantBytes reads d and checks it.
func wantBytes(t *testing.T, s *cas.Store, d digest.Digest, want string) {
	t.Helper()
	o, err := s.Open(t.Context(), d)
	if err != nil {
		t.Errorf("Open(%s): %v", d, err)
		return
	}
	defer o.Close()
	got, err := io.ReadAll(digest.NewReader(o, d))
	if err != nil || string(got) != want {
		t.Errorf("%s reads %.80q, %v; want %.80q", d, got, err, want)
	}
}

// wantNothing wants that b shows nothing and keeps no upload.
func wantNothing(t *testing.T, b bucket.Bucket) {
	t.Helper()
	if k, u := keys(t, b), uploads(t, b); len(k)+len(u) != 0 {
		t.Errorf("kept: keys %v, uploads %v", k, u)
	}
}

func TestPut(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		for _, tt := range []struct {
			name, data string
			a          digest.Algorithm
		}{
			{"sha256", "hello", digest.SHA256},
			{"sha512", "hello", digest.SHA512},
			{"empty", "", digest.SHA256},
			{"larger than a buffer", strings.Repeat("0123456789", 100<<10), digest.SHA256},
		} {
			want := tt.a.FromBytes([]byte(tt.data))
			if _, err := s.Stat(ctx, want); !errors.Is(err, bucket.ErrNotExist) {
				t.Errorf("%s: Stat before: %v", tt.name, err)
			}
			got, size, err := s.Put(ctx, strings.NewReader(tt.data), tt.a)
			if got != want || size != int64(len(tt.data)) || err != nil {
				t.Errorf("%s: Put is %s, %d, %v; want %s", tt.name, got, size, err, want)
			}
			wantBytes(t, s, want, tt.data)
			if info, err := s.Stat(ctx, want); err != nil || info.Size != int64(len(tt.data)) {
				t.Errorf("%s: Stat is %+v, %v", tt.name, info, err)
			}
		}
		if u := uploads(t, b); len(u) != 0 {
			t.Errorf("uploads are left: %v", u)
		}
	})
}

func TestPutOfBrokenSource(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		cut := io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(io.ErrUnexpectedEOF))
		_, _, err := s.Put(t.Context(), cut, digest.SHA256)
		if !errors.Is(err, bucket.ErrSource) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Put: %v", err)
		}
		wantNothing(t, b)
	})
}

// A caller who goes away takes his bytes with him.
func TestPutCancelled(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		ctx, cancel := context.WithCancel(t.Context())
		r := readerFunc(func(p []byte) (int, error) {
			cancel()
			return 0, context.Canceled
		})
		_, _, err := cas.New(b, cas.Distribution).Put(ctx, r, digest.SHA256)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Put: %v", err)
		}
		wantNothing(t, b)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPutBytes(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := a.FromBytes([]byte("hello"))
			link := bucket.Change{Key: "link/" + string(a), Data: []byte(d.String())}
			if err := s.PutBytes(ctx, d, []byte("hello"), link); err != nil {
				t.Fatal(err)
			}
			wantBytes(t, s, d, "hello")
			if data, _, err := bucket.ReadAll(ctx, b, link.Key, 200); string(data) != d.String() || err != nil {
				t.Errorf("the change beside it: %q, %v", data, err)
			}
		}
	})
}

// Bytes that are there already are not written again, but what is to be changed
// beside them is.
func TestPutBytesTwice(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		d := digest.FromBytes([]byte("hello"))
		if err := s.PutBytes(ctx, d, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		before, err := s.Stat(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutBytes(ctx, d, []byte("hello"), bucket.Change{Key: "link"}); err != nil {
			t.Fatal(err)
		}
		if after, err := s.Stat(ctx, d); after != before || err != nil {
			t.Errorf("written again: %+v, then %+v, %v", before, after, err)
		}
		if _, err := b.Stat(ctx, "link"); err != nil {
			t.Errorf("the change beside it: %v", err)
		}
		condition := bucket.Change{Key: "link", If: bucket.Absent}
		if err := s.PutBytes(ctx, d, []byte("hello"), condition); !errors.Is(err, bucket.ErrChanged) {
			t.Errorf("a condition that does not hold: %v", err)
		}
	})
}

func TestMismatchKeepsNothing(t *testing.T) {
	ctx := t.Context()
	wrong := digest.FromBytes([]byte("something else"))
	for name, put := range map[string]func(s *cas.Store, d digest.Digest) error{
		"PutBytes": func(s *cas.Store, d digest.Digest) error {
			return s.PutBytes(ctx, d, []byte("hello"), bucket.Change{Key: "link"})
		},
		"Commit": func(s *cas.Store, d digest.Digest) error {
			w, err := s.NewWriter(ctx, "w", digest.SHA256, nil)
			if err != nil {
				return err
			}
			defer w.Cancel(ctx)
			if _, err := w.Append(ctx, 0, strings.NewReader("hello")); err != nil {
				return err
			}
			return w.Commit(ctx, d, bucket.Change{Key: "link"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b backend) {
				for _, d := range []digest.Digest{wrong, {}, digest.SHA512.FromBytes([]byte("something else"))} {
					if err := put(cas.New(b, cas.Distribution), d); !errors.Is(err, digest.ErrMismatch) {
						t.Errorf("as %q: %v", d, err)
					}
					wantNothing(t, b)
				}
			})
		})
	}
}

// Whichever way the same bytes come again, they replace a copy that is damaged.
func TestPutHeals(t *testing.T) {
	ctx := t.Context()
	d := digest.FromBytes([]byte("hello"))
	for name, put := range map[string]func(s *cas.Store) error{
		"Put": func(s *cas.Store) error {
			_, _, err := s.Put(ctx, strings.NewReader("hello"), digest.SHA256)
			return err
		},
		"PutBytes": func(s *cas.Store) error { return s.PutBytes(ctx, d, []byte("hello")) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b backend) {
				s := cas.New(b, cas.Distribution)
				if err := put(s); err != nil {
					t.Fatal(err)
				}
				b.damage(t, cas.Distribution.Key(d))
				if err := s.VerifyOne(ctx, d); !errors.Is(err, digest.ErrMismatch) {
					t.Fatalf("the damage is not seen: %v", err)
				}
				if err := put(s); err != nil {
					t.Fatal(err)
				}
				wantBytes(t, s, d, "hello")
			})
		})
	}
}

func TestDelete(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		d, _, err := s.Put(ctx, strings.NewReader("hello"), digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, d); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if err := s.Delete(ctx, d); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("Delete again: %v", err)
		}
		if _, err := s.Open(ctx, d); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("Open: %v", err)
		}
		wantNothing(t, b)
	})
}

// The zero digest names nothing.
func TestZeroDigest(t *testing.T) {
	ctx := t.Context()
	s := cas.New(mem.New(), cas.Distribution)
	if _, err := s.Open(ctx, digest.Digest{}); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.Stat(ctx, digest.Digest{}); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("Stat: %v", err)
	}
	if err := s.Delete(ctx, digest.Digest{}); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("Delete: %v", err)
	}
}

func TestLayouts(t *testing.T) {
	ctx := t.Context()
	hello := digest.FromBytes([]byte("hello"))
	hello512 := digest.SHA512.FromBytes([]byte("hello"))
	for _, tt := range []struct {
		name           string
		layout         cas.Layout
		sha256, sha512 string
		notDigests     []string
	}{
		{"Distribution", cas.Distribution,
			"blobs/sha256/2c/" + hello.Hex() + "/data",
			"blobs/sha512/9b/" + hello512.Hex() + "/data",
			[]string{
				"blobs/sha256/00/" + hello.Hex() + "/data", "blobs/sha256/" + hello.Hex()[:3] + "/" + hello.Hex() + "/data",
				"blobs/sha256/2c/" + hello.Hex(), "blobs/sha256/2c/" + hello.Hex() + "/other", "blobs/md5/2c/2c/data",
				"other/sha256/2c/" + hello.Hex() + "/data", "blobs/sha512/2c/" + hello.Hex() + "/data",
			}},
		{"OCI", cas.OCI,
			"blobs/sha256/" + hello.Hex(),
			"blobs/sha512/" + hello512.Hex(),
			[]string{
				"blobs/sha256/" + hello.Hex()[1:], "blobs/md5/2c", "blobs/" + hello.Hex(),
				"blobs/sha256/" + hello.Hex() + "/data", "other/sha256/" + hello.Hex(),
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, b backend) {
				s := cas.New(b, tt.layout)
				for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
					if _, _, err := s.Put(ctx, strings.NewReader("hello"), a); err != nil {
						t.Fatal(err)
					}
				}
				if got := keys(t, b); !slices.Equal(got, []string{tt.sha256, tt.sha512}) {
					t.Errorf("keys are %v", got)
				}
				for _, key := range tt.notDigests {
					if d, ok := tt.layout.Digest(key); ok {
						t.Errorf("%q is taken for %s", key, d)
					}
				}
				foreign := bucket.Change{Key: "blobs/readme", Data: []byte("not a blob")}
				if err := b.Write(ctx, foreign); err != nil {
					t.Fatal(err)
				}
				var all []digest.Digest
				for d, err := range s.All(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, d)
				}
				if !slices.Equal(all, []digest.Digest{hello, hello512}) {
					t.Errorf("All yields %v", all)
				}
				for range s.All(ctx) {
					break // the walk ends when the caller does
				}
			})
		})
	}
}

// Verify names what is damaged, and nothing else.
func TestVerify(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		want := map[digest.Digest]error{}
		for _, data := range []string{"one", "two", "three"} {
			for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				d, _, err := s.Put(ctx, strings.NewReader(data), a)
				if err != nil {
					t.Fatal(err)
				}
				want[d] = nil
				if data == "two" {
					b.damage(t, cas.Distribution.Key(d))
					want[d] = digest.ErrMismatch
				}
			}
		}
		seen := 0
		for d, err := range s.Verify(ctx) {
			if !errors.Is(err, want[d]) {
				t.Errorf("%s: %v, want %v", d, err, want[d])
			}
			seen++
		}
		if seen != len(want) {
			t.Errorf("it yields %d digests of %d", seen, len(want))
		}
	})
}

// Of what is deleted while Verify walks there is nothing to say.
func TestVerifyWhileDeleting(t *testing.T) {
	ctx := t.Context()
	s := cas.New(mem.New(), cas.Distribution)
	for _, data := range []string{"one", "two", "three"} {
		if _, _, err := s.Put(ctx, strings.NewReader(data), digest.SHA256); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for first, err := range s.Verify(ctx) {
		if err != nil {
			t.Error(err)
		}
		seen++
		for d := range s.All(ctx) {
			if d != first {
				s.Delete(ctx, d)
			}
		}
	}
	if seen != 1 {
		t.Errorf("it yields %d digests, want the one that is left", seen)
	}
}

func TestVerifyStopsAtAFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		if _, _, err := s.Put(t.Context(), strings.NewReader("one"), digest.SHA256); err != nil {
			t.Fatal(err)
		}
		cancel()
		var errs []error
		for d, err := range s.Verify(ctx) {
			if !d.IsZero() {
				t.Errorf("it yields %s", d)
			}
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
			t.Errorf("it yields %v", errs)
		}
	})
}

// Many push the same bytes at once: all succeed, one copy is there, and whoever
// reads meanwhile gets all of it or is told that there is none.
func TestConcurrentPushers(t *testing.T) {
	ctx := t.Context()
	data := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	want := digest.FromBytes(data)
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		var pushers, readers sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if err := s.VerifyOne(ctx, want); err != nil && !errors.Is(err, bucket.ErrNotExist) {
						t.Error(err)
					}
				}
			})
		}
		for i := range 32 {
			pushers.Go(func() {
				if i%4 == 0 {
					if err := s.PutBytes(ctx, want, data); err != nil {
						t.Error(err)
					}
					return
				}
				if d, _, err := s.Put(ctx, iotest.DataErrReader(bytes.NewReader(data)), digest.SHA256); d != want || err != nil {
					t.Errorf("Put is %s, %v; want %s", d, err, want)
				}
			})
		}
		pushers.Wait()
		close(done)
		readers.Wait()
		wantBytes(t, s, want, string(data))
		if k := keys(t, b); !slices.Equal(k, []string{cas.Distribution.Key(want)}) {
			t.Errorf("keys are %v", k)
		}
		if u := uploads(t, b); len(u) != 0 {
			t.Errorf("uploads are left: %v", u)
		}
	})
}
