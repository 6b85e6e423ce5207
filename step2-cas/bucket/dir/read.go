package dir

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"syscall"

	"shibafu.dev/step2-cas/bucket"
)

// object is a file open for reading. Being an *os.File, it has SyscallConn, by
// which the net package finds that it can use sendfile.
type object struct {
	*os.File
	info bucket.Info
}

func (o *object) Info() bucket.Info { return o.info }

// Open implements bucket.Bucket.
func (b *Bucket) Open(ctx context.Context, key string) (bucket.Object, error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	o, err := b.open(key)
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (b *Bucket) open(key string) (*object, error) {
	f, err := os.OpenFile(b.path(key), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // a pipe must not keep us waiting
	if err != nil {
		if missing(err) || errors.Is(err, syscall.ELOOP) { // a symbolic link is no object
			return nil, bucket.ErrNotExist
		}
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = bucket.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &object{f, infoOf(key, fi)}, nil
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Info, error) {
	if err := bucket.CheckKey(key); err != nil {
		return bucket.Info{}, err
	}
	return b.stat(key)
}

func (b *Bucket) stat(key string) (bucket.Info, error) {
	fi, err := os.Lstat(b.path(key))
	if err != nil {
		if missing(err) {
			return bucket.Info{}, bucket.ErrNotExist
		}
		return bucket.Info{}, err
	}
	if !fi.Mode().IsRegular() {
		return bucket.Info{}, bucket.ErrNotExist
	}
	return infoOf(key, fi), nil
}

// List implements bucket.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string, oneLevel bool) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		w := walk{b, ctx, prefix, after, oneLevel, yield}
		folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if folder != "" && bucket.CheckKey(folder[:len(folder)-1]) != nil {
			return
		}
		if _, err := w.folder(folder); err != nil {
			yield(bucket.Info{}, err)
		}
	}
}

type walk struct {
	bucket        *Bucket
	ctx           context.Context
	prefix, after string
	oneLevel      bool
	yield         func(bucket.Info, error) bool
}

// folder walks one folder, whose key is "" or ends with a slash. It returns
// false when the caller wants no more.
func (w *walk) folder(folder string) (bool, error) {
	entries, err := os.ReadDir(w.bucket.path(folder))
	if err != nil && !missing(err) {
		return false, err
	}
	// A folder's keys sort as its name followed by a slash does: "a-b" < "a/b".
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		key := folder + e.Name()
		if e.IsDir() {
			key += "/"
		}
		if folder == "" && e.Name() == bucket.UploadsFolder {
			continue
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if more, err := w.entry(key); !more || err != nil {
			return more, err
		}
	}
	return true, nil
}

func (w *walk) entry(key string) (bool, error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	matches := strings.HasPrefix(key, w.prefix)
	if strings.HasSuffix(key, "/") {
		switch {
		case w.oneLevel && matches:
			return key <= w.after || w.yield(bucket.Info{Key: key}, nil), nil
		case !matches && !strings.HasPrefix(w.prefix, key):
			return true, nil
		case key < w.after && !strings.HasPrefix(w.after, key):
			return true, nil // all keys in it come before after
		}
		return w.folder(key)
	}
	if !matches || key <= w.after {
		return true, nil
	}
	info, err := w.bucket.Stat(w.ctx, key)
	if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, bucket.ErrKey) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return w.yield(info, nil), nil
}
