package transfer

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/wire"
)

// blob copies one, unless it is there.
func (c *copier) blob(ctx context.Context, d oci.Descriptor) error {
	if oci.IsNonDistributable(d.MediaType) {
		c.opts.Progress(Event{Kind: Left, Descriptor: d})
		return nil
	}
	return c.once(ctx, d, func() error {
		if err := enter(ctx, c.blobs); err != nil {
			return err
		}
		defer leave(c.blobs)
		moved, err := c.move(ctx, d)
		if err != nil {
			return fmt.Errorf("blob %s: %w", d.Digest, err)
		}
		if moved {
			c.opts.Progress(Event{Kind: Copied, Descriptor: d, Done: d.Size})
		} else {
			c.opts.Progress(Event{Kind: Present, Descriptor: d})
		}
		return nil
	})
}

// move does it, and tells whether any bytes were needed.
func (c *copier) move(ctx context.Context, d oci.Descriptor) (moved bool, err error) {
	puller, canPull := c.src.(Puller)
	stored, hasStore := c.dst.(Stored)
	if canPull && hasStore {
		if info, err := stored.Blobs().Stat(ctx, d.Digest); err == nil && info.Size == d.Size {
			return false, nil
		}
		c.opts.Progress(Event{Kind: Started, Descriptor: d})
		return true, puller.PullBlob(ctx, d, stored.Blobs())
	}
	var opened atomic.Bool
	err = c.dst.PutBlob(ctx, d, func(offset int64) (io.ReadCloser, error) {
		if !opened.Swap(true) {
			c.opts.Progress(Event{Kind: Started, Descriptor: d})
		}
		return c.open(ctx, d, offset)
	})
	return opened.Load(), err
}

// open opens a blob of the source from an offset on. The target checks what it gets,
// so a source that can leave that out does: hashing is most of what a copy costs.
func (c *copier) open(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	open := c.src.OpenBlob
	if src, ok := c.src.(Unchecked); ok {
		open = src.OpenUnchecked
	}
	r, err := open(ctx, d)
	if err != nil {
		return nil, err
	}
	if _, err := r.Seek(offset, io.SeekStart); err != nil {
		r.Close()
		return nil, err
	}
	return &counted{r, func(n int64) { c.opts.Progress(Event{Kind: Moved, Descriptor: d, Done: n}) }, offset}, nil
}

// counted tells how far it was read.
type counted struct {
	io.ReadCloser
	tell func(int64)
	at   int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.at += int64(n)
		c.tell(c.at)
	}
	return n, err
}

// File and Passed implement wire.File.
func (c *counted) File() io.Reader { return wire.FileOf(c.ReadCloser) }

func (c *counted) Passed(n int64) {
	wire.Passed(c.ReadCloser, n)
	c.at += n
	c.tell(c.at)
}
