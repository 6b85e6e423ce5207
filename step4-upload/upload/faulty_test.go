package upload_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"shibafu.dev/step2-cas/bucket"
)

// faulty is a bucket that fails where fail says so, and wherever the context is
// over, as one behind a network would. An append that fails has taken in half of
// what was read.
type faulty struct {
	bucket.Bucket
	fail func(operation string) error
}

type faultyUpload struct {
	bucket.Upload
	bucket.Rereader
	fail func(operation string) error
}

func (b faulty) wrap(u bucket.Upload, err error) (bucket.Upload, error) {
	if err != nil {
		return nil, err
	}
	return faultyUpload{u, u.(bucket.Rereader), b.fail}, nil
}

func (b faulty) CreateUpload(ctx context.Context, id string) (bucket.Upload, error) {
	if err := b.fail("create"); err != nil {
		return nil, err
	}
	return b.wrap(b.Bucket.CreateUpload(ctx, id))
}

func (b faulty) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	if err := cmp.Or(b.fail("open"), ctx.Err()); err != nil {
		return nil, err
	}
	return b.wrap(b.Bucket.OpenUpload(ctx, id))
}

func (b faulty) Write(ctx context.Context, changes ...bucket.Change) error {
	if err := b.fail("write"); err != nil {
		return err
	}
	changes = slices.Clone(changes)
	for i := range changes {
		if u, ok := changes[i].From.(faultyUpload); ok {
			changes[i].From = u.Upload
		}
	}
	return b.Bucket.Write(ctx, changes...)
}

func (u faultyUpload) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	err := u.fail("append")
	if err == nil {
		return u.Upload.Append(ctx, offset, r)
	}
	data, readErr := io.ReadAll(r)
	if readErr != nil {
		return 0, readErr
	}
	n, appendErr := u.Upload.Append(ctx, offset, strings.NewReader(string(data[:len(data)/2])))
	return n, errors.Join(err, appendErr)
}

func (u faultyUpload) Save(ctx context.Context, state []byte) error {
	if err := cmp.Or(u.fail("save"), ctx.Err()); err != nil {
		return err
	}
	return u.Upload.Save(ctx, state)
}

func (u faultyUpload) Abort(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return u.Upload.Abort(ctx)
}

var errDisk = errors.New("the disk does not answer")

// failing is a bucket one of whose operations fails while *err is set.
func failing(b bucket.Bucket, operation string, err *error) bucket.Bucket {
	return faulty{b, func(op string) error {
		if op == operation {
			return *err
		}
		return nil
	}}
}
