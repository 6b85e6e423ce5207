package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/repo"
)

// errUnsettled says that a store cannot be judged by looking at it.
var errUnsettled = errors.New("the last server did not end in good order, and its journal was not played yet: start a server, or use --repair, and check again")

// Check reads the store through and hands each fault to report, with whether it
// was mended. The summary is one line. Without repair it may run beside a server.
func Check(ctx context.Context, config *Config, repair bool, report func(fault string, mended bool)) (summary string, err error) {
	root, err := storeRoot(config.Root)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(root); err != nil { // dir.Open would make it
		return "", err
	}
	open := dir.Open
	if !repair {
		open = dir.OpenReadOnly
		if unsettled, err := dir.Unsettled(root); err != nil || unsettled {
			return "", cmp.Or(err, errUnsettled)
		}
	}
	files, err := open(root)
	if err != nil {
		return "", err
	}
	defer files.Close()
	faults := 0
	count := func(fault string, mended bool) {
		faults++
		report(fault, mended)
	}
	store := cas.New(files, cas.Distribution)
	blobs, err := checkBlobs(ctx, files, store, repair, count)
	if err != nil {
		return "", err
	}
	repos := repo.New(files, repo.CASBlobs{Store: store}, config.repoOptions())
	err = repos.Check(ctx, repair, func(f repo.Fault) { count(f.String(), f.Mended != "") })
	return fmt.Sprintf("%d blobs read, %d faults", blobs, faults), err
}

// checkBlobs reads all blobs and returns how many there are.
func checkBlobs(ctx context.Context, files bucket.Bucket, store *cas.Store, repair bool, report func(fault string, mended bool)) (blobs int, err error) {
	for d, err := range store.Verify(ctx) {
		blobs++
		switch {
		case err == nil:
			continue
		case d.IsZero(), ctx.Err() != nil:
			return blobs, err
		}
		line := "blob " + d.String() + ": " + err.Error()
		// What cannot be read may be whole: that is for a person to look at.
		mend := repair && errors.Is(err, digest.ErrMismatch)
		if mend {
			if err := quarantine(ctx, files, store, d); err != nil {
				return blobs, err
			}
			line += " (moved to " + quarantineKey(d) + ")"
		}
		report(line, mend)
	}
	return blobs, nil
}

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
	u, err := b.CreateUpload(ctx, rand.Text())
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
