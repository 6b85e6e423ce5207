package cas

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
)

// errState says that what was saved of a writer cannot be believed.
var errState = errors.New("cas: saved state is damaged")

// errReread says that a digest of another algorithm was asked for than the one
// the bytes were hashed with, and the bucket cannot read them back.
var errReread = fmt.Errorf("%w: announce the algorithm before the bytes", digest.ErrUnsupported)

// Writer takes bytes in, hashes them as they come, and publishes them under
// their digest. It can be saved and taken up again, by another process too. It
// is used by one goroutine at a time, and always ends with Commit, Cancel or
// Close.
type Writer struct {
	store     *Store
	upload    bucket.Upload
	algorithm digest.Algorithm
	note      []byte
	hash      hash.Hash
	hashed    int64 // how many bytes hash has seen
}

// saved is what Save keeps: the sum so far, and the caller's note.
type saved struct {
	Algorithm digest.Algorithm `json:"algorithm"`
	Hash      []byte           `json:"hash,omitempty"`
	Hashed    int64            `json:"hashed"`
	Note      []byte           `json:"note,omitempty"`
}

// NewWriter starts a writer of that ID whose bytes are hashed by a. note is kept
// with it from the first Save on; before that nothing is.
func (s *Store) NewWriter(ctx context.Context, id string, a digest.Algorithm, note []byte) (*Writer, error) {
	w := &Writer{store: s, algorithm: a, note: note, hash: a.New()}
	var err error
	w.upload, err = s.bucket.CreateUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// OpenWriter takes up the writer of that ID where it was last saved.
// bucket.ErrNotExist, also where what was saved is damaged; then its bytes are
// freed.
func (s *Store) OpenWriter(ctx context.Context, id string) (*Writer, error) {
	u, err := s.bucket.OpenUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &Writer{store: s, upload: u}
	if err := w.restore(u.State()); err != nil {
		return nil, errors.Join(bucket.ErrNotExist, err, u.Abort(ctx))
	}
	return w, nil
}

// Writers yields the IDs of the writers that were saved and neither committed nor
// cancelled.
func (s *Store) Writers(ctx context.Context) iter.Seq2[string, error] {
	return s.bucket.Uploads(ctx)
}

// Note is what was given to NewWriter, or to the last SetNote.
func (w *Writer) Note() []byte { return w.note }

// SetNote replaces the note; the next Save keeps it.
func (w *Writer) SetNote(note []byte) { w.note = note }

// Size is the number of bytes taken in so far.
func (w *Writer) Size() int64 { return w.upload.Size() }

// Expect says by which algorithm the bytes will be named. It changes something
// only as long as there are none; so it saves reading them twice.
func (w *Writer) Expect(a digest.Algorithm) {
	if w.Size() == 0 && a != w.algorithm {
		w.algorithm, w.hash, w.hashed = a, a.New(), 0
	}
}

// Append adds the bytes of r at offset, which must be Size. Errors are those of
// bucket.Upload.
func (w *Writer) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if err := w.rehash(); err != nil {
		return 0, err
	}
	t := tee{r: r, hash: w.hash}
	n, err := w.upload.Append(ctx, offset, &t)
	w.hashed += t.n
	return n, err
}

// rehash makes the hash cover exactly the bytes that are there, if it does not:
// after a write that failed half-way, or where the saved sum was not usable.
func (w *Writer) rehash() error {
	if w.hash != nil && w.hashed == w.Size() {
		return nil
	}
	h, err := w.reread(w.algorithm)
	if err != nil {
		return err
	}
	w.hash, w.hashed = h, w.Size()
	return nil
}

// reread hashes the bytes again from the bucket.
func (w *Writer) reread(a digest.Algorithm) (hash.Hash, error) {
	if w.Size() == 0 {
		return a.New(), nil
	}
	f, err := w.Reread()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := a.New()
	_, err = io.Copy(h, f)
	return h, err
}

// sum is the digest by a of what was taken in.
func (w *Writer) sum(a digest.Algorithm) (digest.Digest, error) {
	if a == w.algorithm {
		if err := w.rehash(); err != nil {
			return digest.Digest{}, err
		}
		return a.FromHash(w.hash), nil
	}
	h, err := w.reread(a)
	if err != nil {
		return digest.Digest{}, err
	}
	return a.FromHash(h), nil
}

// Check returns digest.ErrMismatch unless what was taken in is what want names.
func (w *Writer) Check(want digest.Digest) error {
	got, err := w.sum(want.Algorithm())
	if err != nil {
		return err
	}
	return match(got, want)
}

// Reread returns what was taken in, from its start, for those who send it
// elsewhere rather than commit it. The caller closes it. Not every bucket can read
// its uploads back (bucket.Rereader).
func (w *Writer) Reread() (io.ReadCloser, error) {
	r, ok := w.upload.(bucket.Rereader)
	if !ok {
		return nil, errReread
	}
	return r.Reread()
}

// Commit publishes the bytes as want, which must be their digest
// (digest.ErrMismatch), and makes the other changes in the same Write. What was
// there under that digest is replaced, so that a damaged copy heals. After an
// error the writer is as it was.
func (w *Writer) Commit(ctx context.Context, want digest.Digest, also ...bucket.Change) error {
	got, err := w.sum(want.Algorithm())
	if err != nil {
		return err
	}
	return w.store.publish(ctx, got, want, bucket.Change{From: w.upload}, also)
}

// Save makes durable all that was taken in, so that OpenWriter finds it.
func (w *Writer) Save(ctx context.Context) error {
	if err := w.rehash(); err != nil && !errors.Is(err, errReread) {
		return err
	}
	return w.upload.Save(ctx, w.state())
}

// Cancel ends the writer and frees its bytes. After Commit it does nothing, so
// it may be deferred.
func (w *Writer) Cancel(ctx context.Context) error { return w.upload.Abort(ctx) }

// Close lets go of the writer; what was not saved is lost. After Commit or
// Cancel it does nothing.
func (w *Writer) Close() error { return w.upload.Close() }

// state encodes what a later process needs: a checksum of our own, then JSON. A
// sum that does not fit the bytes is left out.
func (w *Writer) state() []byte {
	s := saved{Algorithm: w.algorithm, Hashed: w.hashed, Note: w.note}
	if m, ok := w.hash.(encoding.BinaryMarshaler); ok {
		if state, err := m.MarshalBinary(); err == nil {
			s.Hash = state
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // none of the fields can fail
	}
	check := sha256.Sum256(raw)
	return append(check[:], raw...)
}

func (w *Writer) restore(raw []byte) error {
	var s saved
	if len(raw) < sha256.Size {
		return errState
	}
	check := sha256.Sum256(raw[sha256.Size:])
	if !bytes.Equal(check[:], raw[:sha256.Size]) || json.Unmarshal(raw[sha256.Size:], &s) != nil {
		return errState
	}
	a, err := digest.ParseAlgorithm(string(s.Algorithm))
	if err != nil {
		return errState
	}
	w.algorithm, w.note = a, s.Note
	// A sum that cannot be taken up, or is not of all bytes, is made again (rehash).
	h := a.New()
	if u, ok := h.(encoding.BinaryUnmarshaler); ok && u.UnmarshalBinary(s.Hash) == nil {
		w.hash, w.hashed = h, s.Hashed
	}
	return nil
}

func newID() string { return rand.Text() }

// tee hashes what passes through it: each piece while it is still in the
// processor's cache, on its way from the network to the disk. To hash it in a
// goroutine of its own was tried, and cost more in handing over than it gained.
type tee struct {
	r    io.Reader
	hash hash.Hash
	n    int64
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	t.hash.Write(p[:n])
	return n, err
}
