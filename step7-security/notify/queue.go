package notify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/repo"
)

// queuesFolder holds a folder for each target, and that an object for each event, named
// by its place.
const queuesFolder = "shibafu/queues/"

// maxEvent is more than any event takes, in bytes.
const maxEvent = 256 << 10

// queue is what waits for one target.
type queue struct {
	n      *Notifier
	name   string
	folder string
	target atomic.Pointer[Target]
	// wake is sent to where there may be something to do, and full where there is too much.
	wake, full chan struct{}

	mu     sync.Mutex
	stop   context.CancelFunc
	closed bool
	kept   []item // in the bucket, in order
	pulls  []item // in memory only, in order
	away   int    // how many are being sent
	bytes  int64  // of kept
	// erased are keys that are done with, and could not be deleted so far.
	erased []string
	status Status
}

// item is an event in a queue. What has a body is not in the bucket.
type item struct {
	key  string
	size int64
	body []byte
}

// place orders the items of a queue.
func (i item) place() string { return i.key[strings.LastIndexByte(i.key, '/')+1:] }

func byPlace(a, b item) int { return strings.Compare(a.key, b.key) }

func newQueue(n *Notifier, t *Target) *queue {
	q := &queue{n: n, name: t.Name, folder: queuesFolder + t.Name + "/", wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	q.target.Store(t)
	return q
}

// load takes up what is in the bucket. What has another's name is left alone.
func (q *queue) load(ctx context.Context) error {
	for info, err := range q.n.opts.Bucket.List(ctx, q.folder, "", false) {
		if err != nil {
			return err
		}
		i := item{key: info.Key, size: info.Size}
		at, ok := stampOf(i.place())
		if !ok {
			continue
		}
		q.n.clock.notBefore(at)
		q.kept, q.bytes = append(q.kept, i), q.bytes+i.size
	}
	ring(q.full)
	return nil
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// use gives the queue another target of the same name, who is tried at once.
func (q *queue) use(t *Target) {
	q.target.Store(t)
	ring(q.wake)
}

func (q *queue) setStop(stop context.CancelFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stop = stop
}

// close ends the queue of a target that is gone.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.stop != nil {
		q.stop()
	}
	q.kept, q.pulls, q.bytes, q.away = nil, nil, 0, 0
}

// settle takes an event in. One of which nobody knows whether it was written is looked for
// when its turn comes.
func (q *queue) settle(i item, err error) {
	switch {
	case errors.Is(err, repo.ErrUntold):
		q.dropped([]item{i}, "no room to write them down")
		return
	case errors.Is(err, bucket.ErrFull), errors.Is(err, bucket.ErrChanged):
		return // nothing was written
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.kept, q.bytes = insert(q.kept, i), q.bytes+i.size
	ring(q.wake)
	if q.over() {
		ring(q.full)
	}
}

// insert puts an item in its place, which is most often the end.
func insert(items []item, i item) []item {
	at := len(items)
	for at > 0 && byPlace(items[at-1], i) > 0 {
		at--
	}
	return slices.Insert(items, at, i)
}

func (q *queue) addPull(i item) {
	q.mu.Lock()
	var lost []item
	if !q.closed {
		q.pulls = insert(q.pulls, i)
		if n := len(q.pulls) - q.n.opts.Limits.Pulls; n > 0 {
			lost, q.pulls = q.pulls[:n:n], q.pulls[n:]
		}
		ring(q.wake)
	}
	q.mu.Unlock()
	q.dropped(lost, "too many pulls")
}

func (q *queue) forgetPulls() {
	q.mu.Lock()
	lost := q.pulls
	q.pulls = nil
	q.mu.Unlock()
	q.dropped(lost, "pulls are kept in memory, and the server ends")
}

// take takes the oldest out, to be sent: at most so many, and as many bytes as one
// delivery has.
func (q *queue) take(most int) (batch []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for size := int64(0); len(batch) < most; {
		from := &q.kept
		if len(q.kept) == 0 || len(q.pulls) > 0 && byPlace(q.pulls[0], q.kept[0]) < 0 {
			from = &q.pulls
		}
		if len(*from) == 0 {
			break
		}
		next := (*from)[0]
		if size += next.size; size > maxBatchBytes && len(batch) > 0 {
			break
		}
		*from = (*from)[1:]
		batch = append(batch, next)
		if next.body == nil {
			q.bytes -= next.size
		}
	}
	q.away = len(batch)
	return batch
}

// putBack puts back what could not be sent.
func (q *queue) putBack(batch []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = 0
	if q.closed {
		return
	}
	var kept, pulls []item
	for _, i := range batch {
		if i.body != nil {
			pulls = append(pulls, i)
			continue
		}
		kept, q.bytes = append(kept, i), q.bytes+i.size
	}
	q.kept, q.pulls = merge(kept, q.kept), merge(pulls, q.pulls)
	if q.over() {
		ring(q.full)
	}
}

// merge puts what was taken before what is there, but for what came late.
func merge(taken, there []item) []item {
	if len(taken) == 0 {
		return there
	}
	all := append(taken, there...)
	slices.SortStableFunc(all, byPlace)
	return all
}

// read returns an event as it was written. errGone says that it is not there, and errBad
// that it is not one.
func (q *queue) read(ctx context.Context, i item) ([]byte, error) {
	if i.body != nil {
		return i.body, nil
	}
	raw, info, err := bucket.ReadAll(ctx, q.n.opts.Bucket, i.key, maxEvent)
	switch {
	case errors.Is(err, bucket.ErrNotExist):
		return nil, errGone
	case info.Size > maxEvent, err == nil && !json.Valid(raw):
		return nil, errBad
	}
	return raw, err
}

var (
	errGone = errors.New("notify: it was not written")
	errBad  = errors.New("notify: not an event")
)
