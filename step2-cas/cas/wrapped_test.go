package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"shibafu.dev/step2-cas/bucket"
)

// wrapped is a bucket whose uploads are wrapped; publishing unwraps them.
type wrapped struct {
	bucket.Bucket
	wrap func(bucket.Upload) bucket.Upload
}

type unwrapper interface{ unwrap() bucket.Upload }

func (b wrapped) CreateUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.CreateUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	return b.wrap(u), nil
}

func (b wrapped) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.OpenUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	return b.wrap(u), nil
}

func (b wrapped) Write(ctx context.Context, changes ...bucket.Change) error {
	changes = slices.Clone(changes)
	for i := range changes {
		if u, ok := changes[i].From.(unwrapper); ok {
			changes[i].From = u.unwrap()
		}
	}
	return b.Bucket.Write(ctx, changes...)
}

// blind hides that an upload can be read back, as one over a network cannot.
type blind struct{ bucket.Upload }

func (u blind) unwrap() bucket.Upload { return u.Upload }

func blindfold(b bucket.Bucket) bucket.Bucket {
	return wrapped{b, func(u bucket.Upload) bucket.Upload { return blind{u} }}
}

// lying is an upload that tells of another state than what was saved.
type lying struct {
	bucket.Upload
	state []byte
}

func (u lying) unwrap() bucket.Upload { return u.Upload }
func (u lying) State() []byte         { return u.state }

// half is an upload whose first Append reads everything and has room for half.
type half struct {
	bucket.Upload
	bucket.Rereader
	full *bool
}

func (u half) unwrap() bucket.Upload { return u.Upload }

func (u half) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if *u.full {
		return u.Upload.Append(ctx, offset, r)
	}
	*u.full = true
	data, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	n, err := u.Upload.Append(ctx, offset, bytes.NewReader(data[:len(data)/2]))
	return n, errors.Join(err, bucket.ErrFull)
}

// reading lies about the state too, but its bytes can be read back.
type reading struct {
	lying
	bucket.Rereader
}
