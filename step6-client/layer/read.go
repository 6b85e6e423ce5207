package layer

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// Blob is a layer to be unpacked.
type Blob struct {
	// Descriptor is what the manifest says of it. Media type, digest and size count.
	Descriptor oci.Descriptor
	// DiffID is what the image's config says of it: the digest of the tar.
	DiffID digest.Digest
	// Open returns its bytes, which the package closes. The bytes are verified, so
	// they may come straight from the network.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// stream is the way from a blob to its tar: source, decompression, read ahead, and
// measured, each a reader over the one before.
type stream struct {
	blob   io.Closer
	source *source
	end    func() // of decompression
	ahead  *ahead
	tar    io.Reader // fails in place of io.EOF where the bytes are not those of the diff ID
	meter  *meter
	cancel context.CancelFunc
}

// openStream opens b. The caller closes the stream.
func openStream(ctx context.Context, b Blob, l Limits) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	blob, err := b.Open(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	src := &source{ctx: ctx, r: digest.NewReader(blob, b.Descriptor.Digest), size: b.Descriptor.Size}
	s := &stream{blob: blob, source: src, meter: &meter{limits: l, in: &src.n}, cancel: cancel}
	r, end, err := decompress(ctx, b.Descriptor.MediaType, src)
	if err != nil {
		s.close()
		return nil, err
	}
	s.end = end
	s.ahead = readAhead(ctx, r)
	s.tar = &measured{digest.NewReader(s.ahead, b.DiffID), s.meter}
	return s, nil
}

// decompress reads what src holds by the layer's media type alone. What the bytes
// look like is not asked: other programs may see something else in them. The caller
// calls end when nothing more is read.
func decompress(ctx context.Context, mediaType string, src *source) (r io.Reader, end func(), err error) {
	switch mediaType {
	case oci.MediaTypeImageLayer, oci.MediaTypeImageLayerNonDistributable, oci.MediaTypeDockerLayer, oci.MediaTypeDockerForeignLayer:
		return src, func() {}, nil
	case oci.MediaTypeImageLayerGzip, oci.MediaTypeImageLayerNonDistributableGzip, oci.MediaTypeDockerLayerGzip, oci.MediaTypeDockerForeignLayerGzip:
		// All members are read, and what follows them must be one.
		r, err := gzip.NewReader(bufio.NewReaderSize(src, 64<<10))
		if err == io.EOF {
			err = invalid("gzip: not even a header")
		}
		return r, func() {}, err
	case oci.MediaTypeImageLayerZstd, oci.MediaTypeImageLayerNonDistributableZstd, oci.MediaTypeDockerLayerZstd:
		z, err := startZstd(ctx, src)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { z.wait() }, nil
	}
	return nil, nil, fmt.Errorf("%w: media type %.100q", ErrMediaType, mediaType)
}

// finish reads what is left once the archive has ended, so that all of the blob
// was verified when it returns nil.
func (s *stream) finish() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.tar.Read(buf)
		if !isZero(buf[:n]) {
			// Some programs read on there, so it would be another archive to them.
			return invalid("something follows the end of the archive")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, s.source)
	return err
}

func (s *stream) close() {
	s.cancel()
	if s.ahead != nil {
		<-s.ahead.done // it reads the blob
		s.end()
	}
	s.blob.Close()
}

// source is the blob. Its end is an error unless it has the size and the digest
// that were announced.
type source struct {
	ctx  context.Context
	r    io.Reader
	size int64
	n    atomic.Int64 // bytes read so far
	err  error        // that Read ended with
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	switch total := s.n.Add(int64(n)); {
	case total > s.size:
		n, err = 0, fmt.Errorf("%w: more than %d bytes", ErrSize, s.size)
	case total < s.size && (err == io.EOF || errors.Is(err, digest.ErrMismatch)):
		err = fmt.Errorf("%w: %d bytes, not %d", ErrSize, total, s.size)
	}
	s.err = err
	return n, err
}

func (s *source) failure() error { return s.err }

// measured holds the tar to the limits.
type measured struct {
	r     io.Reader
	meter *meter
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if over := m.meter.unpacked(n); over != nil {
		return n, over
	}
	return n, err
}

// ratioFree is how many bytes may come of however few: a layer of a few small
// files is mostly zeros.
const ratioFree = 32 << 20

// meter counts what a layer costs against its limits.
type meter struct {
	limits                    Limits
	in                        *atomic.Int64 // bytes of the blob
	entries, tarBytes, inFile int64
}

func (m *meter) entry() error {
	if m.entries++; m.entries > m.limits.Entries {
		return exceeds("more than %d entries", m.limits.Entries)
	}
	return nil
}

func (m *meter) unpacked(n int) error {
	m.tarBytes += int64(n)
	return m.check(m.tarBytes)
}

func (m *meter) content(n int) error {
	m.inFile += int64(n)
	return m.check(m.inFile)
}

// fits refuses a file that is going to be too large before it is begun.
func (m *meter) fits(size int64) error {
	if size > m.limits.Bytes-m.inFile {
		return exceeds("more than %d bytes unpacked", m.limits.Bytes)
	}
	return nil
}

func (m *meter) check(total int64) error {
	if total > m.limits.Bytes {
		return exceeds("more than %d bytes unpacked", m.limits.Bytes)
	}
	if total > ratioFree && total/m.limits.Ratio > m.in.Load() {
		return exceeds("%d bytes become more than %d times as many", m.in.Load(), m.limits.Ratio)
	}
	return nil
}
