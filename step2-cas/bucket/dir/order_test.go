package dir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// A rename that fails, here because a folder is in the way, leaves the upload as
// it was, although the upload comes first among the changes. What was made of the
// Write stays as it is: a crash does not bring about the rest.
func TestUploadIsTakenLast(t *testing.T) {
	b, d := open(t, t.TempDir())
	write(t, b, set("link/in-the-way", "x"))
	u := createUpload(t, b, "one")
	d.arm(0, nil)
	if err := b.Write(t.Context(), bucket.Change{Key: "blob", From: u}, set("a", "made"), set("link", "blob")); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	if want := []string{"journal", "all", "all", "journal"}; !slices.Equal(d.syncs, want) {
		t.Errorf("synced %v, want %v", d.syncs, want)
	}
	wantContent(t, b, map[string]string{"a": "made", "link/in-the-way": "x"})
	appendTo(t, u, " two")
	write(t, b, del("link/in-the-way"))
	if _, err := os.Lstat(b.path("link")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an empty folder is left: %v", err)
	}
	die(b)
	b, _ = open(t, b.root)
	wantContent(t, b, map[string]string{"a": "made"})
}

func TestInOrder(t *testing.T) {
	u := &upload{}
	for _, tt := range []struct {
		name    string
		changes []bucket.Change
		want    []int
	}{
		{"data, uploads, deletions", []bucket.Change{
			{Key: "0", Delete: true}, {Key: "1", From: u}, {Key: "2"}, {Key: "3", Delete: true}, {Key: "4"}, {Key: "5", From: u},
		}, []int{2, 4, 1, 5, 0, 3}},
		{"what is to be last", []bucket.Change{{Key: "0", Last: true}, {Key: "1", Delete: true}, {Key: "2"}}, []int{2, 1, 0}},
	} {
		if got := inOrder(tt.changes); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
