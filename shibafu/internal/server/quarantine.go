package server

import (
	"context"
	"crypto/rand"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// quarantineKey is where a damaged blob is kept, out of everyone's way but there
// for whoever wants to look at it.
func quarantineKey(d digest.Digest) string {
	return "shibafu/quarantine/" + string(d.Algorithm()) + "-" + d.Hex()
}

// quarantine takes a damaged blob out of the store.
func quarantine(ctx context.Context, b bucket.Bucket, store *cas.Store, d digest.Digest) error {
	damaged, err := store.Open(ctx, d)
	if err != nil {
		return err
	}
	defer damaged.Close()
	u, err := b.CreateUpload(ctx, rand.Text(), nil)
	if err != nil {
		return err
	}
	defer u.Abort(context.WithoutCancel(ctx))
	if _, err := u.Append(ctx, 0, damaged); err != nil {
		return err
	}
	return b.Write(ctx,
		bucket.Change{Key: quarantineKey(d), From: u},
		bucket.Change{Key: cas.Distribution.Key(d), Delete: true})
}
