package dir

import "testing"

// A fast sender gets a large buffer, as long as there are some, and gives it back.
func TestBuffers(t *testing.T) {
	var taken []*buffer
	sizes := func() (n int) {
		b := newBuffer()
		taken = append(taken, b)
		b.filled(smallBuffer - 1)
		if len(b.bytes()) != smallBuffer {
			t.Errorf("it takes %d bytes of who did not fill it", len(b.bytes()))
		}
		b.filled(smallBuffer)
		return len(b.bytes())
	}
	for range largeBuffers {
		if got := sizes(); got != largeBuffer {
			t.Errorf("it takes %d bytes", got)
		}
	}
	if got := sizes(); got != smallBuffer {
		t.Errorf("with all in use it takes %d bytes", got)
	}
	for _, b := range taken {
		b.release()
	}
	taken = nil
	if got := sizes(); got != largeBuffer {
		t.Errorf("when all were given back it takes %d bytes", got)
	}
	taken[0].release()
}
