package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// era is how many crashes a store lives through before a fresh one takes its
// place, so that checking it all stays quick.
const era = 5

// loop crashes a registry again and again.
type loop struct {
	config
	ctx  context.Context
	rng  *rand.Rand
	name string
	root string // of the store
	// crash ends the server in its way, and leaves a store in root to start on. Just
	// before it begins it calls cutting.
	crash func(s *server, cutting func()) error

	model   *model
	pushers []*pusher
	images  []*image

	acks, read, resumed int
	slowest             time.Duration
	leftover            map[string]int
}

// run does the cycles. fresh makes an empty store in root.
func (l *loop) run(fresh func() error) (string, error) {
	l.leftover = map[string]int{}
	for cycle := range l.cycles {
		if err := context.Cause(l.ctx); err != nil {
			return "", err
		}
		l.rng = rand.New(rand.NewPCG(l.seed, uint64(cycle)))
		if cycle%era == 0 {
			if err := fresh(); err != nil {
				return "", err
			}
			l.model, l.pushers, l.images = newModel(), nil, nil
			for id := range pushers {
				l.pushers = append(l.pushers, &pusher{id: id})
			}
		}
		if err := l.cycle(cycle); err != nil {
			return "", err
		}
		if cycle%era == era-1 || cycle == l.cycles-1 {
			if err := l.closing(cycle); err != nil {
				return "", err
			}
		}
	}
	return l.summary(), nil
}

func (l *loop) summary() string {
	line := fmt.Sprintf("%s: %d cycles, %d acknowledgements, %d things read back, %d uploads resumed, slowest start %d ms",
		l.name, l.cycles, l.acks, l.read, l.resumed, l.slowest.Milliseconds())
	var left []string
	for _, problem := range slices.Sorted(maps.Keys(l.leftover)) {
		left = append(left, fmt.Sprintf("%d x %s", l.leftover[problem], problem))
	}
	if len(left) > 0 {
		line += "; of changes that nobody acknowledged, fsck named: " + strings.Join(left, ", ")
	}
	return line
}

// cycle is: start, push, crash, start again, check.
func (l *loop) cycle(cycle int) error {
	s, err := l.start(cycle)
	if err != nil {
		return err
	}
	acks := l.model.acks
	moment, err := l.work(s, cycle)
	l.acks += l.model.acks - acks
	if err != nil {
		return err
	}
	if l.rng.IntN(5) == 0 {
		if err := l.crashAtStart(); err != nil {
			return err
		}
	}
	if s, err = l.start(cycle); err != nil {
		return err
	}
	defer s.kill()
	return l.check(s, fmt.Sprintf("cycle %d (-at %s)", cycle, moment))
}

// start starts the server, which must not take long.
func (l *loop) start(cycle int) (*server, error) {
	s, err := startServer(l.ctx, l.config, l.root)
	if err != nil {
		return nil, &violations{where: fmt.Sprintf("%s, cycle %d", l.name, cycle), found: []string{err.Error()}}
	}
	l.slowest = max(l.slowest, s.took)
	if s.took > slowStart {
		s.kill()
		return nil, &violations{fmt.Sprintf("%s, cycle %d", l.name, cycle), []string{fmt.Sprintf("the start took %v", s.took)}, s.tail()}
	}
	return s, nil
}

// work has the pushers push, and ends the server when the moment has come. The
// images that they pushed are kept for the check.
func (l *loop) work(s *server, cycle int) (moment string, err error) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	load := newLoad(ctx, newClient(s.base), l.model, l.seed+uint64(cycle))
	defer load.client.close()
	var running sync.WaitGroup
	for _, p := range l.pushers {
		p.load = load
		p.rng = rand.New(rand.NewPCG(l.seed, uint64(cycle)<<8|uint64(p.id+1)))
		running.Go(p.run)
	}
	moment = l.await(load)
	err = l.crash(s, func() { load.cutting.Store(true) })
	if err != nil {
		s.kill()
	}
	// Answers that were on their way count.
	drained := time.AfterFunc(20*time.Millisecond, cancel)
	running.Wait()
	drained.Stop()
	if err == nil && len(load.found) > 0 {
		err = &violations{fmt.Sprintf("%s, cycle %d, while pushing (-at %s)", l.name, cycle, moment), load.found, s.tail()}
	}
	for _, p := range l.pushers {
		for _, img := range p.images {
			if !slices.Contains(l.images, img) {
				l.images = append(l.images, img)
			}
		}
	}
	return moment, err
}

// moments are when to crash: after a random time, or, after that, as soon as can be
// when something was acknowledged, or was first seen.
var moments = []string{"random", "ack", "sight"}

// await returns when the moment to crash has come.
func (l *loop) await(load *load) (moment string) {
	after := func(least, most int) <-chan time.Time {
		return time.After(time.Duration(least+l.rng.IntN(most-least)) * time.Millisecond)
	}
	moment = moments[l.rng.IntN(len(moments))]
	if l.moment != "" {
		moment = l.moment
	}
	select {
	case <-after(20, 200):
	case <-l.ctx.Done():
	}
	soon, ok := map[string]chan struct{}{"ack": load.acks, "sight": load.sights}[moment]
	if !ok {
		return moment
	}
	select { // an old cue
	case <-soon:
	default:
	}
	select {
	case <-soon:
	case <-after(100, 300):
		moment += ", which did not come"
	case <-l.ctx.Done():
	}
	return moment
}

// crashAtStart kills a server that is about to mend what the crash has left.
func (l *loop) crashAtStart() error {
	s, _, err := launch(l.config, l.root)
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(l.rng.IntN(15_000)) * time.Microsecond):
	case <-l.ctx.Done():
	}
	s.kill()
	return nil
}

// check asks the server for everything, and has the pushers forget what is not
// there.
func (l *loop) check(s *server, when string) error {
	c := &checker{
		config: l.config, ctx: l.ctx, client: newClient(s.base), model: l.model,
		root: l.root, leftover: l.leftover,
	}
	defer c.client.close()
	c.run(l.images)
	l.read += c.read
	l.resumed += c.resumed
	if len(c.found) > 0 {
		return &violations{l.name + ", " + when, c.found, s.tail()}
	}
	for _, p := range l.pushers {
		p.forget()
	}
	return nil
}

// closing ends an era: the store is mended, and then has no faults, and all that
// it had.
func (l *loop) closing(cycle int) error {
	when := fmt.Sprintf("cycle %d, after fsck --repair", cycle)
	if _, _, err := fsck(l.ctx, l.config, l.root, "--repair"); err != nil {
		return err
	}
	lines, clean, err := fsck(l.ctx, l.config, l.root)
	if err != nil {
		return err
	}
	if !clean {
		return &violations{where: l.name + ", " + when, found: lines}
	}
	s, err := l.start(cycle)
	if err != nil {
		return err
	}
	err = l.check(s, when)
	if stopErr := s.stop(); err == nil && stopErr != nil {
		err = &violations{l.name + ", " + when, []string{"SIGTERM: " + stopErr.Error()}, s.tail()}
	}
	return err
}
