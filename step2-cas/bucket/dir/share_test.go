package dir

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// Until the journal has it, a change is seen by nobody; and nobody waits for it but
// who writes to the same key.
func TestInvisibleUntilDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := open(t, t.TempDir())
		before := map[string]string{"a": "old", "gone": "x"}
		write(t, b, set("a", "old"), set("gone", "x"))
		opened := d.shut()
		go func() {
			if err := b.Write(t.Context(), set("a", "new"), set("b/new", "x"), del("gone")); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the writer waits for the disk
		wantContent(t, b, before)
		var second error
		done := false
		go func() {
			second = b.Write(t.Context(), bucket.Change{Key: "b/new", Data: []byte("y"), If: bucket.Absent})
			done = true
		}()
		synctest.Wait()
		if done {
			t.Error("a second writer of the key did not wait")
		}
		wantContent(t, b, before)
		close(opened)
		synctest.Wait()
		if !errors.Is(second, bucket.ErrChanged) {
			t.Errorf("the second writer: %v", second)
		}
		wantContent(t, b, map[string]string{"a": "new", "b/new": "x"})
		b.Close()
	})
}

// writeMany starts writes of keys of their own that wait for the disk, and returns
// what became of them.
func writeMany(t *testing.T, b *Bucket, folder string, n int) (errs []error) {
	errs = make([]error, n)
	for i := range n {
		go func() { errs[i] = b.Write(t.Context(), set(folder+"/"+strconv.Itoa(i), "x")) }()
	}
	return errs
}

// Those who come while the disk is busy share its next sync.
func TestRequestsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := open(t, t.TempDir())
		opened := d.shut()
		first := writeMany(t, b, "first", 1)
		synctest.Wait()
		errs := writeMany(t, b, "second", 8)
		synctest.Wait()
		close(opened)
		synctest.Wait()
		if err := errors.Join(append(errs, first...)...); err != nil {
			t.Error(err)
		}
		if want := []string{"journal", "journal"}; !slices.Equal(d.syncs, want) {
			t.Errorf("nine writes sync %v", d.syncs)
		}
		if got := len(content(t, b)); got != 9 {
			t.Errorf("there are %d keys", got)
		}
		b.Close()
	})
}

// A sync that fails fails for all who shared it, and is not asked for again.
func TestSharedSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := open(t, t.TempDir())
		d.arm(2, syscall.EIO)
		opened := d.shut()
		first := writeMany(t, b, "first", 1)
		synctest.Wait()
		errs := writeMany(t, b, "second", 8)
		synctest.Wait()
		close(opened)
		synctest.Wait()
		if first[0] != nil {
			t.Errorf("the one before: %v", first[0])
		}
		for _, err := range append(errs, b.Write(t.Context(), set("later", "x"))) {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v", err)
			}
		}
		if len(d.syncs) != 2 {
			t.Errorf("synced %v", d.syncs)
		}
		wantContent(t, b, map[string]string{"first/0": "x"})
		b.Close()
	})
}

// What is written gets to where it belongs in some seconds, and the journal is
// empty then.
func TestSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := open(t, t.TempDir())
		write(t, b, set("a", "1"))
		d.arm(0, nil)
		<-time.After(settleAfter) // by the fake clock
		synctest.Wait()
		if want := []string{"all", "all", "journal"}; !slices.Equal(d.syncs, want) || !b.journal.Empty() {
			t.Errorf("it syncs %v", d.syncs)
		}
		write(t, b, set("b", "2"))
		d.arm(0, nil)
		<-time.After(settleAfter)
		synctest.Wait()
		if len(d.syncs) == 0 || d.syncs[0] != "all" {
			t.Errorf("the next time it syncs %v", d.syncs)
		}
		b.Close()
	})
}

// A journal that is full is not waited for.
func TestFullJournalSettlesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open(t, t.TempDir())
		changes := make([]bucket.Change, journalSize/inline+1)
		for i := range changes {
			changes[i] = set(strconv.Itoa(i), long[:inline])
		}
		write(t, b, changes...)
		synctest.Wait()
		if !b.journal.Empty() {
			t.Error("no checkpoint was made")
		}
		b.Close()
	})
}
