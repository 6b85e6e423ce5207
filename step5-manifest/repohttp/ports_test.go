package repohttp_test

import (
	"errors"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

// Behind the handlers of the earlier steps, the errors of repo are the
// specification's.
func TestPorts(t *testing.T) {
	ctx, b := t.Context(), mem.New()
	store := repo.New(b, repo.CASBlobs{Store: cas.New(b, cas.Distribution)}, repo.Options{})
	ports := repohttp.Ports{Store: store}
	empty, nowhere := ref.MustName("empty"), ref.MustName("nowhere")
	if err := b.Write(ctx, bucket.Change{Key: "repositories/empty/_layers/x", Data: nil}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		repository       ref.Name
		blob, manifested error
	}{
		{nowhere, ocierr.NameUnknown, ocierr.NameUnknown},
		{empty, ocierr.BlobUnknown, ocierr.ManifestUnknown},
	} {
		_, open := ports.OpenBlob(ctx, tt.repository, sum)
		_, stat := ports.StatBlob(ctx, tt.repository, sum)
		_, _, pull := ports.Manifest(ctx, tt.repository, ref.ByDigest(sum))
		for call, got := range map[string][2]error{
			"OpenBlob": {open, tt.blob}, "StatBlob": {stat, tt.blob}, "DeleteBlob": {ports.DeleteBlob(ctx, tt.repository, sum), tt.blob},
			"Manifest": {pull, tt.manifested}, "MountBlob": {ports.MountBlob(ctx, nowhere, tt.repository, sum), bucket.ErrNotExist},
		} {
			if !errors.Is(got[0], got[1]) {
				t.Errorf("%s of %s: %v; want %v", call, tt.repository, got[0], got[1])
			}
		}
	}
}
