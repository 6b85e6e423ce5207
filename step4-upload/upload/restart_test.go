package upload_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

// blind is a bucket whose uploads cannot be read back, so that only a saved sum
// can go on.
type blind struct{ bucket.Bucket }

type blindUpload struct{ bucket.Upload }

func (b blind) CreateUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.CreateUpload(ctx, id)
	return blindUpload{u}, err
}

func (b blind) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.OpenUpload(ctx, id)
	return blindUpload{u}, err
}

func (b blind) Write(ctx context.Context, changes ...bucket.Change) error {
	for i := range changes {
		if u, ok := changes[i].From.(blindUpload); ok {
			changes[i].From = u.Upload
		}
	}
	return b.Bucket.Write(ctx, changes...)
}

// Each request meets a new process, and the sum goes on where it was.
func TestRestart(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		b2 := blind{b}
		id := startClosed(t, manage(t, b2, upload.Limits{}))
		wantSize(t, manage(t, b2, upload.Limits{}), id, 0)
		mustAppend(t, manage(t, b2, upload.Limits{}), id, 0, "one ")
		m := manage(t, b2, upload.Limits{})
		wantSize(t, m, id, 4)
		_, err := m.Append(t.Context(), repoA, id, 4, cut("two "))
		wantError(t, err, bucket.ErrSource)
		m = manage(t, b2, upload.Limits{})
		wantSize(t, m, id, 8)
		mustFinish(t, m, b, id, "three", "one two three")
		wantFreed(t, b)
		wantUnknown(t, manage(t, b2, upload.Limits{}), id)
	})
}

// startClosed starts a session of a process that then ends in good order.
func startClosed(t *testing.T, m *upload.Manager) (id string) {
	t.Helper()
	id = start(t, m)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return id
}

// A process that is killed takes with it the sessions of which nothing came, and
// leaves nothing of them.
func TestKilledBeforeAnythingCame(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		id := start(t, manage(t, b, upload.Limits{}))
		wantUnknown(t, manage(t, b, upload.Limits{}), id)
		wantFreed(t, b)
	})
}

// Close keeps the algorithm too, and leaves alone what is kept already.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		b2 := blind{b}
		m := manage(t, b2, upload.Limits{})
		status, err := m.Start(t.Context(), repoA, digest.SHA512)
		if err != nil {
			t.Fatal(err)
		}
		kept := start(t, m)
		mustAppend(t, m, kept, 0, "hello ")
		startClosed(t, m)
		m = manage(t, b2, upload.Limits{})
		wantSize(t, m, kept, 6)
		mustAppend(t, m, status.ID, 0, "x")
		_, err = m.Finish(t.Context(), repoA, status.ID, digest.SHA512.FromBytes([]byte("xy")), 1, strings.NewReader("y"))
		wantError(t, err, nil)
	})
}

// Sessions of an earlier process count.
func TestRestartLimits(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		id := startClosed(t, manage(t, b, upload.Limits{}))
		m := manage(t, b, upload.Limits{PerRepository: 1})
		_, err := m.Start(t.Context(), repoA, digest.SHA256)
		wantError(t, err, upload.ErrTooMany)
		if err := m.Cancel(t.Context(), repoA, id); err != nil {
			t.Error(err)
		}
		start(t, m)
	})
}

// A process that is killed has taken in more than it saved. What was not
// acknowledged is not there.
func TestKilledWhileAppending(t *testing.T) {
	root := t.TempDir()
	b := openFolder(t, root)
	m := manage(t, b, upload.Limits{})
	id := start(t, m)
	mustAppend(t, m, id, 0, "saved ")
	data := filepath.Join(root, bucket.UploadsFolder, id+".data")
	f, err := os.OpenFile(data, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("and never acknowledged"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.Close()

	b = openFolder(t, root)
	m = manage(t, b, upload.Limits{})
	wantSize(t, m, id, 6)
	mustFinish(t, m, b, id, "and resumed", "saved and resumed")
}

// saved is an upload as a process left it, at 6 bytes.
type saved struct {
	folder
	id          string
	state, data []byte
}

func leaveSession(t *testing.T) saved {
	t.Helper()
	b := openFolder(t, t.TempDir())
	m := manage(t, b, upload.Limits{})
	s := saved{folder: b, id: start(t, m)}
	mustAppend(t, m, s.id, 0, "hello ")
	s.state, s.data = s.read(t, "state"), s.read(t, "data")
	return s
}

func (s saved) path(name string) string {
	return filepath.Join(s.root, bucket.UploadsFolder, s.id+"."+name)
}

func (s saved) read(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// leave puts the files back; nil stands for none.
func (s saved) leave(t *testing.T, state, data []byte) {
	t.Helper()
	for name, content := range map[string][]byte{"state": state, "data": data} {
		err := os.Remove(s.path(name))
		if content != nil {
			err = os.WriteFile(s.path(name), content, 0o644)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// What cannot be believed is removed, and keeps nobody from starting.
func TestDamagedSessions(t *testing.T) {
	s := leaveSession(t)
	tests := []struct {
		name        string
		state, data []byte
		reason      string
	}{
		{"empty state", []byte{}, s.data, "a file system may leave this after a power cut"},
		{"state cut", s.state[:len(s.state)/2], s.data, ""},
		{"state of zeros", make([]byte, len(s.state)), s.data, "a file system may leave this too"},
		{"data cut", s.state, s.data[:5], "fewer bytes than were acknowledged"},
		{"no data", s.state, nil, "published by a process that died before it said so"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.leave(t, tt.state, tt.data)
			wantUnknown(t, manage(t, s.folder, upload.Limits{}), s.id)
			wantFreed(t, s.folder)
		})
	}
}

// A session that is damaged while the process runs is gone when that is noticed.
func TestDamagedMeanwhile(t *testing.T) {
	s := leaveSession(t)
	m := manage(t, s.folder, upload.Limits{Sessions: 1})
	s.leave(t, s.state[:9], s.data)
	status, err := m.Append(t.Context(), repoA, s.id, 6, strings.NewReader("world"))
	if !errors.Is(err, upload.ErrUnknown) || status != (upload.Status{}) {
		t.Errorf("Append: %+v, %v", status, err)
	}
	wantFreed(t, s.folder)
	start(t, m)
}

// Uploads of others, with notes that are not ours, are no sessions: nobody could
// end them.
func TestForeignUploads(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		store := cas.New(b, cas.Distribution)
		for id, note := range map[string]string{
			"none": "", "text": "hello", "list": "[]", "empty": "{}",
			"noname": `{"owner":"x"}`, "badname": `{"repository":"../x"}`,
		} {
			w, err := store.NewWriter(t.Context(), id, digest.SHA256, []byte(note))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Append(t.Context(), 0, strings.NewReader("bytes")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Save(t.Context()), w.Close()); err != nil {
				t.Fatal(err)
			}
		}
		m := manage(t, b, upload.Limits{Sessions: 1})
		wantFreed(t, b)
		start(t, m)
	})
}

// Whichever bit of what is on the disk flips, the session is gone or its blob is
// the right one; a wrong one is never published.
func TestEachBitOfState(t *testing.T) {
	const content = "hello world"
	s := leaveSession(t)
	gone := 0
	for bit := range 8 * len(s.state) {
		state := bytes.Clone(s.state)
		state[bit/8] ^= 1 << (bit % 8)
		s.leave(t, state, s.data)
		m := manage(t, s.folder, upload.Limits{})
		_, err := m.Finish(t.Context(), repoA, s.id, sha256Of(content), 6, strings.NewReader("world"))
		switch {
		case err == nil:
			wantBlob(t, s.folder, content)
		case errors.Is(err, upload.ErrUnknown):
			gone++
		default:
			t.Errorf("bit %d: %v", bit, err)
		}
		wantFreed(t, s.folder)
	}
	if want := 8 * len(s.state); gone != want {
		t.Errorf("%d of %d flips were noticed", gone, want)
	}
}

// lying is a bucket that tells of another state than was saved: one that a
// backend without checksums of its own would hand out.
type lying struct {
	bucket.Bucket
	state []byte
}

type lyingUpload struct {
	blindUpload
	state []byte
}

func (u lyingUpload) State() []byte { return u.state }

func (b lying) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.OpenUpload(ctx, id)
	return lyingUpload{blindUpload{u}, b.state}, err
}

func TestEachBitBelowTheBackend(t *testing.T) {
	b := mem.New()
	id := startClosed(t, manage(t, b, upload.Limits{}))
	mustAppend(t, manage(t, b, upload.Limits{}), id, 0, "hello ")
	u, err := b.OpenUpload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(u.State()) {
		state := bytes.Clone(u.State())
		state[bit/8] ^= 1 << (bit % 8)
		wantUnknown(t, manage(t, lying{b, state}, upload.Limits{}), id)
		again, err := b.CreateUpload(t.Context(), id)
		if err != nil {
			t.Fatalf("bit %d: the damaged session is still there: %v", bit, err)
		}
		if err := errors.Join(again.Save(t.Context(), u.State()), again.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
