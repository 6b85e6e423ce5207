package dir

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// counted is a disk that counts, and whose all waits for a value of proceed.
type counted struct {
	disk
	mu      sync.Mutex
	synced  []string
	rounds  atomic.Int64
	proceed chan error
}

func newCounted(bad map[string]error) *counted {
	c := &counted{proceed: make(chan error)}
	c.turn = make(chan struct{}, 1)
	one := func(name string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.synced = append(c.synced, name)
		return bad[name]
	}
	c.file = func(f *os.File) error { return one(f.Name()) }
	c.folder = one
	c.all = func() error {
		c.rounds.Add(1)
		return <-c.proceed
	}
	return c
}

func TestLoneRequestSyncsWhatIsItsOwn(t *testing.T) {
	c := newCounted(nil)
	if err := c.keep(nil, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.synced, []string{"a", "b"}) || c.rounds.Load() != 0 {
		t.Errorf("synced %v, and everything %d times", c.synced, c.rounds.Load())
	}
}

func TestRequestsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(nil)
		var kept atomic.Int64
		request := func() {
			if err := c.keep(nil, []string{"a", "b", "c"}); err != nil {
				t.Error(err)
			}
			kept.Add(1)
		}
		go request()
		synctest.Wait()
		for range 7 {
			go request() // too late for the sync that is under way
		}
		synctest.Wait()
		c.proceed <- nil
		synctest.Wait()
		if kept.Load() != 1 || c.rounds.Load() != 2 {
			t.Errorf("after one sync %d are kept, and %d were begun", kept.Load(), c.rounds.Load())
		}
		c.proceed <- nil
		synctest.Wait()
		if kept.Load() != 8 || c.rounds.Load() != 2 {
			t.Errorf("after two syncs %d are kept, and %d were begun", kept.Load(), c.rounds.Load())
		}
		if len(c.synced) != 0 {
			t.Errorf("also synced %v", c.synced)
		}
	})
}

// A sync of everything fails for whoever lost something. Who did is asked of each
// file, and nobody else is told of it.
func TestSharedSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(map[string]error{"lost": syscall.EIO})
		results := map[string]error{}
		var mu sync.Mutex
		request := func(name string) {
			err := c.keep(nil, []string{name, "x", "y"})
			mu.Lock()
			results[name] = err
			mu.Unlock()
		}
		go request("first")
		synctest.Wait()
		for _, name := range []string{"kept", "lost"} {
			go request(name)
		}
		synctest.Wait()
		c.proceed <- nil
		c.proceed <- syscall.EIO
		synctest.Wait()
		if len(results) != 3 || results["first"] != nil || results["kept"] != nil || !errors.Is(results["lost"], syscall.EIO) {
			t.Errorf("results are %v", results)
		}
	})
}

func TestPrunedFolderIsNoError(t *testing.T) {
	c := newCounted(map[string]error{"gone": syscall.ENOENT})
	if err := c.keep(nil, []string{"gone"}); err != nil {
		t.Error(err)
	}
}
