package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
)

func newWriter(t *testing.T, s *cas.Store, a digest.Algorithm) *cas.Writer {
	t.Helper()
	w, err := s.NewWriter(t.Context(), "w", a, []byte("note"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func reopen(t *testing.T, s *cas.Store, w *cas.Writer) *cas.Writer {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := s.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func appendTo(t *testing.T, w *cas.Writer, data string) {
	t.Helper()
	if n, err := w.Append(t.Context(), w.Size(), strings.NewReader(data)); n != int64(len(data)) || err != nil {
		t.Fatalf("Append: %d, %v", n, err)
	}
}

func commit(t *testing.T, s *cas.Store, w *cas.Writer, a digest.Algorithm, data string) {
	t.Helper()
	d := a.FromBytes([]byte(data))
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBytes(t, s, d, data)
}

// A writer goes on with the hash it had: its bytes cannot even be read back here.
func TestResume(t *testing.T) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		t.Run(string(a), func(t *testing.T) {
			each(t, func(t *testing.T, b backend) {
				s := cas.New(blindfold(b), cas.Distribution)
				w := newWriter(t, s, a)
				appendTo(t, w, "saved ")
				w.SetNote([]byte("another note"))
				if err := w.Save(t.Context()); err != nil {
					t.Fatal(err)
				}
				appendTo(t, w, "and lost")
				w = reopen(t, s, w)
				if w.Size() != 6 || string(w.Note()) != "another note" {
					t.Errorf("it resumes at %d with %q", w.Size(), w.Note())
				}
				appendTo(t, w, "and resumed")
				commit(t, s, w, a, "saved and resumed")
			})
		})
	}
}

// Where nothing was saved there is nothing to resume, and the ID is free.
func TestResumeUnsaved(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		w := newWriter(t, s, digest.SHA512)
		appendTo(t, w, "lost")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.OpenWriter(t.Context(), "w"); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("OpenWriter: %v", err)
		}
		w = newWriter(t, s, digest.SHA512)
		appendTo(t, w, "kept")
		commit(t, s, w, digest.SHA512, "kept")
	})
}

func TestWriters(t *testing.T) {
	ctx := t.Context()
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		ids := func() (all []string) {
			for id, err := range s.Writers(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, id)
			}
			return all
		}
		if got := ids(); len(got) != 0 {
			t.Errorf("before Save: %v", got)
		}
		if err := w.Save(ctx); err != nil {
			t.Fatal(err)
		}
		if got := ids(); !slices.Equal(got, []string{"w"}) {
			t.Errorf("Writers yields %v", got)
		}
		if err := w.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		if got := ids(); len(got) != 0 {
			t.Errorf("after Cancel: %v", got)
		}
		if _, err := s.OpenWriter(ctx, "w"); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("OpenWriter after Cancel: %v", err)
		}
	})
}

// savedState is the state of a writer that has saved these bytes.
func savedState(t *testing.T, data string) []byte {
	t.Helper()
	b := mem.New()
	w := newWriter(t, cas.New(b, cas.Distribution), digest.SHA256)
	appendTo(t, w, data)
	if err := w.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	u, err := b.OpenUpload(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return u.State()
}

// openLying opens a writer that has saved "hello", over a bucket that tells of
// that state instead of what was saved.
func openLying(t *testing.T, b bucket.Bucket, state []byte) (*cas.Store, *cas.Writer, error) {
	t.Helper()
	s := cas.New(wrapped{b, func(u bucket.Upload) bucket.Upload { return lying{u, state} }}, cas.Distribution)
	w := newWriter(t, s, digest.SHA256)
	appendTo(t, w, "hello")
	if err := w.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := s.OpenWriter(t.Context(), "w")
	return s, w, err
}

// No byte of the saved state can be wrong unnoticed. What cannot be believed is
// no writer any more, and its bytes are freed.
func TestDamagedState(t *testing.T) {
	state := savedState(t, "hello")
	for i := range state {
		damaged := bytes.Clone(state)
		damaged[i] ^= 1
		b := mem.New()
		if _, _, err := openLying(t, b, damaged); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		wantNothing(t, b)
	}
	for _, cut := range []int{0, 1, 32, len(state) - 1} {
		b := mem.New()
		if _, _, err := openLying(t, b, state[:cut]); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
		wantNothing(t, b)
	}
}

// A state of other bytes, whole in itself, is caught where the digest is made:
// the sum of as many other bytes never gets a name, that of more or fewer bytes
// is made again.
func TestStateOfOtherBytes(t *testing.T) {
	_, w, err := openLying(t, mem.New(), savedState(t, "jello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), digest.FromBytes([]byte("hello"))); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("Commit: %v", err)
	}
}

func TestHashedAgain(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		state := savedState(t, "hell")
		s := cas.New(wrapped{b, func(u bucket.Upload) bucket.Upload {
			return reading{lying{u, state}, u.(bucket.Rereader)}
		}}, cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		appendTo(t, w, "hello")
		if err := w.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		w = reopen(t, s, w) // with a sum of four bytes, where there are five
		appendTo(t, w, " world")
		commit(t, s, w, digest.SHA256, "hello world")
	})
}

// Where the bytes cannot be read back, an algorithm that comes late is refused,
// and the writer goes on.
func TestOtherAlgorithm(t *testing.T) {
	want := digest.SHA512.FromBytes([]byte("hello"))
	each(t, func(t *testing.T, b backend) {
		s := cas.New(blindfold(b), cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		appendTo(t, w, "hello")
		w.Expect(digest.SHA512) // too late to change anything
		if err := w.Commit(t.Context(), want); !errors.Is(err, digest.ErrUnsupported) {
			t.Errorf("Commit: %v", err)
		}
		commit(t, s, w, digest.SHA256, "hello")
	})
}

func TestOtherAlgorithmReread(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		appendTo(t, w, "hello")
		commit(t, s, w, digest.SHA512, "hello")
	})
}

// Expect before the first byte saves the second reading.
func TestExpect(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s := cas.New(blindfold(b), cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		w.Expect(digest.SHA512)
		appendTo(t, w, "hello")
		commit(t, s, w, digest.SHA512, "hello")
	})
}

func TestAppendGoesOnAfterBrokenSource(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		s := cas.New(blindfold(b), cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		cut := io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(io.ErrUnexpectedEOF))
		n, err := w.Append(t.Context(), 0, cut)
		if n != 3 || !errors.Is(err, bucket.ErrSource) {
			t.Fatalf("Append: %d, %v", n, err)
		}
		if n, err := w.Append(t.Context(), 0, strings.NewReader("x")); n != 0 || !errors.Is(err, bucket.ErrOffset) {
			t.Errorf("Append elsewhere: %d, %v", n, err)
		}
		appendTo(t, w, "lo")
		commit(t, s, w, digest.SHA256, "hello")
	})
}

// After a write that failed half-way the hash has seen more than was kept, so it
// is made again.
func TestAppendGoesOnAfterFullDisk(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		full := false
		s := cas.New(wrapped{b, func(u bucket.Upload) bucket.Upload {
			return half{u, u.(bucket.Rereader), &full}
		}}, cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		n, err := w.Append(t.Context(), 0, strings.NewReader("hello!"))
		if n != 3 || !errors.Is(err, bucket.ErrFull) {
			t.Fatalf("Append: %d, %v", n, err)
		}
		appendTo(t, w, "lo")
		commit(t, s, w, digest.SHA256, "hello")
	})
}

func TestCommitThatFails(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		ctx := t.Context()
		s := cas.New(b, cas.Distribution)
		w := newWriter(t, s, digest.SHA256)
		appendTo(t, w, "hel")
		if err := w.Commit(ctx, digest.FromBytes([]byte("hello"))); !errors.Is(err, digest.ErrMismatch) {
			t.Errorf("Commit as something else: %v", err)
		}
		stale := bucket.Change{Key: "link", If: bucket.IfVersion("none")}
		if err := w.Commit(ctx, digest.FromBytes([]byte("hel")), stale); !errors.Is(err, bucket.ErrChanged) {
			t.Errorf("Commit under a condition that does not hold: %v", err)
		}
		if k := keys(t, b); len(k) != 0 {
			t.Errorf("visible: %v", k)
		}
		appendTo(t, w, "lo")
		commit(t, s, w, digest.SHA256, "hello")
		if err := w.Cancel(ctx); err != nil {
			t.Errorf("Cancel after Commit: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close after Commit: %v", err)
		}
		wantBytes(t, s, digest.FromBytes([]byte("hello")), "hello")
	})
}

// Large pieces are hashed beside the writing. However they are cut, and however
// many do so at once, each sum is that of its own bytes.
func TestLargePieces(t *testing.T) {
	const size = 600 << 10
	each(t, func(t *testing.T, b backend) {
		s := cas.New(b, cas.Distribution)
		var wg sync.WaitGroup
		for i, cut := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r },
			iotest.DataErrReader,
			iotest.HalfReader,
			func(r io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(r, 100), io.LimitReader(r, 40<<10), io.LimitReader(r, 3), r)
			},
		} {
			for j := range 2 {
				wg.Go(func() {
					data := bytes.Repeat(fmt.Appendf(nil, "%d%d", i, j), size/2)
					w, err := s.NewWriter(t.Context(), fmt.Sprint("w", i, j), digest.SHA256, nil)
					if err != nil {
						t.Error(err)
						return
					}
					for k, half := range [][]byte{data[:size/2], data[size/2:]} {
						if _, err := w.Append(t.Context(), int64(k*size/2), cut(bytes.NewReader(half))); err != nil {
							t.Error(err)
						}
					}
					if err := w.Commit(t.Context(), digest.FromBytes(data)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for d, err := range s.Verify(t.Context()) {
			if err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
	})
}

// A source that breaks after a large piece leaves no goroutine behind: synctest
// fails where one does.
func TestLargePieceThenBroken(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		synctest.Test(t, func(t *testing.T) {
			s := cas.New(b, cas.Distribution)
			w := newWriter(t, s, digest.SHA256)
			piece := strings.Repeat("x", 100<<10)
			cut := io.MultiReader(strings.NewReader(piece), iotest.ErrReader(io.ErrUnexpectedEOF))
			if n, err := w.Append(t.Context(), 0, cut); n != 100<<10 || !errors.Is(err, bucket.ErrSource) {
				t.Fatalf("Append: %d, %v", n, err)
			}
			appendTo(t, w, "y")
			commit(t, s, w, digest.SHA256, piece+"y")
		})
	})
}

// What a writer took in can be looked at before it has a name, and it goes on
// afterwards.
func TestCheckAndReread(t *testing.T) {
	s := cas.New(mem.New(), cas.Distribution)
	w := newWriter(t, s, digest.SHA256)
	appendTo(t, w, "hello")
	if err := w.Check(digest.FromBytes([]byte("hello"))); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := w.Check(digest.SHA512.FromBytes([]byte("hello"))); err != nil {
		t.Errorf("Check by another algorithm: %v", err)
	}
	if err := w.Check(digest.FromBytes([]byte("other"))); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("Check of something else: %v", err)
	}
	r, err := w.Reread()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
		t.Errorf("Reread: %q, %v", got, err)
	}
	appendTo(t, w, " again")
	commit(t, s, w, digest.SHA256, "hello again")
}
