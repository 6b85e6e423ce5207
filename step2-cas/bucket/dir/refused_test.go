package dir

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// What was refused as the journal could not be synced does not come true later, not
// even in part: not in the live process, and not in the next one. Its large files were
// removed, so a link to them would lead nowhere.
func TestRefusedStaysRefused(t *testing.T) {
	before := map[string]string{"good": "manifest", "tag": "good"}
	for _, tt := range []struct {
		name    string
		changes func(t *testing.T, b *Bucket) []bucket.Change
	}{
		{"data", func(t *testing.T, b *Bucket) []bucket.Change {
			return []bucket.Change{set("manifest", long), {Key: "tag", Data: []byte("manifest"), Last: true}}
		}},
		{"an upload", func(t *testing.T, b *Bucket) []bucket.Change {
			return []bucket.Change{{Key: "blob", From: createUpload(t, b, long)}, set("tag", "blob")}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, d := open(t, t.TempDir())
			write(t, b, set("good", "manifest"), set("tag", "good"))
			changes := tt.changes(t, b)
			d.arm(3, syscall.EIO)
			if err := b.Write(t.Context(), changes...); !errors.Is(err, syscall.EIO) || d.failed() != "journal" {
				t.Fatalf("%s failed, and Write says %v", d.failed(), err)
			}
			if changes[0].From != nil {
				changes[0].From.Close()
			}
			wantContent(t, b, before)
			d.arm(0, nil)
			if err := b.checkpoint(false); !errors.Is(err, syscall.EIO) {
				t.Errorf("checkpoint: %v", err)
			}
			wantContent(t, b, before)
			cutPower(t, b)
			b, _ = open(t, b.root)
			wantContent(t, b, before)
		})
	}
}

// A file that the kernel has in memory, and the disk may have refused, is written
// again: by the checkpoint that was told so, and by the next process.
func TestWrittenAgain(t *testing.T) {
	inode := func(b *Bucket) os.FileInfo {
		t.Helper()
		fi, err := os.Stat(b.path("a"))
		if err != nil {
			t.Fatal(err)
		}
		return fi
	}
	b, d := open(t, t.TempDir())
	write(t, b, set("a", "1"))
	first := inode(b)
	d.arm(1, syscall.EIO) // of the two syncs of a checkpoint, the first is told
	checkpoint(t, b)
	second := inode(b)
	if os.SameFile(first, second) {
		t.Error("the checkpoint left it as it was")
	}
	write(t, b, set("b", "2"), set("a", "3"))
	second = inode(b)
	die(b)
	b, d = open(t, b.root)
	if os.SameFile(second, inode(b)) {
		t.Error("the next process left it as it was")
	}
	wantContent(t, b, map[string]string{"a": "3", "b": "2"})
}

// Before the journal is emptied all is durable elsewhere, also when a process starts.
func TestStartSyncs(t *testing.T) {
	root := t.TempDir()
	b, _ := open(t, root)
	write(t, b, set("a", "1"))
	die(b)
	var order []string
	b = &Bucket{root: root}
	if err := b.takeLock(); err != nil {
		t.Fatal(err)
	}
	defer b.lock.Close()
	b.disk = &disk{
		data: func(*os.File) error { order = append(order, "journal"); return nil },
		all:  func() error { order = append(order, "all"); return nil },
	}
	if err := b.recover(); err != nil {
		t.Fatal(err)
	}
	defer b.journal.Close()
	if got := strings.Join(order, " "); got != "all journal" {
		t.Errorf("it syncs %s", got)
	}
}

// A Save that cannot stage its state, here as a folder is in the way, has done
// nothing: the same Save succeeds when it can.
func TestSaveStagesFirst(t *testing.T) {
	for _, data := range []string{"small", long} {
		b, d := open(t, t.TempDir())
		u := createUpload(t, b, data)
		if err := os.MkdirAll(b.path("uploads/u.state.new/x"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := u.Save(t.Context(), []byte("s")); err == nil {
			t.Error("it was saved")
		}
		if n := len(d.syncs); n > 0 && d.syncs[n-1] == "journal" {
			t.Error("the journal tells of it")
		}
		if err := os.RemoveAll(b.path("uploads/u.state.new")); err != nil {
			t.Fatal(err)
		}
		save(t, u, "s")
		u.Close()
		if u, err := b.OpenUpload(t.Context(), "u"); err != nil || u.Size() != int64(len(data)) {
			t.Errorf("OpenUpload: %v", err)
		}
	}
}

// Nothing is left of an upload that was never saved, whatever kept it from that.
func TestUnsavedLeavesNothing(t *testing.T) {
	b, d := open(t, t.TempDir())
	u := createUpload(t, b, long)
	d.arm(3, syscall.EIO)
	if err := u.Save(t.Context(), []byte("s")); !errors.Is(err, syscall.EIO) || d.failed() != "journal" {
		t.Errorf("%q failed, and Save says %v", d.failed(), err)
	}
	u.Close()
	wantNoUpload(t, b)
}

// A published upload is over, though a checkpoint comes at once and the power is cut.
func TestPublishedIsOver(t *testing.T) {
	b, _ := open(t, t.TempDir())
	u := createUpload(t, b, "")
	save(t, u, "state")
	write(t, b, bucket.Change{Key: "k", From: u})
	wantNoUpload(t, b)
	die(b)
	b, _ = open(t, b.root)
	if _, err := b.OpenUpload(t.Context(), "u"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("OpenUpload: %v", err)
	}
	wantContent(t, b, map[string]string{"k": ""})
}

// Who only looks keeps nobody from starting.
func TestUnsettledIsNoHolder(t *testing.T) {
	b, _ := open(t, t.TempDir())
	write(t, b, set("k", "x"))
	die(b)
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := Unsettled(b.root); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 20 {
		again, err := Open(b.root)
		if err != nil {
			t.Error(err)
			break
		}
		again.Close()
	}
	close(stop)
	looking.Wait()
}

// A store whose journal is being played cannot be judged either.
func TestUnsettledWhileRecovering(t *testing.T) {
	b, _ := open(t, t.TempDir())
	if err := b.nameHolder(recovering); err != nil {
		t.Fatal(err)
	}
	if got, err := Unsettled(b.root); !got || err != nil {
		t.Errorf("%t, %v", got, err)
	}
}
