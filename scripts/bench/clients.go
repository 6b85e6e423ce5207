package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// client is a program that moves images.
type client struct {
	name string
	// What it calls its program and arguments for: an image from a registry to a fresh
	// folder, from the folder of a fixture to a registry, and between registries. nil
	// where it cannot.
	pull func(from, folder string) []string
	push func(f *fixture, to string) []string
	copy func(from, to string) []string
	// rounds is how often it takes its turn, if not as often as the others.
	rounds int
}

const mine = "shibafu"

// clients are those that are compared. What they do of the same: the image ends as an
// OCI layout, its layers as they were, and each is held against its digest. What
// differs: only ours is on the disk when it returns; skopeo compresses layers, as they
// are none of gzip, where it writes them anywhere; docker unpacks what it pulls, in its
// engine, whose costs are not counted.
func (b *bench) clients() []client {
	crane, oras := filepath.Join(b.tools, "crane"), filepath.Join(b.tools, "oras")
	return []client{
		{mine,
			func(from, folder string) []string { return []string{b.shibafu, "pull", "--store", folder, from} },
			func(f *fixture, to string) []string { return []string{b.shibafu, "push", "--store", f.folder, to} },
			func(from, to string) []string { return []string{b.shibafu, "copy", from, to} }, 0},
		{"crane",
			func(from, folder string) []string { return []string{crane, "pull", "--format=oci", from, folder} },
			func(f *fixture, to string) []string { return []string{crane, "push", f.folder, to} },
			func(from, to string) []string { return []string{crane, "copy", from, to} }, 0},
		{"oras",
			func(from, folder string) []string {
				return []string{oras, "copy", "--no-tty", "--from-plain-http", "--to-oci-layout", from, folder + ":v1"}
			},
			func(f *fixture, to string) []string {
				return []string{oras, "copy", "--no-tty", "--to-plain-http", "--from-oci-layout", f.folder + "@" + f.manifest, to}
			},
			func(from, to string) []string {
				return []string{oras, "copy", "--no-tty", "--from-plain-http", "--to-plain-http", from, to}
			}, 0},
		{"skopeo",
			func(from, folder string) []string {
				return []string{"skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "docker://" + from, "oci:" + folder + ":v1"}
			},
			func(f *fixture, to string) []string {
				return []string{"skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "oci:" + f.folder, "docker://" + to}
			},
			func(from, to string) []string {
				return []string{"skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + from, "docker://" + to}
			}, 3},
		{"docker",
			func(from, folder string) []string { return []string{"docker", "pull", "-q", from} }, nil, nil, 3},
	}
}

// run is what one call of a client cost.
type run struct {
	wall, cpu time.Duration
	synced    time.Duration // wall, and what it takes until all is on the disk
	peak      float64       // MiB
}

// call runs a program to its end, and kills it if that does not come in time.
func (b *bench) call(args []string, most time.Duration) (run, error) {
	// What another has left to be written must not be waited for by this one, and a
	// child's peak starts with ours.
	if err := b.sync(); err != nil {
		return run{}, err
	}
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(b.work, "data"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	err := cmd.Run()
	r := run{wall: time.Since(begin)}
	if state := cmd.ProcessState; state != nil {
		r.cpu = state.UserTime() + state.SystemTime()
		r.peak = float64(state.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), errors.Join(err, ctx.Err()), last(said.String(), 300))
	}
	err = b.sync()
	r.synced = time.Since(begin)
	return r, err
}

// sync writes to the disk what is to be written to the file system of the stores.
func (b *bench) sync() error { return exec.Command("sync", "-f", b.work).Run() }

func last(s string, n int) string { return strings.TrimSpace(s[max(0, len(s)-n):]) }

// rounds has clients take turns, as the machine is not the same from one second to the
// next, and returns the runs of each. turn makes one of a client's.
func rounds(n int, list []client, turn func(c client, round int) (run, error)) (map[string][]run, error) {
	all := map[string][]run{}
	for i := range n {
		for at := range list {
			c := list[(at+i)%len(list)] // nobody always comes after the same one
			if c.rounds > 0 && i >= c.rounds {
				continue
			}
			r, err := turn(c, i)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			all[c.name] = append(all[c.name], r)
		}
	}
	return all, nil
}
