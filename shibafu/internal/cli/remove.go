package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"

	"shibafu.dev/shibafu/internal/store"
)

// remove is "rm": names of images go, here or in their registries.
func remove(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	var access place.Access
	access.Flags(fs)
	remote := fs.Bool("remote", false, "delete in the registry: the tag, or with a digest the manifest with all its tags")
	return func(ctx context.Context, args []string, s Streams) error {
		if *remote {
			return removeRemote(ctx, access, args, s)
		}
		local, err := f.create(ctx, waitingOn(s))
		if err != nil {
			return err
		}
		err = removeNames(ctx, local, args, s)
		if err == nil {
			fmt.Fprintln(s.Err, "shibafu prune frees the space of what has no name any more.")
		}
		return errors.Join(err, local.Close())
	}
}

func removeNames(ctx context.Context, local *store.Store, args []string, s Streams) error {
	for _, typed := range args {
		i, err := local.Find(ctx, typed)
		if err != nil {
			return about(typed, err)
		}
		r, _ := place.Complete(typed)
		if i.Name != typed && i.Name != r.String() || i.Name == "" {
			return fmt.Errorf("%w: rm takes names away, and %s is not one", cmdline.ErrUsage, typed)
		}
		if err := local.Remove(ctx, i.Name); err != nil {
			return about(typed, err)
		}
		fmt.Fprintln(s.Out, i.Name)
	}
	return nil
}

func removeRemote(ctx context.Context, access place.Access, args []string, s Streams) error {
	for _, typed := range args {
		// Nothing is deleted that was not named: latest is not meant by leaving it out.
		r, err := place.CompleteRepository(typed)
		if err != nil {
			return about(typed, err)
		}
		if _, ok := r.TagOrDigest(); !ok {
			return fmt.Errorf("%w: %s: say which tag or digest is to go", cmdline.ErrUsage, typed)
		}
		if err := removeOne(ctx, access, r); err != nil {
			return about(typed, err)
		}
		fmt.Fprintln(s.Out, r)
	}
	return nil
}

func removeOne(ctx context.Context, access place.Access, r ref.Reference) error {
	c, err := access.Client(r.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	if !r.Digest.IsZero() {
		return c.DeleteManifest(ctx, r.Name, r.Digest)
	}
	return c.DeleteTag(ctx, r.Name, r.Tag)
}
