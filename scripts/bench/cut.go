package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// linkRate is 50 Mbit/s, in bytes, and linkCut how often such a link breaks.
	linkRate = 50_000_000 / 8
	linkCut  = 3 * time.Second
	// patience is how long a client may try: what it moves takes 11 seconds.
	patience = 75 * time.Second
)

// crossing is how a client fared over a link that is cut.
type crossing struct {
	client, what string
	took         time.Duration
	bytes        float64 // that passed, as a multiple of those there are
	err          error
}

func (c crossing) print() {
	how := fmt.Sprintf("%5.1f s", c.took.Seconds())
	if c.err != nil {
		how = "gives up after" + how
	}
	fmt.Printf("  %-16s %-28s %6.3f times the bytes, %s\n", c.client, c.what, c.bytes, how)
}

// clientCut has clients pull and push a layer of 64 MiB over a link that is cut. All do
// so at once: the links are slow, so none keeps another from anything.
func (b *bench) clientCut() error {
	f, err := b.newFixture(1, 64<<20)
	if err != nil {
		return err
	}
	defer os.RemoveAll(f.folder)
	var all sync.WaitGroup
	var mu sync.Mutex
	var list []crossing
	start := func(k kind, c client, what string, move func(l *link, p *process) crossing) error {
		p, err := b.launch(k, "")
		if err != nil {
			return err
		}
		l, err := newLink(p.addr, linkRate, linkCut)
		if err != nil {
			return err
		}
		all.Go(func() {
			defer os.RemoveAll(p.root)
			defer p.stop()
			defer l.close()
			r := move(l, p)
			r.client, r.what = c.name, what+string(k)
			mu.Lock()
			list = append(list, r)
			mu.Unlock()
		})
		return nil
	}
	for _, k := range []kind{ours, distribution, debian} {
		for _, c := range b.clients() {
			if c.push == nil {
				continue
			}
			err := start(k, c, "pulls from ", func(l *link, p *process) crossing { return b.crossPull(f, c, l, p) })
			if err == nil {
				err = start(k, c, "pushes to ", func(l *link, p *process) crossing { return b.crossPush(f, c, l) })
			}
			if err != nil {
				return err
			}
		}
	}
	all.Wait()
	for _, c := range list {
		c.print()
	}
	for _, c := range list {
		if c.client != mine {
			continue
		}
		bar := 1.1
		if strings.HasSuffix(c.what, " to "+string(debian)) {
			bar = 1.4 // it throws away what came before the first cut
		}
		b.atMost("bytes of a client that "+c.what, c.bound(), bar)
	}
	return nil
}

// bound is the multiple of the bytes, beyond any bar for who gave up.
func (c crossing) bound() float64 {
	if c.err != nil {
		return 1000
	}
	return c.bytes
}

func (b *bench) crossPull(f *fixture, c client, l *link, p *process) crossing {
	if err := f.pushTo(b, p, "bench", "v1"); err != nil {
		return crossing{err: err}
	}
	folder, err := os.MkdirTemp(b.work, "cut")
	if err != nil {
		return crossing{err: err}
	}
	defer os.RemoveAll(folder)
	r, err := b.call(c.pull(l.addr()+"/bench:v1", filepath.Join(folder, "pulled")), patience)
	return crossing{took: r.wall, bytes: float64(l.down.Load()) / float64(f.size), err: err}
}

func (b *bench) crossPush(f *fixture, c client, l *link) crossing {
	named, err := f.named(l.addr() + "/bench:v1")
	if err != nil {
		return crossing{err: err}
	}
	defer os.RemoveAll(named.folder)
	r, err := b.call(c.push(named, l.addr()+"/bench:v1"), patience)
	return crossing{took: r.wall, bytes: float64(l.up.Load()) / float64(f.size), err: err}
}
