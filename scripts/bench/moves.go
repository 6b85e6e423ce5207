package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// layerCount layers of layerSize bytes are the image that clients move.
	layerCount = 8
	layerSize  = 64 << 20
	// turns is how often each client does so.
	turns = 5
	// within is how long one may take.
	within = 2 * time.Minute
)

// image is what clients are measured with, made when it is first needed.
func (b *bench) image() (*fixture, error) {
	if b.moved == nil {
		var err error
		if b.moved, err = b.newFixture(layerCount, int64(float64(layerSize)*min(1, b.scale))); err != nil {
			return nil, err
		}
	}
	return b.moved, nil
}

// clientPull measures pulls from registries into fresh folders.
func (b *bench) clientPull() error {
	f, err := b.image()
	if err != nil {
		return err
	}
	stopDocker, err := b.dockerd()
	if err != nil {
		return err
	}
	defer stopDocker()
	for _, k := range []kind{ours, distribution} {
		p, err := b.launch(k, "")
		if err != nil {
			return err
		}
		name := p.addr + "/bench:v1"
		err = f.pushTo(b, p, "bench", "v1")
		var all map[string][]run
		if err == nil {
			all, err = rounds(turns, b.clients(), func(c client, _ int) (run, error) {
				folder := filepath.Join(b.work, "pulled")
				r, err := b.call(c.pull(name, folder), within)
				if c.name == "docker" {
					err = errors.Join(err, exec.Command("docker", "rmi", name).Run())
				}
				return r, errors.Join(err, os.RemoveAll(folder))
			})
		}
		p.stop()
		os.RemoveAll(p.root)
		if err != nil {
			return err
		}
		b.compare("from "+string(k), all, f.size, "", 1.2)
	}
	return nil
}

// clientPush measures pushes from a folder to fresh registries.
func (b *bench) clientPush() error {
	f, err := b.image()
	if err != nil {
		return err
	}
	pushers := slices.DeleteFunc(b.clients(), func(c client) bool { return c.push == nil })
	for _, k := range []kind{ours, distribution} {
		all, err := rounds(turns, pushers, func(c client, _ int) (run, error) {
			return b.toFresh(k, func(name string) ([]string, error) { return c.push(f, name), f.call(name) })
		})
		if err != nil {
			return err
		}
		b.compare("to "+string(k), all, f.size, "", 1.2)
	}
	return nil
}

// clientCopy measures copies from one registry to a fresh one.
func (b *bench) clientCopy() error {
	f, err := b.image()
	if err != nil {
		return err
	}
	copiers := slices.DeleteFunc(b.clients(), func(c client) bool { return c.copy == nil })
	for _, k := range []kind{ours, distribution} {
		p, err := b.launch(k, "")
		if err != nil {
			return err
		}
		err = f.pushTo(b, p, "bench", "v1")
		var all map[string][]run
		if err == nil {
			all, err = rounds(turns, copiers, func(c client, _ int) (run, error) {
				return b.toFresh(k, func(name string) ([]string, error) { return c.copy(p.addr+"/bench:v1", name), nil })
			})
		}
		p.stop()
		os.RemoveAll(p.root)
		if err != nil {
			return err
		}
		b.compare("between two of "+string(k), all, f.size, "crane", 1)
	}
	return nil
}

// toFresh calls what moves an image to a registry that has nothing yet.
func (b *bench) toFresh(k kind, args func(name string) ([]string, error)) (run, error) {
	p, err := b.launch(k, "")
	if err != nil {
		return run{}, err
	}
	defer os.RemoveAll(p.root)
	defer p.stop()
	list, err := args(p.addr + "/bench:v1")
	if err != nil {
		return run{}, err
	}
	return b.call(list, within)
}

// clientAgain counts the requests of a pull when nothing is there, and of the next one.
func (b *bench) clientAgain() error {
	f, err := b.newFixture(layerCount, 1<<20)
	if err != nil {
		return err
	}
	defer os.RemoveAll(f.folder)
	p, err := b.launch(ours, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(p.root)
	defer p.stop()
	if err := f.pushTo(b, p, "bench", "v1"); err != nil {
		return err
	}
	for _, c := range b.clients() {
		if c.name == "docker" {
			continue
		}
		folder := filepath.Join(b.work, "pulled")
		counts, err := countRequests(p.addr, func(addr string) error {
			_, err := b.call(c.pull(addr+"/bench:v1", folder), within)
			return err
		}, 2)
		os.RemoveAll(folder)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("  %-16s %3d requests, again %3d\n", c.name, counts[0], counts[1])
		if c.name == mine {
			b.atMost("requests of the second pull", float64(counts[1]), 3)
		}
	}
	return nil
}

// compare prints the medians of all clients, and holds ours against the rival, or
// against the best other if that is "".
func (b *bench) compare(what string, all map[string][]run, size int64, rival string, bar float64) {
	fmt.Printf("  %s, medians of %d rounds, load %s\n", what, turns, load())
	best, bestSynced := time.Hour, time.Hour
	var our run
	for _, c := range b.clients() {
		runs := all[c.name]
		if len(runs) == 0 {
			continue
		}
		m := medians(runs)
		gib := float64(size) / (1 << 30)
		fmt.Printf("  %-16s %7.3f s, on the disk %7.3f s  CPU %6.3f s/GiB  peak %5.1f MiB\n", c.name, m.wall.Seconds(), m.synced.Seconds(), m.cpu.Seconds()/gib, m.peak)
		switch {
		case c.name == mine:
			our = m
		case rival == "" || c.name == rival:
			best, bestSynced = min(best, m.wall), min(bestSynced, m.synced)
		}
	}
	if rival == "" {
		rival = "the best other"
	}
	b.atLeast("speed / that of "+rival, best.Seconds()/our.wall.Seconds(), bar)
	fmt.Printf("  %-58s %8.2f\n", "the same until it is on the disk", bestSynced.Seconds()/our.synced.Seconds())
	b.atMost("peak memory, MiB", our.peak, 64)
}

// load is the machine's: how many processes wanted to run in the last minute.
func load() string {
	raw, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}

// medians are taken of each figure by itself.
func medians(runs []run) run {
	of := func(figure func(run) float64) float64 {
		list := slices.Clone(runs)
		slices.SortFunc(list, func(a, b run) int { return cmp.Compare(figure(a), figure(b)) })
		return figure(list[len(list)/2])
	}
	return run{
		wall:   time.Duration(of(func(r run) float64 { return float64(r.wall) })),
		cpu:    time.Duration(of(func(r run) float64 { return float64(r.cpu) })),
		synced: time.Duration(of(func(r run) float64 { return float64(r.synced) })),
		peak:   of(func(r run) float64 { return r.peak }),
	}
}
