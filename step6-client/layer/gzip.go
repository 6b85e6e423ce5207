package layer

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"sync/atomic"
)

// pieceSize is how many bytes are compressed by themselves. What comes out depends
// on it, so it is the same on every machine.
const pieceSize = 1 << 20

// mostWriters bounds the memory, of which each takes some MiB.
const mostWriters = 8

// gzipWriter writes one gzip member, which takes as many processors as there are
// to compress: each piece is a run of deflate blocks that ends at a whole byte, so
// pieces that follow one another are one stream to every reader. A piece does not
// refer back into the one before, which costs less than a percent.
//
// Source: RFC 1952; RFC 1951, 3.2.
type gzipWriter struct {
	w     io.Writer
	level int
	each  int // bytes that a piece has
	cur   *piece
	free  chan *piece
	order chan *piece // in the order of the stream
	done  chan error  // what writing ended with, once order was closed
	fails atomic.Bool // writing does, so there is no use in going on
	err   error       // of Close
	crc   uint32
	size  uint32 // modulo 2^32, as in the trailer
	ended bool
}

type piece struct {
	in    []byte
	out   bytes.Buffer
	flate *flate.Writer
	ready chan error
}

// newGzipWriter starts a member of that level of compression, 1 to 9. Close must be
// called, also after an error.
func newGzipWriter(w io.Writer, level int) *gzipWriter {
	n := min(runtime.GOMAXPROCS(0), mostWriters) + 1 // one more, to be filled meanwhile
	z := &gzipWriter{w: w, level: level, each: pieceSize, free: make(chan *piece, n), order: make(chan *piece, n), done: make(chan error, 1)}
	for range n {
		z.free <- &piece{ready: make(chan error, 1)}
	}
	go z.run()
	return z
}

// errGzip ends a Write when an earlier one has failed, which Close tells of.
var errGzip = errors.New("gzip: the stream could not be written")

// Write takes p in; it is written later.
func (z *gzipWriter) Write(p []byte) (int, error) {
	if z.fails.Load() {
		return 0, errGzip
	}
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += uint32(len(p))
	written := len(p)
	for len(p) > 0 {
		if z.cur == nil {
			z.cur = <-z.free
		}
		if z.cur.in == nil {
			z.cur.in = make([]byte, 0, z.each)
		}
		n := min(len(p), z.each-len(z.cur.in))
		z.cur.in = append(z.cur.in, p[:n]...)
		p = p[n:]
		if len(z.cur.in) == z.each {
			z.send(false)
		}
	}
	return written, nil
}

// send has the current piece compressed.
func (z *gzipWriter) send(last bool) {
	p := z.cur
	z.cur = nil
	z.order <- p
	go func() { p.ready <- p.compress(z.level, last) }()
}

func (p *piece) compress(level int, last bool) error {
	p.out.Reset()
	if p.flate == nil {
		w, err := flate.NewWriter(&p.out, level)
		if err != nil {
			return err
		}
		p.flate = w
	} else {
		p.flate.Reset(&p.out)
	}
	if _, err := p.flate.Write(p.in); err != nil {
		return err
	}
	if last {
		return p.flate.Close()
	}
	return p.flate.Flush()
}

// run writes the pieces in their order. After an error it only takes them.
func (z *gzipWriter) run() {
	// No name and no time: the same bytes for everybody. The last is an unknown system.
	_, err := z.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	for p := range z.order {
		if bad := <-p.ready; err == nil {
			err = bad
		}
		if err == nil {
			_, err = z.w.Write(p.out.Bytes())
		}
		if err != nil {
			z.fails.Store(true)
		}
		p.in = p.in[:0]
		z.free <- p
	}
	z.done <- err
}

// Close writes the end of the member, and returns the first error that there was.
// It may be called again.
func (z *gzipWriter) Close() error {
	if z.ended {
		return z.err
	}
	z.ended = true
	if z.cur == nil {
		z.cur = <-z.free
	}
	z.send(true)
	close(z.order)
	if z.err = <-z.done; z.err != nil {
		return z.err
	}
	trailer := binary.LittleEndian.AppendUint32(nil, z.crc)
	_, z.err = z.w.Write(binary.LittleEndian.AppendUint32(trailer, z.size))
	return z.err
}
