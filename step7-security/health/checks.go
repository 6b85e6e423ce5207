package health

import (
	"context"
	"fmt"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// storageKey is written and deleted to see whether that can be done.
const storageKey = "shibafu/health"

// Storage is whether a bucket can be written to: something small is, and taken away again.
func Storage(b bucket.Bucket) Check {
	return Check{"storage", func(ctx context.Context) error {
		if err := b.Write(ctx, bucket.Change{Key: storageKey, Data: []byte(time.Now().UTC().Format(time.RFC3339))}); err != nil {
			return err
		}
		return b.Write(ctx, bucket.Change{Key: storageKey, Delete: true})
	}}
}

// Certificates is whether the certificates are valid now; expiry is when the first ends.
func Certificates(expiry func() time.Time) Check {
	return Check{"certificates", func(context.Context) error {
		if end := expiry(); !time.Now().Before(end) {
			return fmt.Errorf("a certificate has ended at %s", end.UTC().Format(time.RFC3339))
		}
		return nil
	}}
}

// Loaded is whether what a file says could be read when it was last looked at; last
// returns the error of that, nil if there was none.
func Loaded(name string, last func() error) Check {
	return Check{name, func(context.Context) error { return last() }}
}
