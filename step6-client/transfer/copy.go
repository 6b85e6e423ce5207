package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
)

const (
	// maxDepth is how deep indexes, and referrers of referrers, may be nested; and
	// maxNodes how many manifests and blobs one copy looks at.
	maxDepth = 16
	maxNodes = 100_000
	// maxManifest is how large a manifest may be, in bytes.
	maxManifest = manifest.MaxSize
)

// Copy copies what from leads to in src, and makes to lead to it in dst if to is not
// "". It returns what was copied: with a Platform, one image of an index.
//
// Children go before their parents and the name comes last, so a copy that ended
// early has changed nothing that anybody sees, and one that is made again finds most
// of it there.
func Copy(ctx context.Context, dst Target, to string, src Source, from string, opts Options) (oci.Descriptor, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newCopier(dst, src, opts, cancel)
	root, err := src.Resolve(ctx, from)
	if err != nil {
		return root, err
	}
	if opts.Platform != nil {
		if root, err = c.choose(ctx, root, *opts.Platform, 0, tried{}); err != nil {
			return root, err
		}
	}
	if !opts.Referrers { // they go before the name: who sees it may ask for them
		c.root, c.rootName = root.Digest, to
	}
	if err := c.tree(ctx, root, 0); err != nil {
		return root, c.reason(err)
	}
	if opts.Referrers {
		if err := c.referrers(ctx, from, to); err != nil {
			return root, c.reason(err)
		}
	}
	return root, c.reason(c.name(ctx, root, to))
}

// copier is one copy under way.
type copier struct {
	src    Source
	dst    Target
	opts   Options
	blobs  chan struct{} // a place for each that may be under way
	cancel context.CancelFunc

	// root gets its name when it is stored, if it must be stored.
	root     digest.Digest
	rootName string
	named    bool // it got it; written by the walk, read after it

	chosen   digest.Digest // the image that the platform chose, which is read twice
	manifest []byte        // its bytes, if they came from the source

	mu        sync.Mutex
	tasks     map[node]*task
	manifests []oci.Descriptor // those that were walked
	failed    error            // the first failure
}

// node is what is copied. The same bytes may be a manifest here and a blob there, and
// then they are copied as both.
type node struct {
	digest   digest.Digest
	manifest bool
}

// task is a node that is copied once, however often it is come to.
type task struct {
	done chan struct{}
	err  error
}

func newCopier(dst Target, src Source, opts Options, cancel context.CancelFunc) *copier {
	opts.Parallel = max(1, cmp.Or(opts.Parallel, DefaultParallel))
	if opts.Progress == nil {
		opts.Progress = func(Event) {}
	}
	return &copier{
		src: src, dst: mounting(dst, src), opts: opts, cancel: cancel,
		blobs: make(chan struct{}, opts.Parallel), tasks: map[node]*task{},
	}
}

// reason is the failure that began it, rather than that of who was told to stop.
func (c *copier) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.failed != nil {
		return c.failed
	}
	return err
}

func (c *copier) fail(err error) error {
	if err != nil {
		c.mu.Lock()
		c.failed = cmp.Or(c.failed, err)
		c.mu.Unlock()
		c.cancel()
	}
	return err
}

// once calls do for the first who comes to d; those who come later wait for that.
func (c *copier) once(ctx context.Context, d oci.Descriptor, do func() error) error {
	n := node{d.Digest, layout.IsManifest(d.MediaType)}
	c.mu.Lock()
	t, ok := c.tasks[n]
	if !ok {
		t = &task{done: make(chan struct{})}
		c.tasks[n] = t
	}
	count := len(c.tasks)
	c.mu.Unlock()
	if ok {
		select {
		case <-t.done:
			return t.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(t.done)
	if count > maxNodes {
		t.err = c.fail(fmt.Errorf("%w: more than %d manifests and blobs", ErrTooMuch, maxNodes))
		return t.err
	}
	t.err = c.fail(do())
	return t.err
}

// tree copies a manifest with all that it leads to.
func (c *copier) tree(ctx context.Context, d oci.Descriptor, depth int) error {
	if !layout.IsManifest(d.MediaType) { // an index may list anything
		return c.blob(ctx, d)
	}
	if depth == maxDepth {
		return c.fail(fmt.Errorf("%w: nested deeper than %d levels", ErrTooMuch, maxDepth))
	}
	if d.Size > maxManifest {
		return c.fail(fmt.Errorf("%w: manifest %s has %d bytes", ErrTooMuch, d.Digest, d.Size))
	}
	return c.once(ctx, d, func() error {
		has, err := c.dst.HasTree(ctx, d)
		if err != nil {
			return err
		}
		if has && !c.opts.Referrers {
			c.opts.Progress(Event{Kind: Present, Descriptor: d})
			return nil
		}
		return c.walk(ctx, d, depth, has)
	})
}

// walk copies what a manifest leads to, and then itself, unless all of that is there
// and only its parts are to be known.
func (c *copier) walk(ctx context.Context, d oci.Descriptor, depth int, has bool) error {
	raw, m, err := c.read(ctx, d)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.manifests = append(c.manifests, d)
	c.mu.Unlock()
	if !has {
		if err := c.each(ctx, m.Blobs, c.blob); err != nil {
			return err
		}
	}
	if err := c.children(ctx, m.Manifests, depth); err != nil {
		return err
	}
	if has {
		c.opts.Progress(Event{Kind: Present, Descriptor: d})
		return nil
	}
	name := ""
	if d.Digest == c.root {
		name = c.rootName
	}
	if err := c.dst.PutManifest(ctx, d, raw, name); err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if name != "" {
		c.named = true
	}
	c.opts.Progress(Event{Kind: Copied, Descriptor: d, Done: d.Size})
	return nil
}

// children copies the entries of an index: images several at once, but other indexes
// one after the other, as each is held in memory while its own are copied.
func (c *copier) children(ctx context.Context, list []oci.Descriptor, depth int) error {
	var others []oci.Descriptor
	for _, d := range list {
		if oci.IsIndex(d.MediaType) {
			if err := c.tree(ctx, d, depth+1); err != nil {
				return err
			}
			continue
		}
		others = append(others, d)
	}
	return c.each(ctx, others, func(ctx context.Context, d oci.Descriptor) error { return c.tree(ctx, d, depth+1) })
}

// each does something with all of a list, with as many at once as there are places. It
// ends with the first error.
func (c *copier) each(ctx context.Context, list []oci.Descriptor, do func(context.Context, oci.Descriptor) error) error {
	var workers sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, min(c.opts.Parallel, len(list)))
	for w := range errs {
		workers.Go(func() {
			for errs[w] == nil {
				i := next.Add(1) - 1
				if i >= int64(len(list)) {
					return
				}
				errs[w] = do(ctx, list[i])
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// read returns a manifest of the source, which must be what d says.
func (c *copier) read(ctx context.Context, d oci.Descriptor) ([]byte, *manifest.Manifest, error) {
	if d.Size > maxManifest {
		return nil, nil, fmt.Errorf("%w: manifest %s has %d bytes", ErrTooMuch, d.Digest, d.Size)
	}
	raw, err := c.fetch(ctx, d)
	if err != nil {
		return nil, nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if int64(len(raw)) != d.Size || d.Digest.Algorithm().FromBytes(raw) != d.Digest {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrDigest, d.Digest, digest.ErrMismatch)
	}
	m, err := manifest.Parse(d.MediaType, raw)
	if err != nil {
		return nil, nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return raw, m, nil
}

// local is a Target that can be asked instead of a source that is far away.
type local interface {
	Stored
	Manifest(ctx context.Context, d oci.Descriptor) ([]byte, error)
	OpenBlob(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error)
}

// fetch returns the bytes of a manifest from where they are to be had with the least
// effort. What d names need not be what comes.
func (c *copier) fetch(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	if c.manifest != nil && d.Digest == c.chosen {
		return c.manifest, nil
	}
	if near, ok := c.dst.(local); ok {
		if raw, err := near.Manifest(ctx, d); err == nil {
			return raw, nil
		}
	}
	return c.src.Manifest(ctx, d)
}

// openConfig opens the config of an image likewise, checked.
func (c *copier) openConfig(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	if near, ok := c.dst.(local); ok {
		if r, err := near.OpenBlob(ctx, d); err == nil {
			return r, nil
		}
	}
	return c.src.OpenBlob(ctx, d)
}

// name makes to lead to root, if it does not.
func (c *copier) name(ctx context.Context, root oci.Descriptor, to string) error {
	if to == "" || c.named && root.Digest == c.root {
		return nil
	}
	if named, ok := c.dst.(Named); ok {
		if d, err := named.Resolve(ctx, to); err == nil && d.Digest == root.Digest {
			return nil
		}
	}
	raw, _, err := c.read(ctx, root)
	if err != nil {
		return err
	}
	return c.dst.PutManifest(ctx, root, raw, to)
}

func enter(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func leave(places chan struct{}) { <-places }
