package dir_test

import (
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/buckettest"
	"shibafu.dev/step2-cas/bucket/dir"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		b, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}
