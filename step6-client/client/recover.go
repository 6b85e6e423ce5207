package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/wire"
)

const (
	// largestPiece and smallestPiece bound what is sent at once when the whole was too
	// much, in bytes.
	largestPiece  = 64 << 20
	smallestPiece = 64 << 10
)

// recover makes ready to go on after a request that failed with err: it sent sent of
// the size bytes from at on. done if it turns out that nothing is left to do.
func (p *push) recover(ctx context.Context, at, size, sent int64, err error) (done bool, _ error) {
	var no *refused
	status := 0
	if errors.As(err, &no) {
		status = no.reason.Status
	}
	switch {
	case ctx.Err() != nil:
		return false, err
	case status == http.StatusRequestEntityTooLarge:
		if !p.shrink(size) {
			return false, err
		}
		return p.resync(ctx, err)
	case status == http.StatusRequestedRangeNotSatisfiable:
		if p.failed++; p.failed > p.client.conn.Retries() {
			return false, err
		}
		return p.resync(ctx, err) // the registry has another offset in mind
	case status == http.StatusNotFound:
		return p.again(ctx, err)
	case errors.Is(err, ocierr.DigestInvalid):
		if p.resumed { // perhaps what another process sent was something else
			return p.again(ctx, err)
		}
		return false, fmt.Errorf("%w: %w", digest.ErrMismatch, err)
	case !passing(ctx, err):
		return false, err
	}
	return p.afterCut(ctx, at, size, sent, no, err)
}

// passing tells whether the same request may succeed later.
func passing(ctx context.Context, err error) bool {
	var no *refused
	if errors.As(err, &no) {
		return wire.Passing(no.reason.Status)
	}
	return wire.PassingError(ctx, err)
}

// tooLong tells whether a failure may be that of something on the way which takes no
// request for so long; 0 is a connection that was cut.
func tooLong(status int) bool {
	switch status {
	case 0, http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// afterCut waits, and finds out how much arrived of what was sent. Where that is
// little, the next pieces are smaller.
func (p *push) afterCut(ctx context.Context, at, size, sent int64, no *refused, err error) (done bool, _ error) {
	cut := time.Now()
	if p.failed++; p.failed > p.client.conn.Retries() {
		return false, err
	}
	var answer *http.Response
	status := 0
	if no != nil {
		answer, status = no.resp, no.reason.Status
	}
	wait, ok := p.client.conn.Wait(p.failed, answer)
	if !ok {
		return false, err
	}
	if sleepErr := wire.Sleep(ctx, wait); sleepErr != nil {
		return false, sleepErr
	}
	if p.lost = false; status == 0 && sent >= smallestPiece {
		if err := p.settle(ctx, at); err != nil {
			return false, err
		}
	}
	if done, err := p.resync(ctx, err); done || err != nil {
		return done, err
	}
	if p.lost && status == 0 && sent > 0 && p.rhythm == nil {
		p.rhythm = &rhythm{conn: p.client.conn, last: cut, rate: p.rate}
	}
	if p.upload.size > p.best {
		p.best, p.failed = p.upload.size, 0
	}
	if tooLong(status) && p.upload.size-at < sent/2 {
		p.shrink(min(size, sent))
	}
	return false, p.keep()
}

// settle asks after a cut until the registry tells of more than at. It may not have
// noticed yet, or still be taking in what came before: until then it says what it had,
// and who believed that would send again what is there, or give up a new session.
func (p *push) settle(ctx context.Context, at int64) error {
	const most = 3
	for n := 1; n <= most; n++ {
		p.upload.sure = false
		if p.upload.Status(ctx) != nil || p.upload.sure && p.upload.size > at {
			return nil // what is wrong is found out by the next who asks
		}
		if err := wire.Sleep(ctx, wire.Backoff(n)); err != nil {
			return err
		}
	}
	p.upload.sure = false
	return nil
}

// shrink makes the pieces smaller than one of size bytes, which was too large. It
// tells whether that was possible.
func (p *push) shrink(size int64) bool {
	least := max(smallestPiece, p.upload.least)
	if size <= least {
		return false
	}
	p.piece = max(least, min(size/2, largestPiece))
	return true
}

// resync makes sure how much the registry has. A session that it does not know any
// more, or of which it cannot say, is begun anew. reason is why this is needed.
func (p *push) resync(ctx context.Context, reason error) (done bool, err error) {
	u := p.upload
	if !u.sure {
		if err := u.Status(ctx); err != nil {
			var no *refused
			p.lost = errors.As(err, &no) && no.reason.Status == http.StatusNotFound
			if p.lost || errors.Is(err, ErrAnswer) {
				return p.again(ctx, reason)
			}
			return false, err
		}
	}
	if !u.sure || u.size > p.size {
		u.Cancel(ctx)
		return p.again(ctx, reason)
	}
	return false, nil
}
