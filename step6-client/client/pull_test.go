package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/client"
)

func push(t *testing.T, c *client.Client, name ref.Name, data []byte) oci.Descriptor {
	t.Helper()
	d := blobOf(data)
	if err := c.PushBlob(t.Context(), name, d, client.BytesContent(data)); err != nil {
		t.Fatal(err)
	}
	return d
}

// holds checks that a store has data, and nothing unfinished.
func holds(t *testing.T, s *cas.Store, data []byte) {
	t.Helper()
	if err := s.VerifyOne(t.Context(), digest.FromBytes(data)); err != nil {
		t.Error(err)
	}
	nothingOpen(t, s)
}

func nothingOpen(t *testing.T, s *cas.Store) {
	t.Helper()
	for id, err := range s.Writers(t.Context()) {
		t.Errorf("left over: %s, %v", id, err)
	}
}

func lacks(t *testing.T, s *cas.Store, d digest.Digest) {
	t.Helper()
	if _, err := s.Stat(t.Context(), d); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("there is something at the final name: %v", err)
	}
}

func TestPullBlob(t *testing.T) {
	for _, tt := range []struct {
		name     string
		between  between
		ranges   int
		size     int
		requests int64 // at most
		bytes    int64 // at most
		parallel int   // at least
	}{
		{"one stream", straight, 1, 3 * mib, 1, 3 * mib, 1},
		{"empty", straight, 4, 0, 0, 0, 0},
		{"one byte", straight, 4, 1, 1, 1, 1},
		{"one range, and one stream where that came fast", straight, 4, 8*mib + 5, 2, 8*mib + 5, 1},
		{"ranges", slow, 4, 8*mib + 5, 9, 8*mib + 5, 2},
		{"ranges that come out even", slow, 2, 8 * mib, 8, 8 * mib, 2},
		{"too small for ranges", straight, 4, 2 * mib, 1, 2 * mib, 1},
		{"ranges ignored", noRanges, 4, 8 * mib, 1, 8 * mib, 1},
		{"cut again and again", cutAnswers(700 << 10), 1, 3 * mib, 5, 3*mib + 1*mib, 1},
		{"ranges, cut", cutAnswers(700 << 10), 4, 8 * mib, 17, 9 * mib, 2},
		{"ranges, cut often", cutAnswers(100 << 10), 4, 8 * mib, 96, 12 * mib, 2}, // what is cut off counts too
		{"ranges ignored, cut once", once(cutAnswers(700<<10), noRanges), 4, 3 * mib, 2, 4 * mib, 1},
		{"not now", once(instead(1, pulls, status(503)), straight), 1, mib, 2, mib, 1},
		{"ranges, one of them not now", both(instead(5, pulls, status(503)), slow), 4, 8 * mib, 9, 8 * mib, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data, m := content(tt.size), new(reader)
			inBubble(t, m.before(tt.between), client.Options{Ranges: tt.ranges, RangeSize: mib}, func(t *testing.T, c, direct *client.Client) {
				d, store := push(t, direct, aName, data), cas.New(mem.New(), cas.OCI)
				if err := c.PullBlob(t.Context(), aName, d, store); err != nil {
					t.Fatal(err)
				}
				holds(t, store, data)
				before := m.requests.Load()
				if err := c.PullBlob(t.Context(), aName, d, store); err != nil || m.requests.Load() != before {
					t.Errorf("pulled again: %d requests, %v", m.requests.Load()-before, err)
				}
			})
			if m.requests.Load() > tt.requests || m.bytes.Load() > tt.bytes || m.most < tt.parallel {
				t.Errorf("%d bytes in %d requests, %d at once; want at most %d in %d, and %d", m.bytes.Load(), m.requests.Load(), m.most, tt.bytes, tt.requests, tt.parallel)
			}
		})
	}
}

// What is not the blob gets no name, and nothing is left of it.
func TestPullWrong(t *testing.T) {
	data := content(3 * mib)
	for _, tt := range []struct {
		name    string
		between between
		ranges  int
		want    error
	}{
		{"bit in the first byte", flipped(0), 1, digest.ErrMismatch},
		{"bit in the last byte", flipped(3*mib - 1), 1, digest.ErrMismatch},
		{"bit in a range", flipped(mib / 2), 4, digest.ErrMismatch},
		{"404", instead(1, pulls, status(404)), 1, ocierr.BlobUnknown},
		{"404 of a range", instead(2, pulls, status(404)), 4, ocierr.BlobUnknown},
		{"digest of something else", header("Docker-Content-Digest", digestOf("x").String()), 1, digest.ErrMismatch},
		{"encoded", header("Content-Encoding", "gzip"), 1, client.ErrAnswer},
		{"another range", header("Content-Range", "bytes 1-1048576/3145728"), 4, client.ErrAnswer},
		{"a range of something longer", header("Content-Range", "bytes 0-1048575/3145729"), 4, client.ErrAnswer},
		{"a range of no size", header("Content-Range", "bytes 0-1048575"), 4, client.ErrAnswer},
		{"shorter", replaced(data[:3*mib-1]), 1, client.ErrAnswer},
		{"longer", replaced(append(bytes.Clone(data), 'x')), 1, client.ErrAnswer},
		{"swapped", replaced(content(3*mib + 2)[:3*mib]), 1, digest.ErrMismatch},
		{"empty", replaced(nil), 1, client.ErrAnswer},
		{"without end", endless, 1, digest.ErrMismatch},
		{"shorter, of unknown length", streamed(data[:3*mib-1]), 1, io.ErrUnexpectedEOF},
		{"an end that never comes", cutAnswers(0), 1, io.ErrUnexpectedEOF},
		{"ranges that never come", cutAnswers(0), 4, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.between, client.Options{Ranges: tt.ranges, RangeSize: mib}, func(t *testing.T, c, direct *client.Client) {
				d, store := push(t, direct, aName, data), cas.New(mem.New(), cas.OCI)
				if err := c.PullBlob(t.Context(), aName, d, store); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				lacks(t, store, d.Digest)
				if err := client.DropPartial(t.Context(), store, 0); err != nil {
					t.Error(err)
				}
				nothingOpen(t, store)
			})
		})
	}
}

// A pull that was killed goes on with what the store has, in another process. What
// was damaged meanwhile costs starting again.
func TestPullGoesOnAfterDeath(t *testing.T) {
	data := content(8 * mib)
	for _, tt := range []struct {
		name   string
		ranges int
		damage func(t *testing.T, folder string)
		most   int64 // bytes of the second pull
	}{
		{"one stream", 1, func(*testing.T, string) {}, 5 * mib},
		{"ranges", 4, func(*testing.T, string) {}, 8*mib - 1}, // those that were on their way are lost
		{"bytes damaged", 1, func(t *testing.T, folder string) { damage(t, folder, "data", 0) }, 13 * mib},
		{"state damaged", 1, func(t *testing.T, folder string) { damage(t, folder, "state", 20) }, 8 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			m := new(reader)
			// Each piece takes a second, so that the download is saved on its way.
			slow := slowed(100 * time.Millisecond)
			inBubble(t, m.before(slow), client.Options{Ranges: tt.ranges, RangeSize: mib}, func(t *testing.T, c, direct *client.Client) {
				d := push(t, direct, aName, data)
				pull := func(ctx context.Context) error {
					files, err := dir.Open(folder)
					if err != nil {
						t.Fatal(err)
					}
					defer files.Close()
					store := cas.New(files, cas.OCI)
					err = c.PullBlob(ctx, aName, d, store)
					if err == nil {
						holds(t, store, data)
					} else {
						lacks(t, store, d.Digest)
					}
					return err
				}
				ctx, kill := context.WithCancel(t.Context())
				go func() {
					for m.bytes.Load() < 5*mib {
						time.Sleep(time.Millisecond)
					}
					kill()
				}()
				if err := pull(ctx); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				tt.damage(t, filepath.Join(folder, "uploads"))
				m.bytes.Store(0)
				if err := pull(t.Context()); err != nil {
					t.Fatal(err)
				}
				if m.bytes.Load() > tt.most {
					t.Errorf("%d bytes came again, want at most %d", m.bytes.Load(), tt.most)
				}
			})
		})
	}
}

// damage flips a bit of the one file in a folder that has that ending.
func damage(t *testing.T, folder, name string, at int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*."+name))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1
	if err := os.WriteFile(found[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Several that want the same blob in the same store fetch it once; and where the one
// who does so fails, another goes on.
func TestPullAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kill  bool
		bytes int64 // at most
	}{
		{"the first fetches it", false, 3 * mib},
		{"the first is stopped", true, 3*mib + 512<<10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder, data, m := t.TempDir(), content(3*mib), new(reader)
			inBubble(t, m.before(slow), client.Options{Ranges: 1}, func(t *testing.T, c, direct *client.Client) {
				d := push(t, direct, aName, data)
				files, err := dir.Open(folder)
				if err != nil {
					t.Fatal(err)
				}
				defer files.Close()
				store := cas.New(files, cas.OCI)
				first, kill := context.WithCancel(t.Context())
				defer kill()
				var all sync.WaitGroup
				all.Go(func() {
					if err := c.PullBlob(first, aName, d, store); (err != nil) != tt.kill {
						t.Errorf("the first: %v", err)
					}
				})
				for m.bytes.Load() < mib {
					time.Sleep(time.Millisecond)
				}
				for range 3 {
					all.Go(func() {
						if err := c.PullBlob(t.Context(), aName, d, store); err != nil {
							t.Error(err)
						}
					})
				}
				time.Sleep(time.Millisecond)
				if tt.kill {
					kill()
				}
				all.Wait()
				holds(t, store, data)
			})
			if m.bytes.Load() > tt.bytes {
				t.Errorf("%d bytes came, want at most %d", m.bytes.Load(), tt.bytes)
			}
		})
	}
}

// Many large blobs at once take turns with the memory for their ranges, and none
// waits for ever.
func TestPullMany(t *testing.T) {
	m := new(reader)
	inBubble(t, m.before(straight), client.Options{Ranges: 4, RangeSize: 64 << 10}, func(t *testing.T, c, direct *client.Client) {
		store := cas.New(mem.New(), cas.OCI)
		var all sync.WaitGroup
		for i := range 12 {
			data := content(mib + 2*i)
			d := push(t, direct, aName, data)
			all.Go(func() {
				if err := c.PullBlob(t.Context(), aName, d, store); err != nil {
					t.Error(err)
				}
				holds1(t, store, d.Digest)
			})
		}
		all.Wait()
		nothingOpen(t, store)
	})
	if m.most > 8+12 { // the first range of each is asked for before there is memory for it
		t.Errorf("%d ranges at once, for which there is memory for 8", m.most)
	}
}

func holds1(t *testing.T, s *cas.Store, d digest.Digest) {
	if err := s.VerifyOne(t.Context(), d); err != nil {
		t.Error(err)
	}
}

// What is left of downloads goes when nobody went on with it for a while; what is
// younger stays, and so do writers of others.
func TestDropPartial(t *testing.T) {
	older, younger := content(mib), content(mib+2)
	synctest.Test(t, func(t *testing.T) {
		store := cas.New(mem.New(), cas.OCI)
		c := startBubble(t, cutAnswers(1000)(registry(t)), impatient)
		w, err := store.NewWriter(t.Context(), "theirs", digest.SHA256, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Save(t.Context()), w.Close()); err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{older, younger} {
			if err := c.PullBlob(t.Context(), aName, push(t, c, aName, b), store); err == nil {
				t.Fatal("pulled")
			}
			time.Sleep(time.Hour)
		}
		left := func(age time.Duration) string {
			t.Helper()
			if err := client.DropPartial(t.Context(), store, age); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for id := range store.Writers(t.Context()) {
				ids = append(ids, strings.TrimPrefix(id, "pull-sha256-"))
			}
			return strings.Join(ids, " ")
		}
		if got, want := left(90*time.Minute), digest.FromBytes(younger).Hex()+" theirs"; got != want {
			t.Errorf("left %s, want %s", got, want)
		}
		if got := left(0); got != "theirs" {
			t.Errorf("left %s", got)
		}
	})
}
