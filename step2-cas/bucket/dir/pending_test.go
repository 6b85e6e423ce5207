package dir

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"shibafu.dev/step2-cas/bucket"
)

// gate lets a bucket's next sync of a folder wait until it is opened.
type gate struct {
	mu     sync.Mutex
	shut   chan struct{}
	synced []string // the folders synced without waiting
}

// openGated opens the bucket of a new folder with a gate that is open.
func openGated(t *testing.T) (*Bucket, *gate) {
	b, _ := open(t, t.TempDir())
	g := &gate{}
	b.disk.folder = func(folder string) error {
		g.mu.Lock()
		shut := g.shut
		g.shut = nil
		if shut == nil {
			g.synced = append(g.synced, folder[len(b.root):])
		}
		g.mu.Unlock()
		if shut != nil {
			<-shut
		}
		return nil
	}
	return b, g
}

// close shuts the gate; the caller closes the channel to let through who waits.
func (g *gate) close() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.synced = make(chan struct{}), nil
	return g.shut
}

// Between its rename and the sync of its folder a key is there for the disk and
// for nobody else.
func TestPendingIsInvisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b, g := openGated(t)
		write(t, b, set("a/gone", "x"), set("a/kept", "x"))
		opened := g.close()
		go func() {
			if err := b.Write(ctx, set("a/new", "x"), bucket.Change{Key: "a/gone", Delete: true}); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the writer waits for the sync
		if _, err := os.Lstat(b.path("a/new")); err != nil {
			t.Fatalf("not renamed yet: %v", err)
		}
		if _, err := os.Lstat(b.path("a/gone")); err == nil {
			t.Fatal("not deleted yet")
		}

		var seen sync.Map
		look := func(name string, f func() error) {
			go func() { seen.Store(name, f()) }()
		}
		look("open new", func() error { _, err := b.Open(ctx, "a/new"); return err })
		look("stat new", func() error { _, err := b.Stat(ctx, "a/new"); return err })
		look("stat gone", func() error { _, err := b.Stat(ctx, "a/gone"); return err })
		look("write new", func() error { return b.Write(ctx, bucket.Change{Key: "a/new", If: bucket.Absent}) })
		look("list", func() error {
			for _, err := range b.List(ctx, "a/", "", false) {
				return err
			}
			return nil
		})
		synctest.Wait()
		seen.Range(func(name, err any) bool {
			t.Errorf("%s did not wait: %v", name, err)
			return true
		})
		if _, err := b.Stat(ctx, "a/kept"); err != nil {
			t.Errorf("another key: %v", err)
		}
		impatient, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := b.Open(impatient, "a/new"); !errors.Is(err, context.Canceled) {
			t.Errorf("a reader that gives up: %v", err)
		}

		close(opened)
		synctest.Wait()
		for name, want := range map[string]error{
			"open new": nil, "stat new": nil, "stat gone": bucket.ErrNotExist, "write new": bucket.ErrChanged, "list": nil,
		} {
			if got, ok := seen.Load(name); !ok || want == nil && got != nil || want != nil && !errors.Is(got.(error), want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	})
}

// A walk does not describe a key by a state that is not durable either, if the
// change comes after the folder was read.
func TestListWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b, g := openGated(t)
		write(t, b, set("a", "1"), set("b", "1"))
		infos, goOn := make(chan bucket.Info), make(chan struct{})
		go func() {
			defer close(infos)
			for info, err := range b.List(ctx, "", "", false) {
				if err != nil {
					t.Error(err)
				}
				infos <- info
				<-goOn
			}
		}()
		<-infos // the folder was read
		opened := g.close()
		go b.Write(ctx, set("b", "two"))
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		select {
		case info := <-infos:
			t.Errorf("it did not wait: %+v", info)
		default:
		}
		close(opened)
		if info := <-infos; info.Key != "b" || info.Size != 3 {
			t.Errorf("after the change it yields %+v", info)
		}
		if info, more := <-infos; more {
			t.Errorf("then it yields %+v", info)
		}
	})
}

// A folder that another request made, and has not settled, is synced by whoever
// puts a file under it as well; once settled, by nobody.
func TestFreshFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := openGated(t)
		opened := g.close()
		go func() {
			if err := b.Write(t.Context(), set("a/b/first", "x")); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the first waits for one of its syncs
		g.mu.Lock()
		g.synced = nil
		g.mu.Unlock()
		write(t, b, set("a/b/second", "x"))
		slices.Sort(g.synced)
		if want := []string{"", "/a", "/a/b"}; !slices.Equal(g.synced, want) {
			t.Errorf("the second syncs %v, want %v", g.synced, want)
		}
		close(opened)
		synctest.Wait()
		g.synced = nil
		write(t, b, set("a/b/third", "x"))
		if want := []string{"/a/b"}; !slices.Equal(g.synced, want) {
			t.Errorf("the third syncs %v, want %v", g.synced, want)
		}
	})
}
