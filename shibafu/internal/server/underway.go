package server

import (
	"net/http"
	"sync"
)

// underway counts requests. Where the drain is over connections are cut, but what
// their handlers do then, keeping what came, must be done before the store is let
// go of.
type underway struct {
	handler http.Handler
	mu      sync.Mutex
	ended   bool
	active  sync.WaitGroup
}

func (u *underway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !u.begin() {
		panic(http.ErrAbortHandler) // its connection is cut already
	}
	defer u.active.Done()
	u.handler.ServeHTTP(w, r)
}

func (u *underway) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.ended {
		u.active.Add(1)
	}
	return !u.ended
}

// end takes no more requests, and waits for those that it took.
func (u *underway) end() {
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	u.active.Wait()
}
