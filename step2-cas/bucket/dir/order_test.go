package dir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
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

func TestInTurn(t *testing.T) {
	u := &upload{}
	for _, tt := range []struct {
		name    string
		changes []bucket.Change
		want    [][]int
	}{
		{"data, uploads, deletions", []bucket.Change{
			{Key: "0", Delete: true}, {Key: "1", From: u}, {Key: "2"}, {Key: "3", Delete: true}, {Key: "4"}, {Key: "5", From: u},
		}, [][]int{{2, 4, 1, 5, 0, 3}}},
		{"two turns", []bucket.Change{{Key: "0", Last: true}, {Key: "1", Delete: true}, {Key: "2"}}, [][]int{{2, 1}, {0}}},
		{"nothing comes before the last", []bucket.Change{{Key: "0", Last: true}}, [][]int{{0}}},
	} {
		if got := inTurn(tt.changes); !slices.EqualFunc(got, tt.want, slices.Equal) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What is to be last is renamed when the rest has been synced, and all of it was
// staged before anything was renamed: if there is no room for it, there is a trace
// of nothing.
func TestLast(t *testing.T) {
	changes := []bucket.Change{
		{Key: "tag/link", Data: []byte("v2"), Last: true},
		{Key: "manifest/data", Data: []byte("{}")},
	}
	for _, tt := range []struct {
		fail    int
		what    string
		err     error
		content map[string]string
	}{
		{1, "file", syscall.ENOSPC, map[string]string{"tag/link": "v1"}},
		{2, "file", syscall.ENOSPC, map[string]string{"tag/link": "v1"}},
		{3, ".", syscall.EIO, nil},
		{4, "manifest", syscall.EIO, nil},
		{5, "tag", syscall.EIO, nil},
		{6, "", nil, map[string]string{"manifest/data": "{}", "tag/link": "v2"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			root := t.TempDir()
			b, d := open(t, root)
			write(t, b, set("tag/link", "v1"))
			d.arm(tt.fail, tt.err)
			if err := b.Write(t.Context(), changes...); !errors.Is(err, tt.err) || d.failed() != tt.what {
				t.Errorf("%q failed and Write returned %v", d.failed(), err)
			}
			wantNothingStaged(t, b)
			if tt.content != nil {
				wantContent(t, b, tt.content)
			}
			link, err := os.ReadFile(root + "/tag/link")
			if moved := string(link) == "v2"; err != nil || moved != (tt.fail > 4) {
				t.Errorf("the link says %q, %v", link, err)
			}
		})
	}
}
