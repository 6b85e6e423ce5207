package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/wire"
)

const (
	// saveBytes and saveTime are how much of a download a death of the process may
	// cost.
	saveBytes = 4 << 20
	saveTime  = time.Second
	// inUsePause is how long to wait before looking again whether somebody else has
	// fetched the same blob.
	inUsePause = 50 * time.Millisecond
	// pulling is what the IDs of unfinished downloads begin with.
	pulling = "pull-"
)

// PullBlob puts a blob into a store; nothing happens if that has it. The bytes get
// their name there only when all have come and are what d.Digest names
// (digest.ErrMismatch). ocierr.BlobUnknown, ocierr.NameUnknown.
//
// What came of a download that ended early stays in the store as a writer of its own,
// and the next PullBlob goes on with it, in another process too; DropPartial removes
// what nobody went on with. While another PullBlob fetches the digest into the store,
// this one waits for it: to find the blob there, or to go on where that failed.
func (c *Client) PullBlob(ctx context.Context, name ref.Name, d oci.Descriptor, to *cas.Store) error {
	w, err := openPartial(ctx, d, to)
	for errors.Is(err, bucket.ErrInUse) {
		if err = wire.Sleep(ctx, inUsePause); err == nil {
			w, err = openPartial(ctx, d, to)
		}
	}
	if err != nil {
		return err
	}
	if w == nil {
		c.opts.Progress(d.Digest, d.Size, d.Size)
		return nil
	}
	resumed := w.Size() > 0
	err = c.pullInto(ctx, name, d, w, resumed)
	if !errors.Is(err, digest.ErrMismatch) || !resumed {
		return err
	}
	// The bytes that were there may have been the wrong ones.
	if w, err = to.NewWriter(ctx, partialID(d.Digest), d.Digest.Algorithm(), now()); err != nil {
		return err
	}
	return c.pullInto(ctx, name, d, w, false)
}

// openPartial is what to has of d, to be gone on with; nil if that is all.
// bucket.ErrInUse while somebody else does so.
func openPartial(ctx context.Context, d oci.Descriptor, to *cas.Store) (*cas.Writer, error) {
	if info, err := to.Stat(ctx, d.Digest); err == nil && info.Size == d.Size {
		return nil, nil
	}
	w, err := to.OpenWriter(ctx, partialID(d.Digest))
	if errors.Is(err, bucket.ErrNotExist) {
		w, err = to.NewWriter(ctx, partialID(d.Digest), d.Digest.Algorithm(), now())
	}
	if err != nil {
		return nil, err
	}
	// Who had it until now may have been about to finish.
	if info, err := to.Stat(ctx, d.Digest); err == nil && info.Size == d.Size {
		return nil, w.Cancel(ctx)
	}
	return w, nil
}

func partialID(d digest.Digest) string { return pulling + string(d.Algorithm()) + "-" + d.Hex() }

// pullInto fetches what w lacks of d and commits it. It lets go of w: with what came
// saved, or without it where that is wrong.
func (c *Client) pullInto(ctx context.Context, name ref.Name, d oci.Descriptor, w *cas.Writer, resumed bool) error {
	keep := context.WithoutCancel(ctx)
	defer w.Close()
	if w.Size() <= d.Size {
		if err := c.receive(ctx, name, d, w); err != nil {
			return errors.Join(err, save(keep, w))
		}
	}
	if w.Size() != d.Size {
		return errors.Join(fmt.Errorf("%w: %s has not %d bytes", digest.ErrMismatch, d.Digest, d.Size), w.Cancel(keep))
	}
	var err error
	if resumed {
		err = reread(w, d.Digest)
	}
	if err == nil {
		err = w.Commit(ctx, d.Digest)
	}
	switch {
	case errors.Is(err, digest.ErrMismatch):
		return errors.Join(err, w.Cancel(keep))
	case err != nil:
		return errors.Join(err, save(keep, w))
	}
	return nil
}

// now is the note of a download: when it last came on.
func now() []byte { return []byte(time.Now().UTC().Format(time.RFC3339)) }

func save(ctx context.Context, w *cas.Writer) error {
	w.SetNote(now())
	return w.Save(ctx)
}

// reread holds what is on the disk against d. A writer that was taken up again knows
// the hash of what an earlier process received, which need not be what lies there now.
func reread(w *cas.Writer, d digest.Digest) error {
	r, err := w.Reread()
	if errors.Is(err, digest.ErrUnsupported) {
		return nil // by this bucket
	}
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, digest.NewReader(r, d))
	return err
}

// fast is what one stream brings, in bytes a second, to gain nothing from others
// beside it: each range is held in memory until those before it are written, which
// costs more than it gains where the machine is what is slow.
const fast = 32 << 20

// receive appends to w what it lacks of d. If that is much, a first range tells how
// fast the registry is: what follows comes in one stream, or in several ranges at once.
func (c *Client) receive(ctx context.Context, name ref.Name, d oci.Descriptor, w *cas.Writer) error {
	stream := &blob{client: c, ctx: ctx, name: name, digest: d.Digest, size: d.Size, at: w.Size()}
	defer stream.Close()
	if c.opts.Ranges > 1 && d.Size-w.Size() > 2*c.opts.RangeSize && !c.fast.Load() {
		begin, at := time.Now(), w.Size()
		stream.until = at + c.opts.RangeSize
		if err := c.take(ctx, d, w, stream); err != nil {
			return err
		}
		if w.Size() == d.Size { // it knows no ranges
			return nil
		}
		if rate := float64(w.Size()-at) / time.Since(begin).Seconds(); rate < fast {
			from := c.openRanges(ctx, name, d, w.Size())
			defer from.Close()
			return c.take(ctx, d, w, from)
		}
		c.fast.Store(true)
		stream.disconnect() // from an answer that is over
		stream.until = 0
	}
	return c.take(ctx, d, w, stream)
}

// take appends to w what comes, and saves that about once a second.
func (c *Client) take(ctx context.Context, d oci.Descriptor, w *cas.Writer, from io.Reader) error {
	saved := time.Now()
	for w.Size() < d.Size {
		n, err := w.Append(ctx, w.Size(), &slice{from, min(saveBytes, d.Size-w.Size()), saved.Add(saveTime)})
		if err != nil || n == 0 { // from has no more
			return err
		}
		c.opts.Progress(d.Digest, w.Size(), d.Size)
		if w.Size() < d.Size && time.Since(saved) >= saveTime {
			if err := save(ctx, w); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	return nil
}

// slice is as much of r as should be on the disk before more is read: left bytes, or
// what comes until then.
type slice struct {
	r     io.Reader
	left  int64
	until time.Time
}

func (s *slice) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	if s.left -= int64(n); n > 0 && !time.Now().Before(s.until) {
		s.left = 0
	}
	return n, err
}

// DropPartial removes from a store what is left of downloads that ended early and
// that nobody went on with for so long; 0 is for all. Those under way are left alone.
func DropPartial(ctx context.Context, store *cas.Store, age time.Duration) error {
	for id, err := range store.Writers(ctx) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(id, pulling) {
			continue
		}
		w, err := store.OpenWriter(ctx, id)
		if err != nil {
			continue // it is being written to, or cannot be read: then the next one finds it
		}
		touched, err := time.Parse(time.RFC3339, string(w.Note()))
		if err == nil && time.Since(touched) < age {
			err = w.Close()
		} else {
			err = w.Cancel(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
