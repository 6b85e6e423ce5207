package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/client"
)

// From one registry into an OCI image layout on the disk, and from there to another
// registry; how far it is is told on the way, and at the end that all is done.
func TestThroughLayout(t *testing.T) {
	data, folder := content(5*mib), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		files, err := dir.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		layout := cas.New(files, cas.OCI)
		told := map[string]int64{}
		opts := client.Options{Ranges: 1, Progress: func(d digest.Digest, done, size int64) {
			told[fmt.Sprint(d == digest.FromBytes(data), size)] = done
		}}
		from := startBubble(t, registry(t), opts)
		d := push(t, from, aName, data)
		clear(told)
		if err := from.PullBlob(t.Context(), aName, d, layout); err != nil {
			t.Fatal(err)
		}
		holds(t, layout, data)
		want := map[string]int64{fmt.Sprint(true, d.Size): d.Size}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %v of the pull, want %v", told, want)
		}
		clear(told)
		to := startBubble(t, registry(t), opts)
		if err := to.PushBlob(t.Context(), otherName, d, client.StoreContent(t.Context(), layout, d.Digest)); err != nil {
			t.Fatal(err)
		}
		has(t, to, otherName, data)
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %v of the push, want %v", told, want)
		}
	})
}
