package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// each runs f against a fresh server of every kind and returns the results. f
// prepares, and calls measure.
func (b *bench) each(kinds []kind, f func(p *process) (result, error)) (map[kind]result, error) {
	results := map[kind]result{}
	for _, k := range kinds {
		p, err := b.launch(k, "")
		if err != nil {
			return nil, err
		}
		r, err := f(p)
		p.stop()
		os.RemoveAll(p.root)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		results[k] = r
	}
	return results, nil
}

var registries = []kind{ours, distribution, debian, crane}

// beside measures GETs on registries, and on a bare handler that serves the same
// bytes. Ours and the bare one take turns, and of each the best counts: the machine is
// not ours alone, and is not the same from one second to the next.
func (b *bench) beside(n int, setup func(p *process) (path string, body []byte, err error)) (map[kind]result, error) {
	const turns = 5
	best := map[kind]result{}
	get := func(p *process, path string, n int) error {
		r, err := p.measure(n, func() error { return p.get(path, n, 16) })
		if err != nil {
			return fmt.Errorf("%s: %w", p.kind, err)
		}
		if old, ok := best[p.kind]; !ok || r.cpu < old.cpu {
			best[p.kind] = r
		}
		return nil
	}
	var mine *process
	var minePath string
	for _, k := range registries {
		p, err := b.launch(k, "")
		if err != nil {
			return nil, err
		}
		defer p.stop()
		path, body, err := setup(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if k == ours {
			mine, minePath = p, path
			if err := os.WriteFile(filepath.Join(b.work, "body"), body, 0o644); err != nil {
				return nil, err
			}
			continue
		}
		n := n
		if k == distribution || k == debian {
			n /= 20 // or they take all the time there is
		}
		for range 3 {
			if err := get(p, path, n); err != nil {
				return nil, err
			}
		}
		best[k].print()
	}
	handler, err := b.launch(bare, b.work, filepath.Join(b.work, "body"))
	if err != nil {
		return nil, err
	}
	defer handler.stop()
	for range turns {
		if err := errors.Join(get(mine, minePath, n), get(handler, minePath, n)); err != nil {
			return nil, err
		}
	}
	best[ours].print()
	best[bare].print()
	return best, nil
}

func (b *bench) manifestGet() error {
	best, err := b.beside(b.count(40_000), func(p *process) (string, []byte, error) {
		raw, err := b.pushImage(p, "bench", "latest", 5, 1024, false)
		return "/v2/bench/manifests/latest", raw, err
	})
	if err != nil {
		return err
	}
	b.atMost("CPU of a request / bare handler", best[ours].perRequest()/best[bare].perRequest(), 1.4)
	b.atLeast("rate / distribution", best[ours].rate()/best[distribution].rate(), 7)
	return nil
}

func (b *bench) blobGet() error {
	best, err := b.beside(b.count(20_000), func(p *process) (string, []byte, error) {
		data := noise(10 << 10)
		digest, err := b.pushBytes(p, "bench", data, false)
		if err == nil {
			_, err = b.pushImage(p, "bench", "latest", 1, 16, false)
		}
		return "/v2/bench/blobs/" + digest, data, err
	})
	if err != nil {
		return err
	}
	b.atMost("CPU of a request / bare handler", best[ours].perRequest()/best[bare].perRequest(), 1.4)
	fmt.Printf("  rate / distribution %.1f\n", best[ours].rate()/best[distribution].rate())
	return nil
}

// large is the size of a large layer, in MiB.
const large = 256

// largeFile makes a layer, once.
func (b *bench) largeFile() (name, digest string, err error) {
	name = filepath.Join(b.work, "large")
	data := noise(large << 20)
	return name, digestOf(data), os.WriteFile(name, data, 0o644)
}

func opener(name string) func() io.Reader {
	return func() io.Reader {
		f, err := os.Open(name)
		if err != nil {
			return strings.NewReader("")
		}
		return f
	}
}

func (b *bench) pull() error {
	name, digest, err := b.largeFile()
	if err != nil {
		return err
	}
	n := b.count(32)
	results, err := b.each(registries, func(p *process) (result, error) {
		if err := b.pushBlob(p, "bench", digest, opener(name), large<<20, false); err != nil {
			return result{}, err
		}
		path := "/v2/bench/blobs/" + digest
		if err := p.get(path, 4, 4); err != nil { // warm
			return result{}, err
		}
		r, err := p.measure(n, func() error { return p.get(path, n, 4) })
		if err == nil {
			r.printData(large)
		}
		if err == nil && p.kind == ours {
			calls, err := p.syscalls("sendfile", func() error { return p.get(path, 1, 1) })
			if err != nil {
				return r, err
			}
			fmt.Printf("  sendfile: %d calls for one pull\n", calls)
			b.atLeast("sendfile is used (calls)", float64(calls), 1)
		}
		return r, err
	})
	if err != nil {
		return err
	}
	b.atMost("CPU, s/GiB", results[ours].cpu.Seconds()/(float64(n)*large/1024), 0.25)
	b.atLeast("rate / distribution", results[ours].rate()/results[distribution].rate(), 1.25)
	return nil
}

// syscalls counts the calls of that name which p makes while f runs.
func (p *process) syscalls(names string, f func() error) (int, error) {
	out := filepath.Join(os.TempDir(), fmt.Sprintf("bench-strace-%d", os.Getpid()))
	defer os.Remove(out)
	strace := exec.Command("strace", "-f", "-qq", "-e", "trace="+names, "-o", out, "-p", strconv.Itoa(p.cmd.Process.Pid))
	if err := strace.Start(); err != nil {
		return 0, err
	}
	time.Sleep(500 * time.Millisecond) // strace says nothing when it is attached
	err := f()
	strace.Process.Signal(os.Interrupt)
	strace.Wait()
	raw, _ := os.ReadFile(out)
	return strings.Count(string(raw), "("), err
}

func (b *bench) push() error {
	name, digest, err := b.largeFile()
	if err != nil {
		return err
	}
	n := b.count(16) / 4 * 4
	for _, patch := range []bool{true, false} {
		how := map[bool]string{true: "POST-PATCH-PUT", false: "POST-PUT"}[patch]
		fmt.Printf("  %s\n", how)
		results, err := b.each(registries, func(p *process) (result, error) {
			// The same layer again and again, into one repository after the other: so the page
			// cache is given the same memory again. To take new memory from the host costs a
			// virtual machine more than all that is measured here.
			r, err := p.measure(n, func() error {
				for i := range n {
					if err := b.pushBlob(p, "bench/"+strconv.Itoa(i), digest, opener(name), large<<20, patch); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				r.printData(large)
			}
			return r, err
		})
		if err != nil {
			return err
		}
		b.atMost(how+": CPU, s/GiB", results[ours].cpu.Seconds()/(float64(n)*large/1024), 1.5)
		b.atLeast(how+": rate / distribution", results[ours].rate()/results[distribution].rate(), 1.4)
		b.atMost(how+": peak memory, MiB", results[ours].peak, 32)
	}
	return nil
}

func (b *bench) images() error {
	n := b.count(400)
	run := func(p *process, n int) error {
		var next atomic.Int64
		return parallel(8, func(client int) error {
			for {
				i := int(next.Add(1))
				if i > n {
					return nil
				}
				if _, err := b.pushImage(p, "bench/"+strconv.Itoa(client), strconv.Itoa(i), 5, 10<<10, false); err != nil {
					return err
				}
			}
		})
	}
	results, err := b.each(registries, func(p *process) (result, error) {
		count := n
		if p.kind == distribution || p.kind == debian {
			count = n / 4
		}
		r, err := p.measure(count, func() error { return run(p, count) })
		if err != nil {
			return r, err
		}
		r.print()
		calls, err := p.syscalls("fsync,fdatasync,syncfs", func() error { return run(p, 40) })
		if err == nil {
			fmt.Printf("  %-16s %10.1f fsync, fdatasync and syncfs an image\n", p.kind, float64(calls)/40)
		}
		return r, err
	})
	if err != nil {
		return err
	}
	b.atLeast("rate / distribution", results[ours].rate()/results[distribution].rate(), 4)
	return nil
}

func (b *bench) tag() error {
	n := b.count(4_000)
	results, err := b.each(registries, func(p *process) (result, error) {
		var manifests [2][]byte
		for i := range manifests {
			var err error
			if manifests[i], err = b.pushImage(p, "bench", "t"+strconv.Itoa(i), 1, 16, false); err != nil {
				return result{}, err
			}
		}
		r, err := p.measure(n, func() error {
			return parallel(8, func(client int) error {
				for i := range n / 8 {
					if err := b.putManifest(p, "bench", "moving-"+strconv.Itoa(client), manifests[i%2]); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err == nil {
			r.print()
		}
		return r, err
	})
	if err != nil {
		return err
	}
	b.atLeast("rate / distribution", results[ours].rate()/results[distribution].rate(), 3)
	return nil
}
