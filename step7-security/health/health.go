// Package health tells whether a server can do its work: named checks, each made within a
// time, and not again for a while, so that it costs nothing to ask.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// What Options are where they are not set.
const (
	DefaultTimeout = 2 * time.Second
	DefaultFresh   = 5 * time.Second
)

// Options say how checks are made.
type Options struct {
	// Timeout is how long a check may take, and Fresh how long its result counts. 0 stands
	// for the default.
	Timeout, Fresh time.Duration
	// Log is told why a check fails, once, and when it is good again; nil if nobody is.
	Log *slog.Logger
}

// Check is one thing that must be so. Its error goes to the log alone.
type Check struct {
	// Name is a word that may be told to anybody: "storage".
	Name string
	Run  func(ctx context.Context) error
}

// Result is what came of a check.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

// Report is what came of all checks.
type Report struct {
	Ready  bool     `json:"ready"`
	Checks []Result `json:"checks"`
}

// Failed are the names of the checks that failed.
func (r Report) Failed() (names []string) {
	for _, c := range r.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

// errSlow is a check that takes too long.
var errSlow = errors.New("it takes too long")

// stopping is the name of the check that fails once the server ends.
const stopping = "stopping"

// Checker makes checks. Its methods may be called at once from many goroutines.
type Checker struct {
	opts   Options
	checks []*check

	mu       sync.Mutex
	stopping bool
	report   Report
	at       time.Time     // when that was made; zero if none was
	round    chan struct{} // closed when the checks that are made now are done; nil if none are
}

// check is a Check, and what it said last.
type check struct {
	Check
	mu      sync.Mutex
	running bool // it may have been given up
	said    string
}

// New returns a Checker of checks, of which none has been made yet.
func New(o Options, checks ...Check) *Checker {
	o.Timeout, o.Fresh = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Fresh, DefaultFresh)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Checker{opts: o}
	for _, one := range checks {
		c.checks = append(c.checks, &check{Check: one})
	}
	return c
}

// Stop makes the server unready: it is about to end, and others should take its place.
func (c *Checker) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
}

// Ready tells whether all checks are good. They are made unless that was done a moment
// ago; whoever asks meanwhile waits for the same ones. The error is that of ctx.
func (c *Checker) Ready(ctx context.Context) (Report, error) {
	c.mu.Lock()
	if !c.at.IsZero() && time.Since(c.at) < c.opts.Fresh {
		defer c.mu.Unlock()
		return c.current(), nil
	}
	if c.round == nil {
		c.round = make(chan struct{})
		go c.make(c.round)
	}
	round := c.round
	c.mu.Unlock()
	select {
	case <-round:
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current(), nil
}

// Last is what came of the checks when they were last made, without making any.
func (c *Checker) Last() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current()
}

// current is the report as of now. mu is held.
func (c *Checker) current() Report {
	r := c.report
	if c.stopping {
		r = Report{Checks: append(slices.Clone(r.Checks), Result{Name: stopping})}
	}
	return r
}

// make makes all checks at once.
func (c *Checker) make(done chan struct{}) {
	results := make([]Result, len(c.checks))
	var all sync.WaitGroup
	for i, one := range c.checks {
		all.Go(func() {
			err := one.try(c.opts.Timeout)
			one.tell(err, c.opts.Log)
			results[i] = Result{one.Name, err == nil}
		})
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = Report{Checks: results}
	c.report.Ready = len(c.report.Failed()) == 0
	c.at, c.round = time.Now(), nil
	close(done)
}

// try makes a check. One that was given up and still hangs is not begun anew: it has
// failed for as long as it does.
func (k *check) try(timeout time.Duration) error {
	k.mu.Lock()
	if k.running {
		k.mu.Unlock()
		return errSlow
	}
	k.running = true
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	result := make(chan error, 1)
	go func() {
		defer cancel()
		err := k.run(ctx)
		k.mu.Lock()
		k.running = false
		k.mu.Unlock()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result: // cancel was called by its end
		return err
	default:
		return errSlow
	}
}

// run makes a check; one that panics has failed.
func (k *check) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return k.Run(ctx)
}

// tell says why a check fails, unless it said so the last time.
func (k *check) tell(err error, log *slog.Logger) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now == k.said {
		return
	}
	if k.said = now; err != nil {
		log.Error("the server is not ready", "check", k.Name, "cause", err)
	} else {
		log.Info("a check is good again", "check", k.Name)
	}
}
