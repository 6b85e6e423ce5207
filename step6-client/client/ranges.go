package client

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/wire"
)

// ranges reads a blob through several connections at once, each of which fetches one
// range into memory; what is read comes in order. Its ranges are begun in order too,
// each with its buffer in hand, so the one that is to be read next never waits for
// the memory of those behind it.
type ranges struct {
	client *Client
	ctx    context.Context
	cancel context.CancelFunc
	name   ref.Name
	digest digest.Digest
	size   int64

	queue chan *piece // in order; closed behind the last
	head  *piece      // what is being read
	ended chan struct{}
}

// piece is one range on its way.
type piece struct {
	first  int64
	buffer []byte
	filled atomic.Int64  // how much of buffer has come
	grown  chan struct{} // told when that is more than it was
	done   chan struct{} // closed when all has come, or err is set
	err    error
	read   int // how much of it went on
}

func newPiece(first int64, buffer []byte) *piece {
	return &piece{first: first, buffer: buffer, grown: make(chan struct{}, 1), done: make(chan struct{})}
}

// fill reads what r has, up to the end of the piece, and tells whether that came.
func (p *piece) fill(r io.Reader) (whole bool, err error) {
	for {
		at := p.filled.Load()
		if at == int64(len(p.buffer)) {
			return true, nil
		}
		n, err := r.Read(p.buffer[at:])
		p.filled.Add(int64(n))
		select {
		case p.grown <- struct{}{}:
		default:
		}
		if err != nil {
			return at+int64(n) == int64(len(p.buffer)), err
		}
	}
}

// next waits for bytes that have come and not gone on. It is empty at the end of the
// piece.
func (p *piece) next() ([]byte, error) {
	for {
		if filled := int(p.filled.Load()); filled > p.read || p.read == len(p.buffer) {
			return p.buffer[p.read:filled], nil
		}
		select {
		case <-p.grown:
		case <-p.done:
			if p.err != nil && int(p.filled.Load()) == p.read {
				return nil, p.err
			}
		}
	}
}

// openRanges reads d from the byte at on, of a registry that knows ranges. The caller
// closes what it returns.
func (c *Client) openRanges(ctx context.Context, name ref.Name, d oci.Descriptor, at int64) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	r := &ranges{client: c, ctx: ctx, cancel: cancel, name: name, digest: d.Digest, size: d.Size,
		queue: make(chan *piece, c.opts.Ranges-1), ended: make(chan struct{})}
	go r.begin(at)
	return r
}

// begin starts the ranges from the byte at on.
func (r *ranges) begin(at int64) {
	defer close(r.ended)
	defer close(r.queue)
	for at < r.size {
		buffer := r.client.buffers.take(r.ctx)
		if buffer == nil {
			return
		}
		p := newPiece(at, buffer[:min(int64(len(buffer)), r.size-at)])
		go r.fetch(p)
		at += int64(len(p.buffer))
		select {
		case r.queue <- p:
		case <-r.ctx.Done():
			r.release(p)
			return
		}
	}
}

// fetch fills a piece, through as many connections as it takes.
func (r *ranges) fetch(p *piece) {
	defer close(p.done)
	for failed := 0; ; {
		at := p.filled.Load()
		var answer *part
		if answer, p.err = r.client.get(r.ctx, r.name, r.digest, p.first+at, p.first+int64(len(p.buffer))-1); p.err != nil {
			return
		}
		if answer.whole {
			answer.Close()
			p.err = fmt.Errorf("%w: the whole in the place of a range", ErrAnswer)
			return
		}
		whole, err := p.fill(answer)
		answer.Close()
		if whole {
			return
		}
		if failed++; p.filled.Load() > at {
			failed = 1
		}
		if failed > r.client.conn.Retries() || r.ctx.Err() != nil {
			p.err = fmt.Errorf("blob %s at byte %d: %w", r.digest, p.first+p.filled.Load(), unexpected(err))
			return
		}
		if p.err = wire.Sleep(r.ctx, wire.Backoff(failed)); p.err != nil {
			return
		}
	}
}

// release gives the buffer of a piece back, once nobody writes to it.
func (r *ranges) release(p *piece) {
	<-p.done
	r.client.buffers.give(p.buffer)
}

// Read implements io.Reader.
func (r *ranges) Read(b []byte) (int, error) {
	if r.head == nil {
		p, ok := <-r.queue
		if !ok {
			if r.ctx.Err() != nil {
				return 0, context.Cause(r.ctx)
			}
			return 0, io.EOF
		}
		r.head = p
	}
	come, err := r.head.next()
	if err != nil {
		return 0, err
	}
	n := copy(b, come)
	if r.head.read += n; r.head.read == len(r.head.buffer) {
		r.release(r.head)
		r.head = nil
	}
	return n, nil
}

// Close ends all connections and waits for them.
func (r *ranges) Close() error {
	r.cancel()
	if r.head != nil {
		r.release(r.head)
		r.head = nil
	}
	for p := range r.queue {
		r.release(p)
	}
	<-r.ended
	return nil
}

// buffers are a bounded number of equal buffers, made when they are first needed.
type buffers struct {
	size   int64
	free   chan []byte
	unmade chan struct{}
}

func newBuffers(most int, size int64) *buffers {
	b := &buffers{size, make(chan []byte, most), make(chan struct{}, most)}
	for range most {
		b.unmade <- struct{}{}
	}
	return b
}

// take waits for a buffer; it is nil if ctx ends first.
func (b *buffers) take(ctx context.Context) []byte {
	select {
	case buffer := <-b.free: // rather than make another one
		return buffer
	default:
	}
	select {
	case buffer := <-b.free:
		return buffer
	case <-b.unmade:
		return make([]byte, b.size)
	case <-ctx.Done():
		return nil
	}
}

func (b *buffers) give(buffer []byte) { b.free <- buffer[:b.size] }
