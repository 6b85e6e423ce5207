package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fill writes a store in the layout of the distribution registry, with one
// manifest and as many tags and repositories as are asked for. Pushing them would
// take hours with some of the registries.
func fill(root string, kind kind, repositories, tags int) error {
	if kind == distribution || kind == debian {
		root = filepath.Join(root, "docker/registry/v2")
	}
	config := []byte(`{}`)
	manifest := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`, manifestType, digestOf(config)))
	write := func(path, data string) error {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(data), 0o644)
	}
	for _, blob := range [][]byte{config, manifest} {
		hex := strings.TrimPrefix(digestOf(blob), "sha256:")
		if err := write("blobs/sha256/"+hex[:2]+"/"+hex+"/data", string(blob)); err != nil {
			return err
		}
	}
	hex := strings.TrimPrefix(digestOf(manifest), "sha256:")
	layer := strings.TrimPrefix(digestOf(config), "sha256:")
	for i := range repositories {
		name := "repositories/bench"
		if repositories > 1 {
			name = fmt.Sprintf("repositories/team%02d/repo%05d", i%100, i)
		}
		if err := write(name+"/_layers/sha256/"+layer+"/link", "sha256:"+layer); err != nil {
			return err
		}
		if err := write(name+"/_manifests/revisions/sha256/"+hex+"/link", "sha256:"+hex); err != nil {
			return err
		}
		for t := range tags {
			if err := write(fmt.Sprintf("%s/_manifests/tags/v%06d/current/link", name, t), "sha256:"+hex); err != nil {
				return err
			}
		}
	}
	return nil
}

// page measures pages of 100 out of a large and a small list.
func (b *bench) page(path string, n int, large, small func(root string, k kind) error) error {
	measure := func(k kind, fill func(string, kind) error, n int) (result, time.Duration, error) {
		root, err := os.MkdirTemp(b.work, "lists")
		if err != nil {
			return result{}, 0, err
		}
		defer os.RemoveAll(root)
		if err := fill(root, k); err != nil {
			return result{}, 0, err
		}
		p, err := b.launch(k, root)
		if err != nil {
			return result{}, 0, err
		}
		defer p.stop()
		begin := time.Now()
		if err := p.get(path, 1, 1); err != nil {
			return result{}, 0, err
		}
		first := time.Since(begin)
		var best result
		for range 2 {
			r, err := p.measure(n, func() error { return p.get(path, n, 4) })
			if err != nil {
				return result{}, 0, err
			}
			if best.n == 0 || r.cpu < best.cpu {
				best = r
			}
		}
		best.print()
		return best, first, nil
	}
	many, first, err := measure(ours, large, n)
	if err != nil {
		return err
	}
	few, _, err := measure(ours, small, n)
	if err != nil {
		return err
	}
	theirs, _, err := measure(distribution, large, 8)
	if err != nil {
		return err
	}
	b.atMost("CPU of a page / of a page in 200", many.perRequest()/few.perRequest(), 1.5)
	b.atLeast("rate / distribution", many.rate()/theirs.rate(), 20)
	b.atMost("first touch, s", first.Seconds(), 1)
	return nil
}

func (b *bench) tags() error {
	return b.page("/v2/bench/tags/list?n=100&last=v000050", b.count(20_000),
		func(root string, k kind) error { return fill(root, k, 1, 100_000) },
		func(root string, k kind) error { return fill(root, k, 1, 200) })
}

func (b *bench) catalog() error {
	return b.page("/v2/_catalog?n=100", b.count(20_000),
		func(root string, k kind) error { return fill(root, k, 10_000, 1) },
		func(root string, k kind) error { return fill(root, k, 200, 1) })
}

// start measures how soon a server answers, and what it takes when it rests.
func (b *bench) start() error {
	root, err := os.MkdirTemp(b.work, "tags")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := fill(root, ours, 1, 100_000); err != nil {
		return err
	}
	empty, err := os.MkdirTemp(b.work, "empty")
	if err != nil {
		return err
	}
	measure := func(what string, k kind, root string) (started time.Duration, memory float64, err error) {
		started = time.Hour
		for range 7 {
			p, err := b.launch(k, root)
			if err != nil {
				return 0, 0, err
			}
			time.Sleep(300 * time.Millisecond)
			started, memory = min(started, p.started), p.memory("VmRSS")
			p.stop()
		}
		fmt.Printf("  %-40s starts in %6.1f ms, rests at %5.1f MiB\n", what, float64(started.Microseconds())/1000, memory)
		return started, memory, nil
	}
	theirs, _, err := measure("crane, empty", crane, empty)
	if err != nil {
		return err
	}
	if _, _, err = measure("distribution v3, empty", distribution, empty); err != nil {
		return err
	}
	ourEmpty, _, err := measure("shibafu, empty", ours, empty)
	if err != nil {
		return err
	}
	ourFull, memory, err := measure("shibafu, 100,000 tags on disk", ours, root)
	if err != nil {
		return err
	}
	b.atMost("start / crane's", ourEmpty.Seconds()/theirs.Seconds(), 1.5)
	b.atMost("start with 100,000 tags / crane's", ourFull.Seconds()/theirs.Seconds(), 1.5)
	b.atMost("idle memory with 100,000 tags, MiB", memory, 15)
	return nil
}
