package dir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// A rename that fails, here because a folder is in the way, leaves the upload as
// it was, although the upload comes first among the changes. So does a process
// that is killed between two renames.
func TestUploadIsTakenLast(t *testing.T) {
	b, _ := open(t, t.TempDir())
	write(t, b, set("link/in-the-way", "x"))
	u := createUpload(t, b, "one")
	if err := b.Write(t.Context(), bucket.Change{Key: "blob", From: u}, set("link", "blob")); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	wantContent(t, b, map[string]string{"link/in-the-way": "x"})
	if _, err := u.Append(t.Context(), 3, strings.NewReader(" two")); err != nil {
		t.Errorf("Append: %v", err)
	}
	write(t, b, bucket.Change{Key: "link/in-the-way", Delete: true})
	if _, err := os.Lstat(b.path("link")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an empty folder is left: %v", err)
	}
	write(t, b, bucket.Change{Key: "blob", From: u}, set("link", "blob"))
	wantContent(t, b, map[string]string{"blob": "one two", "link": "blob"})
}

func TestInOrder(t *testing.T) {
	u := &upload{}
	changes := []bucket.Change{
		{Key: "0", Delete: true}, {Key: "1", From: u}, {Key: "2"}, {Key: "3", Delete: true}, {Key: "4"}, {Key: "5", From: u},
	}
	if got, want := inOrder(changes), []int{2, 4, 1, 5, 0, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
