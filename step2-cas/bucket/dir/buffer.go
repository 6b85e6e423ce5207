package dir

import "sync"

const (
	// smallBuffer is how much is taken from the network at a time at first, and
	// largeBuffer from whoever has once filled that: the less often the two sides wake
	// each other, the less a byte costs. Beyond a MiB there is nothing to gain.
	smallBuffer = 64 << 10
	largeBuffer = 1 << 20
	// largeBuffers is how many of these there are, whatever the number of uploads, and
	// spareBuffers how many of them are kept for the next one.
	largeBuffers = 16
	spareBuffers = 4
)

var (
	small = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	spare = make(chan *[largeBuffer]byte, spareBuffers)
	inUse = make(chan struct{}, largeBuffers) // holds a token for each large one
)

// buffer grows to a large one with a fast sender, as long as there are any.
type buffer struct {
	small *[smallBuffer]byte
	large *[largeBuffer]byte
}

func newBuffer() *buffer { return &buffer{small: small.Get().(*[smallBuffer]byte)} }

// bytes is what to read into.
func (b *buffer) bytes() []byte {
	if b.large != nil {
		return b.large[:]
	}
	return b.small[:]
}

// filled tells how much of it was.
func (b *buffer) filled(n int) {
	if b.large != nil || n < smallBuffer {
		return
	}
	select {
	case inUse <- struct{}{}:
	default:
		return
	}
	select {
	case b.large = <-spare:
	default:
		b.large = new([largeBuffer]byte)
	}
}

// release gives it back.
func (b *buffer) release() {
	small.Put(b.small)
	if b.large == nil {
		return
	}
	select {
	case spare <- b.large:
	default:
	}
	<-inUse
}
