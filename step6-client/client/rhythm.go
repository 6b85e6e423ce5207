package client

import (
	"context"
	"time"

	"shibafu.dev/step6-client/wire"
)

// rhythm is how a link breaks, for registries that give up a session with all that it
// had when a request in it is cut: docker-registry before version 3 compares how much
// there is with what it signed into the Location, and ends the session where they
// differ. There a blob arrives only if nothing is under way whenever the link breaks.
// So after such a loss the link is watched while nothing is sent, and from then on
// pieces go in the first part of the time between two cuts; for the rest of it a
// connection stands idle, to be cut in the place of a request.
//
// The best that is possible there is to lose what was sent before the first cut.
type rhythm struct {
	conn *wire.Conn
	last time.Time     // when the link last broke
	gap  time.Duration // between two breaks; 0 until that was seen
	rate float64       // how fast bytes go, in bytes a second
}

const (
	// watched is how long a link is watched that does not break again.
	watched = 15 * time.Second
	// atOnce is within what time connections break together.
	atOnce = 200 * time.Millisecond
	// glance is how often a link is looked at.
	glance = 20 * time.Millisecond
)

// observe takes notice of a break since the last one.
func (r *rhythm) observe() {
	broken := r.conn.Broken()
	gap := broken.Sub(r.last)
	if gap < atOnce {
		return
	}
	if r.gap == 0 || gap < r.gap { // a longer one has another in it that nobody saw
		r.gap = gap
	}
	r.last = broken
}

// ready waits until a piece has time enough to arrive.
func (r *rhythm) ready(ctx context.Context) error {
	for {
		r.observe()
		since := time.Since(r.last)
		switch {
		case r.gap > 0 && since < r.gap*5/8:
			return nil
		case r.gap == 0 && since > watched:
			r.gap, r.last = watched, time.Now()
		case r.gap > 0 && since > r.gap*3/2: // it did not break this time
			r.last = time.Now()
		}
		if err := wire.Sleep(ctx, glance); err != nil {
			return err
		}
	}
}

// piece is how much goes in an eighth of the time between two breaks, in bytes.
func (r *rhythm) piece() int64 {
	return max(smallestPiece, min(largestPiece, int64(r.rate*r.gap.Seconds()/8)))
}
