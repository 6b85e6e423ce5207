package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
)

// faultsPart has one system call after the other fail, or be the last one, while
// a client does one of everything.
func faultsPart(ctx context.Context, c config) (string, error) {
	const sample = 3 // of the calls that each fault could be done to
	runs, hits, refusals, most := 0, 0, 0, 0
	for i, f := range faults {
		r := &faultRun{config: c, ctx: ctx, fault: f}
		if err := r.do(0); err != nil {
			return "", err
		}
		if r.most == 0 {
			return "", fmt.Errorf("the server never does what %v is a fault of", f)
		}
		rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
		for _, k := range choose(rng, r.most, sample, c.all) {
			if err := context.Cause(ctx); err != nil {
				return "", err
			}
			if err := r.do(k); err != nil {
				return "", err
			}
			runs++
		}
		hits, refusals, most = hits+r.hits, refusals+r.refusals, max(most, r.most)
	}
	return fmt.Sprintf("faults: %d runs of %d faults at up to %d calls, %d calls hit, %d requests failed for it", runs, len(faults), most, hits, refusals), nil
}

// choose returns the numbers from 1 to n, or a sample of them, spread evenly.
func choose(rng *rand.Rand, n, sample int, all bool) []int {
	var numbers []int
	if all || n <= sample {
		for k := 1; k <= n; k++ {
			numbers = append(numbers, k)
		}
		return numbers
	}
	for i := range sample {
		low, high := i*n/sample, (i+1)*n/sample
		numbers = append(numbers, 1+low+rng.IntN(high-low))
	}
	return numbers
}

// faultRun is the scenario under one fault.
type faultRun struct {
	config
	ctx context.Context
	fault
	k int

	p      *pusher
	server *server
	failed []step // to be done again
	last   error  // of the last of them
	closed bool   // the server may refuse to write, as the disk failed it

	most           int // how often the fault could be done, found with k = 0
	hits, refusals int
}

func (r *faultRun) root() string { return filepath.Join(r.work, "store") }

func (r *faultRun) violation(when string, found ...string) error {
	v := &violations{where: fmt.Sprintf("faults, %v on call %d, %s", r.fault, r.k, when), found: found}
	if r.server != nil {
		v.log = r.server.tail()
	}
	return v
}

// do runs the scenario with the fault at the k-th call.
func (r *faultRun) do(k int) error {
	r.k, r.failed = k, nil
	if err := os.RemoveAll(r.root()); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	defer func() { r.server.kill() }() // it will be another one
	r.p = &pusher{id: 1, rng: rand.New(rand.NewPCG(r.seed, 1))}
	r.p.load = newLoad(r.ctx, newClient(r.server.base), newModel(), r.seed)
	steps, err := r.prepare()
	if err != nil {
		return err
	}
	t, err := attach(r.ctx, r.server, filepath.Join(r.work, "strace.log"), r.root(), r.fault, k)
	if err != nil {
		return err
	}
	err = r.play(steps)
	t.detach()
	if k == 0 {
		r.most = t.most()
	}
	r.hits += t.hits()
	if err != nil {
		return err
	}
	if r.closed = t.unsyncedJournal(); len(r.failed) > 0 && !r.kills() && !r.closed {
		return r.violation(r.failed[0].name+", again and again", r.last.Error())
	}
	if err := r.afterwards(); err != nil {
		return err
	}
	return r.restarted()
}

func (r *faultRun) start() error {
	s, err := startServer(r.ctx, r.config, r.root())
	if err != nil {
		return r.violation("start", err.Error())
	}
	r.server = s
	return nil
}

// tries is how often a step is tried. As strace counts the calls of each thread,
// a fault may come again; but not often.
const tries = 5

// play does the steps, each until it succeeds. Once the server is gone, or has
// closed itself to writers, they are left for later.
func (r *faultRun) play(steps []step) error {
	for _, s := range steps {
		var err error
		for range tries {
			if err = s.do(); err == nil || r.kills() && !r.serving() {
				break
			}
			r.refusals++
			if wrong := r.wrong(err); wrong != "" {
				return r.violation(s.name, wrong)
			}
		}
		if err != nil {
			r.failed, r.last = append(r.failed, s), err
		}
	}
	return nil
}

// wrong says what is wrong with the way in which a step failed.
func (r *faultRun) wrong(err error) string {
	var answer *surprise
	if !errors.As(err, &answer) || answer.answer.status < 500 {
		return err.Error()
	}
	if form := faultyError(answer.answer); form != "" && answer.asked.method != "HEAD" {
		return form + ": " + err.Error()
	}
	return ""
}

// serving tells whether the server answers.
func (r *faultRun) serving() bool {
	resp, err := r.p.client.send(r.ctx, request{method: "GET", path: "/v2/"})
	return err == nil && resp.status == http.StatusOK
}

// afterwards looks at the server that has met the fault: it lives, serves nothing
// wrong, and does what failed before, unless it has closed itself to writers.
func (r *faultRun) afterwards() error {
	if r.kills() && !r.serving() {
		return nil
	}
	if !r.serving() {
		return r.violation("afterwards", "the server is gone")
	}
	err := r.again()
	var answer *surprise
	closed := r.closed && errors.As(err, &answer) && answer.answer.status >= 500
	if err != nil && !closed {
		return r.violation("a second try", err.Error())
	}
	for _, kind := range []string{"blob", "manifest", "tag"} {
		for _, t := range r.p.model.things(kind) {
			mark := r.p.model.mark()
			value, _, err := r.p.client.read(r.ctx, t)
			if err != nil {
				return r.violation("reading afterwards", err.Error(), r.p.model.story(t))
			}
			if wrong := r.p.model.saw(t, value, mark); wrong != "" {
				return r.violation("reading afterwards", wrong)
			}
		}
	}
	return nil
}

// again does the steps that failed.
func (r *faultRun) again() error {
	for len(r.failed) > 0 {
		if err := r.failed[0].do(); err != nil {
			return fmt.Errorf("%s: %w", r.failed[0].name, err)
		}
		r.failed = r.failed[1:]
	}
	return nil
}

// restarted starts the server again, without the fault, and checks everything.
func (r *faultRun) restarted() error {
	r.p.client.close()
	r.server.kill()
	if err := r.start(); err != nil {
		return err
	}
	r.p.client.base = r.server.base
	for _, again := range []bool{false, true} {
		c := &checker{config: r.config, ctx: r.ctx, client: r.p.client, model: r.p.model, root: r.root(), leftover: map[string]int{}}
		c.run(r.p.images)
		if len(c.found) > 0 {
			return r.violation("after the restart", c.found...)
		}
		if again || len(r.failed) == 0 {
			break
		}
		if err := r.again(); err != nil {
			return r.violation("a second try after the restart", err.Error())
		}
	}
	return nil
}
