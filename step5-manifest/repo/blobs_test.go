package repo_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/repo"
)

// wantBlob wants a blob of the repository to hold data.
func (w *world) wantBlob(n ref.Name, d digest.Digest, data string) {
	w.Helper()
	size, err := w.StatBlob(w.Context(), n, d)
	if err != nil || size != int64(len(data)) {
		w.Errorf("StatBlob(%s, %s) is %d, %v", n, d, size, err)
		return
	}
	o, err := w.OpenBlob(w.Context(), n, d)
	if err != nil {
		w.Errorf("OpenBlob(%s, %s): %v", n, d, err)
		return
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || string(got) != data {
		w.Errorf("%s of %s holds %q, %v; want %q", d, n, got, err, data)
	}
}

// wantNoBlob wants the repository to deny a blob in the same way on every path.
func (w *world) wantNoBlob(n ref.Name, d oci.Descriptor, want error) {
	w.Helper()
	ctx := w.Context()
	_, err := w.StatBlob(ctx, n, d.Digest)
	w.wantError("StatBlob", err, want)
	_, err = w.OpenBlob(ctx, n, d.Digest)
	w.wantError("OpenBlob", err, want)
	w.wantError("MountBlob from there", w.MountBlob(ctx, name("target"), n, d.Digest), bucket.ErrNotExist)
	w.wantError("DeleteBlob", w.DeleteBlob(ctx, n, d.Digest), want)
	w.wantError("a manifest that names it", tryPush(ctx, w.Store, n, image(d), nil, "t"), repo.ErrReferenceUnknown)
}

func TestBlobs(t *testing.T) {
	each(t, func(w *world) {
		d := w.blob(app, "data")
		w.wantBlob(app, d.Digest, "data")
		w.restart()
		w.wantBlob(app, d.Digest, "data")
		w.blob(app, "data") // again, which is no error
		w.wantBlob(app, d.Digest, "data")
		w.wantNoBlob(app, describe("", "absent"), repo.ErrBlobUnknown)

		w.wantError("DeleteBlob", w.DeleteBlob(w.Context(), app, d.Digest), nil)
		w.wantNoBlob(app, d, repo.ErrNameUnknown) // it was all there was of the repository
	})
}

// A commit under another digest publishes nothing.
func TestBlobMismatch(t *testing.T) {
	each(t, func(w *world) {
		before := dump(w.T, w.Bucket)
		ctx := w.Context()
		writer, err := cas.New(w.spy, cas.Distribution).NewWriter(ctx, "upload", digest.SHA256, nil)
		if err != nil {
			w.Fatal(err)
		}
		if _, err := writer.Append(ctx, 0, strings.NewReader("data")); err != nil {
			w.Fatal(err)
		}
		wrong := digest.FromBytes([]byte("other"))
		w.wantError("CommitBlob", w.CommitBlob(ctx, app, writer, wrong), digest.ErrMismatch)
		w.wantError("Cancel", writer.Cancel(ctx), nil)
		w.wantSame("after a mismatch", dump(w.T, w.Bucket), before)
		w.wantNoBlob(app, oci.Descriptor{Digest: wrong}, repo.ErrNameUnknown)
	})
}

// What is in one repository is not in another, though the bytes are shared.
func TestBlobIsolation(t *testing.T) {
	each(t, func(w *world) {
		secret := w.blob(app, "secret")
		w.wantNoBlob(other, secret, repo.ErrNameUnknown)
		mine := w.blob(other, "mine")
		w.wantNoBlob(other, secret, repo.ErrBlobUnknown)
		// A part of the name is another repository.
		w.wantNoBlob(name("team"), secret, repo.ErrNameUnknown)
		w.wantNoBlob(name("team/app/app"), secret, repo.ErrNameUnknown)

		raw := image(mine, secret)
		err := tryPush(w.Context(), w.Store, other, raw, nil, "t")
		var missing *repo.MissingError
		if !errors.As(err, &missing) || len(missing.Missing) != 1 || missing.Missing[0].Digest != secret.Digest {
			w.Errorf("manifest of another's blob: %v", err)
		}
		if _, _, err := w.Manifest(w.Context(), other, byDigest(sum(raw))); !errors.Is(err, repo.ErrManifestUnknown) {
			w.Errorf("the refused manifest: %v", err)
		}
		// To delete it in one repository leaves it in the other.
		w.blob(other, "secret")
		w.wantError("DeleteBlob", w.DeleteBlob(w.Context(), app, secret.Digest), nil)
		w.wantBlob(other, secret.Digest, "secret")
		w.wantNoBlob(app, secret, repo.ErrNameUnknown)
		w.restart()
		w.wantNoBlob(app, secret, repo.ErrNameUnknown)
	})
}

// A manifest is not a blob, and a blob not a manifest, unless pushed as such.
func TestBlobsAreNotManifests(t *testing.T) {
	each(t, func(w *world) {
		raw := w.simple(app, "config", "v1")
		w.wantNoBlob(app, describe("", raw), repo.ErrBlobUnknown)
		w.blob(other, raw)
		_, _, err := w.Manifest(w.Context(), other, byDigest(sum(raw)))
		w.wantError("a blob as a manifest", err, repo.ErrManifestUnknown)
	})
}

func TestMount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		d := w.blob(app, "data")
		w.wantError("MountBlob", w.MountBlob(ctx, other, app, d.Digest), nil)
		w.wantBlob(other, d.Digest, "data")
		w.wantError("MountBlob again", w.MountBlob(ctx, other, app, d.Digest), nil)
		w.wantError("MountBlob onto itself", w.MountBlob(ctx, app, app, d.Digest), nil)

		absent := digest.FromBytes([]byte("absent"))
		w.wantError("of what is not there", w.MountBlob(ctx, other, app, absent), bucket.ErrNotExist)
		w.wantError("from nowhere", w.MountBlob(ctx, other, name("nowhere"), d.Digest), bucket.ErrNotExist)

		// The source is gone, what was mounted stays.
		w.wantError("DeleteBlob", w.DeleteBlob(ctx, app, d.Digest), nil)
		w.wantBlob(other, d.Digest, "data")
		w.wantError("from where it was deleted", w.MountBlob(ctx, name("third"), app, d.Digest), bucket.ErrNotExist)
	})
}

// Without a source, a mount looks at who got the blob lately, and nowhere else.
func TestAnonymousMount(t *testing.T) {
	each(t, func(w *world) {
		ctx, anywhere := w.Context(), ref.Name{}
		d := w.blob(app, "data")
		w.wantError("right after the push", w.MountBlob(ctx, other, anywhere, d.Digest), nil)
		w.wantBlob(other, d.Digest, "data")

		w.wantError("DeleteBlob", w.DeleteBlob(ctx, app, d.Digest), nil)
		w.wantError("the mount is remembered too", w.MountBlob(ctx, name("third"), anywhere, d.Digest), nil)
		w.wantError("DeleteBlob", w.DeleteBlob(ctx, other, d.Digest), nil)
		w.wantError("DeleteBlob", w.DeleteBlob(ctx, name("third"), d.Digest), nil)
		w.wantError("with all links gone", w.MountBlob(ctx, other, anywhere, d.Digest), bucket.ErrNotExist)

		w.blob(app, "data")
		w.restart()
		before := w.count()
		w.wantError("after a restart, without a walk", w.MountBlob(ctx, other, anywhere, d.Digest), bucket.ErrNotExist)
		if n := w.count() - before; n != 0 {
			w.Errorf("%d reads to find out", n)
		}
	})
}

// A source that the caller may not pull from is as good as none.
func TestMountRights(t *testing.T) {
	type caller struct{}
	opts := repo.Options{CanPull: func(ctx context.Context, n ref.Name) bool { return ctx.Value(caller{}) == n }}
	w := newWorld(t, mem.New(), opts)
	d := w.blob(app, "data")
	w.blob(other, "data")
	as := func(n ref.Name) context.Context { return context.WithValue(t.Context(), caller{}, n) }
	for _, tt := range []struct {
		name   string
		reads  ref.Name
		from   ref.Name
		target string
		want   error
	}{
		{"who may pull", app, app, "a", nil},
		{"who may not", other, app, "b", bucket.ErrNotExist},
		{"anonymous, one of several sources", other, ref.Name{}, "c", nil},
		{"anonymous, none of the sources", name("third"), ref.Name{}, "d", bucket.ErrNotExist},
	} {
		w.wantError(tt.name, w.MountBlob(as(tt.reads), name(tt.target), tt.from, d.Digest), tt.want)
		_, err := w.StatBlob(t.Context(), name(tt.target), d.Digest)
		if found := err == nil; found != (tt.want == nil) {
			t.Errorf("%s: afterwards %v", tt.name, err)
		}
	}
}
