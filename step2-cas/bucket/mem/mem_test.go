package mem_test

import (
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/buckettest"
	"shibafu.dev/step2-cas/bucket/mem"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return mem.New() })
}
