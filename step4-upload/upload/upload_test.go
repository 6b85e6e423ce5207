package upload_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

var (
	repoA = mustName("team/a")
	repoB = mustName("team/b")
)

func mustName(s string) ref.Name {
	name, err := ref.ParseName(s)
	if err != nil {
		panic(err)
	}
	return name
}

// folder is a bucket in a folder that the test can look into.
type folder struct {
	*dir.Bucket
	root string
}

// each runs the test over every backend.
func each(t *testing.T, test func(t *testing.T, b bucket.Bucket)) {
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("dir", func(t *testing.T) { test(t, openFolder(t, t.TempDir())) })
}

func openFolder(t *testing.T, root string) folder {
	t.Helper()
	b, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return folder{b, root}
}

// manage returns the manager of the sessions in b, as a process does that starts.
func manage(t *testing.T, b bucket.Bucket, limits upload.Limits) *upload.Manager {
	t.Helper()
	return manageWith(t, b, limits, upload.CommitBare)
}

func manageWith(t *testing.T, b bucket.Bucket, limits upload.Limits, commit upload.Commit) *upload.Manager {
	t.Helper()
	m, err := upload.New(t.Context(), cas.New(b, cas.Distribution), commit, limits)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return m
}

func start(t *testing.T, m *upload.Manager) (id string) {
	t.Helper()
	status, err := m.Start(t.Context(), repoA, digest.SHA256)
	if err != nil || status.ID == "" || status.Size != 0 {
		t.Fatalf("Start: %+v, %v", status, err)
	}
	return status.ID
}

func mustAppend(t *testing.T, m *upload.Manager, id string, offset int64, data string) {
	t.Helper()
	status, err := m.Append(t.Context(), repoA, id, offset, strings.NewReader(data))
	if err != nil || status.ID != id {
		t.Fatalf("Append at %d: %+v, %v", offset, status, err)
	}
}

// mustFinish publishes the session, which holds content by then.
func mustFinish(t *testing.T, m *upload.Manager, b bucket.Bucket, id, last, content string) {
	t.Helper()
	status, err := m.Finish(t.Context(), repoA, id, sha256Of(content), upload.AtEnd, strings.NewReader(last))
	if want := (upload.Status{ID: id, Size: int64(len(content))}); err != nil || status != want {
		t.Fatalf("Finish: %+v, %v; want %+v", status, err, want)
	}
	wantUnknown(t, m, id)
	wantBlob(t, b, content)
}

func sha256Of(content string) digest.Digest { return digest.FromBytes([]byte(content)) }

// cut is a body that ends early.
func cut(data string) io.Reader {
	return io.MultiReader(strings.NewReader(data), iotest.ErrReader(io.ErrUnexpectedEOF))
}

var empty = strings.NewReader("")

func wantSize(t *testing.T, m *upload.Manager, id string, size int64) {
	t.Helper()
	status, err := m.Status(t.Context(), repoA, id)
	if want := (upload.Status{ID: id, Size: size}); err != nil || status != want {
		t.Errorf("Status: %+v, %v; want %+v", status, err, want)
	}
}

func wantUnknown(t *testing.T, m *upload.Manager, id string) {
	t.Helper()
	if status, err := m.Status(t.Context(), repoA, id); !errors.Is(err, upload.ErrUnknown) || status != (upload.Status{}) {
		t.Errorf("Status: %+v, %v; want ErrUnknown", status, err)
	}
}

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error is %v, want %v", err, target)
	}
}

func wantBlob(t *testing.T, b bucket.Bucket, content string) {
	t.Helper()
	o, err := cas.New(b, cas.Distribution).Open(t.Context(), sha256Of(content))
	if err != nil {
		t.Errorf("blob of %.40q: %v", content, err)
		return
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || string(got) != content {
		t.Errorf("blob holds %.40q, %v; want %.40q", got, err, content)
	}
}

func wantNoBlob(t *testing.T, b bucket.Bucket, content string) {
	t.Helper()
	_, err := cas.New(b, cas.Distribution).Stat(t.Context(), sha256Of(content))
	wantError(t, err, bucket.ErrNotExist)
}

// wantFreed wants no byte of any session to be left.
func wantFreed(t *testing.T, b bucket.Bucket) {
	t.Helper()
	for id, err := range b.Uploads(context.WithoutCancel(t.Context())) {
		t.Errorf("left over: session %s, %v", id, err)
	}
	f, ok := b.(folder)
	if !ok {
		return
	}
	err := filepath.WalkDir(filepath.Join(f.root, bucket.UploadsFolder), func(path string, d os.DirEntry, err error) error {
		staging := filepath.Join(f.root, bucket.UploadsFolder, ".staged")
		if name := d.Name(); name != bucket.UploadsFolder && name != ".lock" && !strings.HasPrefix(name, ".journal") && !(d.IsDir() && strings.HasPrefix(path, staging)) {
			t.Errorf("left over: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
