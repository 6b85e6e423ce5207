package container_test

import (
	"fmt"
	"sync"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// atOnce runs do so many times at once, times over.
func atOnce(n, times int, do func(n int)) {
	var all sync.WaitGroup
	for k := range n {
		all.Go(func() {
			for i := range times {
				do(k*times + i)
			}
		})
	}
	all.Wait()
}

// An image that nobody has run yet is unpacked once, whoever comes first.
func TestFirstRunsAtOnce(t *testing.T) {
	w := newWorld(t)
	i := image(t, blob(t, text("a", "a\n")), blob(t, text("b", "b\n")), blob(t, text("c", "c\n")))
	atOnce(20, 1, func(int) {
		w.says("a\nb\nc\n", i, container.Spec{}, "/probe", "cat", "/a", "/b", "/c")
	})
}

// Who cleans up does not trip over containers that come and go meanwhile.
func TestComingAndGoing(t *testing.T) {
	w := newWorld(t)
	i := image(t)
	atOnce(4, 10, func(n int) {
		w.says("", i, container.Spec{Name: fmt.Sprintf("c%d", n)}, "/probe", "exit", "0")
	})
}

// Pruning takes no layer from a container that comes to be, nor from one that runs.
func TestRunWhilePruned(t *testing.T) {
	w := newWorld(t)
	i := image(t, blob(t, text("late", "late\n")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.store.Prune(t.Context(), nil, false); err != nil {
				t.Errorf("pruning: %v", err)
				return
			}
		}
	}()
	atOnce(3, 5, func(int) {
		w.says("late\n", i, container.Spec{}, "/probe", "cat", "/late")
	})
	close(stop)
	<-stopped
}

// Containers of two stores may have one name, and neither ends the other's limits.
func TestNamesOfTwoStores(t *testing.T) {
	one, other := newWorld(t), newWorld(t)
	i := image(t)
	finish := one.start(i, container.Spec{Name: "web"}, "/probe", "wait")
	other.says("", i, container.Spec{Name: "web"}, "/probe", "exit", "0")
	if r := finish(); r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
}
