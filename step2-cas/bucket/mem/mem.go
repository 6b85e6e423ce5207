// Package mem is a bucket in memory: for tests, and to see the port without a
// disk in the way.
package mem

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// Bucket is a bucket.Bucket. Its zero value is not ready; New makes one.
type Bucket struct {
	mu      sync.Mutex
	objects map[string]object
	uploads map[string]*stored
	changes int
}

type object struct {
	data []byte // never written to again
	info bucket.Info
}

// stored is an upload at its last Save.
type stored struct {
	data, state []byte
}

var errUpload = errors.New("mem: not an open upload of this bucket")

// New returns an empty bucket.
func New() *Bucket {
	return &Bucket{objects: map[string]object{}, uploads: map[string]*stored{}}
}

// SoleWriter is true: nobody else can reach the map.
func (b *Bucket) SoleWriter() bool { return true }

// Open implements bucket.Bucket.
func (b *Bucket) Open(ctx context.Context, key string) (bucket.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return nil, bucket.ErrNotExist
	}
	return &opened{bytes.NewReader(o.data), o.info}, nil
}

type opened struct {
	*bytes.Reader
	info bucket.Info
}

func (o *opened) Info() bucket.Info { return o.info }
func (o *opened) Close() error      { return nil }

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return bucket.Info{}, bucket.ErrNotExist
	}
	return o.info, nil
}

// Write implements bucket.Bucket.
func (b *Bucket) Write(ctx context.Context, changes ...bucket.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		if err := bucket.CheckKey(c.Key); err != nil {
			return err
		}
		if o, exists := b.objects[c.Key]; !c.If.Holds(exists, o.info.Version) {
			return bucket.ErrChanged
		}
		if c.From == nil {
			continue
		}
		if u, ok := c.From.(*upload); !ok || u.bucket != b || u.done {
			return errUpload
		}
	}
	for _, c := range changes {
		data := c.Data
		switch {
		case c.Delete:
			delete(b.objects, c.Key)
			continue
		case c.From != nil:
			u := c.From.(*upload)
			data, u.done = u.data, true
			delete(b.uploads, u.id)
		default:
			data = bytes.Clone(data)
		}
		b.changes++
		b.objects[c.Key] = object{data, bucket.Info{
			Key: c.Key, Size: int64(len(data)), ModTime: time.Now(), Version: strconv.Itoa(b.changes),
		}}
	}
	return nil
}

// List implements bucket.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string, oneLevel bool) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		b.mu.Lock()
		found := map[string]bucket.Info{}
		for key, o := range b.objects {
			info := o.info
			rest, ok := strings.CutPrefix(key, prefix)
			if !ok {
				continue
			}
			if i := strings.IndexByte(rest, '/'); oneLevel && i >= 0 {
				info = bucket.Info{Key: prefix + rest[:i+1]}
			}
			if info.Key > after {
				found[info.Key] = info
			}
		}
		b.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if err := ctx.Err(); err != nil {
				yield(bucket.Info{}, err)
				return
			}
			if !yield(found[key], nil) {
				return
			}
		}
	}
}

// CreateUpload implements bucket.Bucket.
func (b *Bucket) CreateUpload(ctx context.Context, id string) (bucket.Upload, error) {
	if err := bucket.CheckKey(id); err != nil || strings.Contains(id, "/") {
		return nil, bucket.ErrKey
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, exists := b.uploads[id]; exists {
		return nil, errors.New("mem: upload exists")
	}
	return &upload{bucket: b, id: id}, nil
}

// OpenUpload implements bucket.Bucket.
func (b *Bucket) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.uploads[id]
	if !ok {
		return nil, bucket.ErrNotExist
	}
	return &upload{bucket: b, id: id, data: bytes.Clone(s.data), state: bytes.Clone(s.state)}, nil
}

// Uploads implements bucket.Bucket.
func (b *Bucket) Uploads(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		b.mu.Lock()
		ids := slices.Sorted(maps.Keys(b.uploads))
		b.mu.Unlock()
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

type upload struct {
	bucket      *Bucket
	id          string
	data, state []byte
	done        bool
}

func (u *upload) ID() string    { return u.id }
func (u *upload) Size() int64   { return int64(len(u.data)) }
func (u *upload) State() []byte { return u.state }

func (u *upload) Close() error {
	u.done = true
	return nil
}

func (u *upload) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if u.done {
		return 0, errUpload
	}
	if offset != u.Size() {
		return 0, bucket.ErrOffset
	}
	data, err := io.ReadAll(r)
	u.data = append(u.data, data...)
	if err != nil {
		err = errors.Join(bucket.ErrSource, err)
	}
	return int64(len(data)), err
}

func (u *upload) Reread() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(u.data)), nil
}

func (u *upload) Save(ctx context.Context, state []byte) error {
	if u.done {
		return errUpload
	}
	u.state = bytes.Clone(state)
	u.bucket.mu.Lock()
	defer u.bucket.mu.Unlock()
	u.bucket.uploads[u.id] = &stored{bytes.Clone(u.data), u.state}
	return nil
}

func (u *upload) Abort(ctx context.Context) error {
	if u.done {
		return nil
	}
	u.done = true
	u.bucket.mu.Lock()
	defer u.bucket.mu.Unlock()
	delete(u.bucket.uploads, u.id)
	return nil
}
