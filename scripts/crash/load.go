package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"shibafu.dev/step1-spec-notes/digest"
)

// repos are where the pushers push to, all of them everywhere.
var repos = []string{"one", "one/two", "three/of-four"}

const pushers = 8

// load is what the pushers share between two crashes.
type load struct {
	ctx    context.Context
	client *client
	model  *model
	seed   uint64
	// dealt counts the shared blobs that were asked for, so that all pushers want
	// about the same new ones at about the same time.
	dealt atomic.Int64
	// cutting is set before the crash: from then on any request may fail.
	cutting atomic.Bool
	// sights and acks get a value when a moment of that kind has come, unless one
	// is waiting there already.
	sights, acks chan struct{}

	mu       sync.Mutex
	found    []string
	underway []place // shared blobs that somebody is pushing
}

// place is a blob in a repository.
type place struct {
	repo string
	blob blob
}

func newLoad(ctx context.Context, c *client, m *model, seed uint64) *load {
	return &load{ctx: ctx, client: c, model: m, seed: seed, sights: make(chan struct{}, 1), acks: make(chan struct{}, 1)}
}

// errCut says that a request had no answer because of the crash.
var errCut = errors.New("cut")

// violated notes a promise that was not kept.
func (l *load) violated(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found = append(l.found, fmt.Sprintf(format, args...))
}

func cue(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// acknowledged is called when something was.
func (l *load) acknowledged() { cue(l.acks) }

// sighted is called when somebody saw a thing; first says that nobody knew that
// it was safe. That is the best moment to cut the power.
func (l *load) sighted(first bool) {
	if first {
		cue(l.sights)
	}
}

// pushing notes that a shared blob is being pushed, until done is called.
func (l *load) pushing(at place) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underway = append(l.underway, at)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.IndexFunc(l.underway, at.is)
		l.underway = slices.Delete(l.underway, i, i+1)
	}
}

func (p place) is(other place) bool {
	return p.repo == other.repo && p.blob.digest == other.blob.digest
}

// pushedNow returns one of the blobs that are being pushed, if there is any.
func (l *load) pushedNow(rng *rand.Rand) (at place, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.underway) == 0 {
		return place{}, false
	}
	return l.underway[rng.IntN(len(l.underway))], true
}

func (l *load) isPushed(at place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.underway, at.is)
}

// call sends r and wants one of those statuses.
func (l *load) call(r request, want ...int) (response, error) {
	resp, err := l.client.send(l.ctx, r)
	if err == nil && !slices.Contains(want, resp.status) {
		err = &surprise{r, resp}
	}
	if err != nil && l.cutting.Load() {
		return resp, errCut
	}
	return resp, err
}

// blob is some bytes to push.
type blob struct {
	digest string
	data   []byte
	shared bool
}

// sharedBlob is the n-th of the blobs that all pushers have.
func sharedBlob(seed uint64, n int64) blob {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	b := randomBlob(rng)
	b.shared = true
	return b
}

// large is more than a server takes in at once, or keeps in its journal.
const large = 300 << 10

// randomBlob is small, mostly.
func randomBlob(rng *rand.Rand) blob {
	size := 64 + rng.IntN(12<<10)
	if rng.IntN(24) == 0 {
		size = large
	}
	return blobOfSize(rng, size)
}

func blobOfSize(rng *rand.Rand, size int) blob {
	data := make([]byte, size)
	for i := 0; i < len(data); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rng.Uint64())
		copy(data[i:], word[:])
	}
	a := digest.SHA256
	if rng.IntN(8) == 0 {
		a = digest.SHA512
	}
	return blob{digest: a.FromBytes(data).String(), data: data}
}

// deal returns one of the shared blobs that are new right now.
func (l *load) deal(rng *rand.Rand) blob {
	const perBlob = 6 // how often each is dealt, about
	n := l.dealt.Add(1)/perBlob - int64(rng.IntN(3))
	return sharedBlob(l.seed, max(n, 0))
}
