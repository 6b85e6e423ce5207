package upload_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

const (
	seeds    = 300
	sessions = 2
	clients  = 4
	requests = 6
)

// What clients do to shared sessions at random, within and around the limits of
// time, leaves the manager as it was: no bytes, no sessions, no goroutines, and no
// blob that is not what its digest says.
func TestRandomRequests(t *testing.T) {
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			b := mem.New()
			m := manage(t, b, upload.Limits{Sessions: sessions, Idle: 40, Busy: 15, Blob: 60})
			var shared [sessions]target
			for i := range shared {
				shared[i].id = start(t, m)
			}
			var all sync.WaitGroup
			for n := range uint64(clients) {
				all.Go(func() {
					c := client{t, m, rand.New(rand.NewPCG(seed, n))}
					for range requests {
						c.request(&shared[c.IntN(sessions)])
					}
				})
			}
			all.Wait()
			<-time.After(100)
			m.Expire(t.Context())
			wantFreed(t, b)
			for range sessions {
				start(t, m)
			}
			for d, err := range cas.New(b, cas.Distribution).Verify(t.Context()) {
				if err != nil {
					t.Errorf("%s: %v", d, err)
				}
			}
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// target is a session, and the size that was acknowledged last.
type target struct {
	id           string
	acknowledged atomic.Int64
}

// client makes random requests.
type client struct {
	*testing.T
	*upload.Manager
	*rand.Rand
}

func (c client) request(s *target) {
	ctx, stop := context.WithTimeout(c.Context(), time.Duration(10+c.IntN(60)))
	defer stop()
	<-time.After(time.Duration(c.IntN(10)))
	before := s.acknowledged.Load()
	var status upload.Status
	var err error
	switch c.IntN(12) {
	case 0:
		err = c.Cancel(ctx, repoA, s.id)
		status.Size = before
	case 1:
		c.Expire(ctx)
		return
	case 2:
		status, err = c.Status(ctx, repoA, s.id)
	case 3:
		content := strings.Repeat("x", int(before))
		status, err = c.Finish(ctx, repoA, s.id, sha256Of(content), before, empty)
	case 4:
		status, err = c.Finish(ctx, repoA, s.id, sha256Of("else"), upload.AtEnd, c.body())
	default:
		offset := before
		if c.IntN(2) == 0 {
			offset = upload.AtEnd
		}
		status, err = c.Append(ctx, repoA, s.id, offset, c.body())
	}
	c.check(s, before, status, err)
}

// check wants an answer that is allowed at all, and a session that never shrinks.
func (c client) check(s *target, before int64, status upload.Status, err error) {
	for _, allowed := range []error{
		nil, upload.ErrUnknown, upload.ErrOffset, upload.ErrBusy, upload.ErrTooLarge,
		digest.ErrMismatch, bucket.ErrSource, context.DeadlineExceeded,
	} {
		if errors.Is(err, allowed) {
			if err == nil && status.Size < before {
				c.Errorf("session at %d, acknowledged before: %d", status.Size, before)
			}
			for err == nil && !s.acknowledged.CompareAndSwap(before, status.Size) {
				if before = s.acknowledged.Load(); before >= status.Size {
					break
				}
			}
			return
		}
	}
	c.Errorf("unexpected: %v", err)
}

// body is some bytes with pauses, which may end early.
func (c client) body() io.Reader {
	var pieces []io.Reader
	for range c.IntN(4) {
		pieces = append(pieces, pause(c.IntN(12)), strings.NewReader("xxxxx"[:c.IntN(6)]))
	}
	if c.IntN(4) == 0 {
		pieces = append(pieces, cut(""))
	}
	return io.MultiReader(pieces...)
}

// pause is an empty body that takes a while.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	<-time.After(time.Duration(p))
	return 0, io.EOF
}
