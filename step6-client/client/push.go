package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/journal"
	"shibafu.dev/step6-client/wire"
)

// PushBlob makes d, whose bytes content opens, a blob of the repository. Nothing is
// sent if it is there; if one of the repositories from has it, it is mounted. What is
// sent goes in one piece if the registry, and what stands before it, lets it; after a
// cut it goes on where the registry says. With a journal, it goes on there after a
// death of the process too. digest.ErrMismatch if content is not what d says.
func (c *Client) PushBlob(ctx context.Context, name ref.Name, d oci.Descriptor, content Content, from ...ref.Name) error {
	p := &push{
		client: c, name: name, digest: d.Digest, size: d.Size, content: content, piece: c.opts.Chunk,
	}
	p.entry = c.opts.Journal.Entry(p.key())
	done, err := p.there(ctx)
	if err == nil && !done {
		done, err = p.begin(ctx, from)
	}
	return p.finish(ctx, done, err)
}

// CommitBlob pushes what w took in as the blob d of the repository, if it is what d
// names (digest.ErrMismatch), so that sessions which were received here end in the
// registry there. It is an upload.Commit.
func (c *Client) CommitBlob(ctx context.Context, name ref.Name, w *cas.Writer, d digest.Digest) error {
	if err := w.Check(d); err != nil {
		return err
	}
	return c.PushBlob(ctx, name, oci.Descriptor{Digest: d, Size: w.Size()}, writerContent(w))
}

// PushStream makes a blob of what r yields, whose length and digest nobody knows
// before its end. It goes in one request, as r is read once. Where that fails in
// passing and r can be read again, as a file can (io.ReaderAt), it is hashed to its end
// and the push goes on where the registry is.
func (c *Client) PushStream(ctx context.Context, name ref.Name, a digest.Algorithm, r io.Reader) (digest.Digest, int64, error) {
	at, start := rereadable(r)
	u, err := c.StartUpload(ctx, name, a)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	h := a.New()
	err = u.Append(ctx, io.TeeReader(r, h), -1)
	if err == nil {
		d, size := a.FromHash(h), u.Size()
		return d, size, u.Commit(ctx, d)
	}
	if at == nil || !passing(ctx, err) {
		return digest.Digest{}, 0, errors.Join(err, u.Cancel(ctx))
	}
	h = a.New()
	size, readErr := io.Copy(h, io.NewSectionReader(at, start, math.MaxInt64-start))
	if readErr != nil {
		return digest.Digest{}, 0, errors.Join(readErr, u.Cancel(ctx))
	}
	d := a.FromHash(h)
	content := func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(at, start+offset, size-offset)), nil
	}
	p := &push{
		client: c, name: name, digest: d, size: size, content: content, piece: c.opts.Chunk, upload: u, resumed: true,
	}
	p.entry = c.opts.Journal.Entry(p.key())
	done, err := p.afterCut(ctx, 0, size, 0, nil, err)
	return d, size, p.finish(ctx, done, err)
}

// rereadable is r, and where it stands, if it can be read from anywhere without being
// disturbed by who still reads it; else nil. A pipe is a file that cannot.
func rereadable(r io.Reader) (at io.ReaderAt, start int64) {
	at, ok := r.(io.ReaderAt)
	seeker, canSeek := r.(io.Seeker)
	if !ok || !canSeek {
		return nil, 0
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0
	}
	return at, start
}

// push is a blob on its way to a registry.
type push struct {
	client  *Client
	name    ref.Name
	digest  digest.Digest
	size    int64
	content Content
	entry   *journal.Entry

	upload   *Upload
	piece    int64 // the largest that may be sent at once; 0 for all
	best     int64 // the most that the registry ever had
	failed   int   // failures since then
	restarts int   // how many sessions were given up
	resumed  bool  // the session is that of an earlier process

	rate   float64 // how fast bytes went the last time, in bytes a second
	lost   bool    // the session was given up by the registry
	rhythm *rhythm // set once a cut did that
}

// there tells whether the repository has the blob. It asks with a token to push, as
// what comes next needs one.
func (p *push) there(ctx context.Context) (bool, error) {
	size, err := p.client.statBlob(ctx, p.name, p.digest, wire.RepositoryScope(p.name, endpoint.Push))
	var no *refused
	switch {
	case err == nil && size != p.size:
		return false, fmt.Errorf("%w: %s is said to have %d bytes, but has %d", digest.ErrMismatch, p.digest, p.size, size)
	case err == nil:
		return true, nil
	case errors.Is(err, ErrAnswer), errors.As(err, &no) && no.reason.Status/100 == 4 && no.reason.Status != http.StatusUnauthorized && !wire.Passing(no.reason.Status):
		return false, nil // some let one push who may not look
	}
	return false, err
}

// begin finds a session: that of the journal, or a new one. done if there need be
// none, as a mount has done it all.
func (p *push) begin(ctx context.Context, from []ref.Name) (done bool, err error) {
	if kept, ok := p.client.opts.Journal.Find(p.key()); ok && kept.Size == p.size {
		u, err := p.client.OpenUpload(ctx, p.name, kept.Location)
		switch {
		case err == nil && u.sure && u.size <= p.size:
			p.upload, p.resumed = u, true
			return false, nil
		case err == nil:
			u.Cancel(ctx)
		case ctx.Err() != nil, passing(ctx, err):
			return false, err // it is there yet
		}
		p.entry.Forget()
	}
	for _, source := range from {
		if source == p.name {
			continue
		}
		u, err := p.client.mount(ctx, p.name, source, p.digest)
		switch {
		case err == nil && u == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, err
		case u != nil && p.upload == nil:
			p.upload = u // as good as any
		case u != nil:
			u.Cancel(ctx)
		}
	}
	if p.upload != nil {
		return false, p.keep()
	}
	return false, p.start(ctx)
}

func (p *push) start(ctx context.Context) (err error) {
	if p.upload, err = p.client.StartUpload(ctx, p.name, p.digest.Algorithm()); err != nil {
		return err
	}
	p.resumed = false
	return p.keep()
}

// key is what the journal knows the upload by.
func (p *push) key() journal.Key {
	return journal.Key{Registry: p.client.conn.Origin().String(), Name: p.name, Digest: p.digest}
}

// keep notes in the journal how far the upload is.
func (p *push) keep() error {
	return p.entry.Keep(journal.Upload{Location: p.upload.Location(), Offset: p.upload.size, Size: p.size})
}

// finish goes on until all is done.
func (p *push) finish(ctx context.Context, done bool, err error) error {
	for err == nil && !done {
		done, err = p.step(ctx)
	}
	if err != nil {
		return errors.Join(err, p.entry.Flush())
	}
	p.entry.Forget()
	p.client.opts.Progress(p.digest, p.size, p.size)
	return nil
}

// step sends the next piece. Where it is the whole the blob is finished with it;
// else that is a request of its own, which all registries understand.
func (p *push) step(ctx context.Context) (done bool, err error) {
	u := p.upload
	at, size := u.size, p.size-u.size
	if p.rhythm != nil {
		if err := p.rhythm.ready(ctx); err != nil {
			return false, err
		}
		p.piece = p.rhythm.piece()
	}
	if p.piece > 0 {
		size = min(size, max(p.piece, u.least))
	}
	last := size == p.size || at == p.size
	body := &counting{size: size, body: func() (io.ReadCloser, error) { return p.content(at) }}
	body.tell = func(sent int64) { p.client.opts.Progress(p.digest, at+sent, p.size) }
	begin := time.Now()
	if last {
		err = u.put(ctx, p.digest, body.open, size)
	} else {
		err = u.patch(ctx, body.open, size)
	}
	sent, fault := body.bytes()
	p.measure(sent, time.Since(begin))
	switch {
	case fault != nil:
		return false, fmt.Errorf("content of %s: %w", p.digest, fault)
	case err != nil:
		return p.recover(ctx, at, size, sent, err)
	case last:
		return true, nil
	case !u.sure || u.size < at || u.size > p.size:
		return false, fmt.Errorf("%w: session is at byte %d after %d were sent from %d on", ErrAnswer, u.size, size, at)
	}
	if !p.progress() {
		return false, fmt.Errorf("%w: the registry takes no bytes", ErrAnswer)
	}
	return false, p.keep()
}

// measure takes notice of how long n bytes took.
func (p *push) measure(n int64, took time.Duration) {
	if n >= smallestPiece && took > 0 {
		p.rate = float64(n) / took.Seconds()
	}
	if p.rhythm != nil {
		p.rhythm.rate = p.rate
	}
}

// progress tells whether to go on: the registry has more than ever, or failed to
// have so not too often in a row.
func (p *push) progress() bool {
	if p.upload.size > p.best {
		p.best, p.failed = p.upload.size, 0
		return true
	}
	p.failed++
	return p.failed <= p.client.conn.Retries()
}

// again starts over with a new session, if that was not done too often.
func (p *push) again(ctx context.Context, reason error) (done bool, err error) {
	const most = 5
	if p.restarts++; p.restarts > most {
		return false, reason
	}
	p.entry.Forget()
	p.best = 0
	if done, err := p.there(ctx); done || err != nil { // the answer that was lost may have been the last one
		return done, err
	}
	return false, p.start(ctx)
}
