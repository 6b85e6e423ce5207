package ratelimit

import (
	"math"
	"time"
)

// Rate is what may be had a second, and how much at once by who had nothing for a
// while. The zero Rate is no limit.
type Rate struct{ PerSecond, Burst float64 }

// bucket holds what may still be had; it is negative where that was had in advance.
type bucket struct {
	rate   Rate
	tokens float64
	at     time.Time // when tokens was right
}

func newBucket(r Rate, now time.Time) bucket { return bucket{r, r.Burst, now} }

func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.tokens+d.Seconds()*b.rate.PerSecond, b.rate.Burst)
		b.at = now
	}
}

// take takes n, and returns how long to wait before they are used. No more are had in
// advance than come in that time; paid is what was taken, and given back if nothing
// comes of it.
func (b *bucket) take(now time.Time, n float64, advance time.Duration) (wait time.Duration, paid float64) {
	if b.rate.PerSecond <= 0 {
		return 0, 0
	}
	b.fill(now)
	paid = max(min(n, b.tokens+b.rate.PerSecond*advance.Seconds()), 0)
	b.tokens -= paid
	return b.due(), paid
}

// due is how long it takes until nothing is had in advance.
func (b *bucket) due() time.Duration {
	if b.rate.PerSecond <= 0 || b.tokens >= 0 {
		return 0
	}
	seconds := -b.tokens / b.rate.PerSecond
	return time.Duration(math.Ceil(min(seconds*1e9, math.MaxInt64/2)))
}

// give takes back what was not used.
func (b *bucket) give(n float64) { b.tokens = min(b.tokens+n, b.rate.Burst) }

// isFull tells whether the bucket is like a new one.
func (b *bucket) isFull(now time.Time) bool {
	b.fill(now)
	return b.rate.PerSecond <= 0 || b.tokens >= b.rate.Burst
}
