package container_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/cgroup"
)

func TestForkBomb(t *testing.T) {
	w := newWorld(t)
	spec := container.Spec{Limits: cgroup.Limits{Processes: 40}}
	if os.Geteuid() != 0 {
		spec.Limits.Processes = 0 // which is the most, for a user without control groups
	}
	r := w.run(image(t), spec, "/probe", "bomb", "5000")
	if r.code != 0 || r.err != nil || !strings.Contains(r.stdout, "no more\n") {
		t.Errorf("code %d, %v, %q, %.200q", r.code, r.err, r.stdout, r.stderr)
	}
}

func TestMemoryHog(t *testing.T) {
	w := newWorld(t)
	spec := container.Spec{Limits: cgroup.Limits{Memory: 64 << 20}}
	if os.Geteuid() != 0 {
		r := w.run(image(t), spec, "/probe", "memory", "1")
		if r.code != container.CodeFailed || !errors.Is(r.err, cgroup.ErrUnavailable) {
			t.Errorf("code %d, %v", r.code, r.err)
		}
		return
	}
	w.says("used 1048576\n", image(t), spec, "/probe", "memory", "1048576")
	r := w.run(image(t), spec, "/probe", "memory", "1073741824")
	if r.code != 137 || r.err != nil || !strings.Contains(r.stderr, "its memory of 67108864 bytes was used up") {
		t.Errorf("code %d, %v, %q", r.code, r.err, r.stderr)
	}
	spec.Limits.Memory = 6 << 20
	if r := w.run(image(t), spec, "/probe", "memory", "1073741824"); r.code == 0 || !strings.Contains(r.stderr, "was used up") {
		t.Errorf("next to no memory: code %d, %v, %q", r.code, r.err, r.stderr)
	}
}

// Files that are open are the container's own problem, and so are large folders.
func TestFileHogs(t *testing.T) {
	w := newWorld(t)
	w.says("no more\n", image(t), container.Spec{}, "/probe", "descriptors")
	w.says("deep\n", image(t), container.Spec{}, "/probe", "deep", "2000")
	w.says("full\n", image(t), container.Spec{}, "/probe", "fill", "/dev/shm/x")
	w.says("full\n", image(t), container.Spec{}, "/probe", "fill", "/dev/x")
}

// A container ends when its main process does, whatever else is stopped or waits.
func TestEndsWithMainProcess(t *testing.T) {
	w := newWorld(t)
	begin := time.Now()
	w.says("left\n", image(t), container.Spec{}, "/probe", "leave")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whoever else has a file of a container, it ends with its main process.
func TestFileIsHandedOn(t *testing.T) {
	w, dir := newWorld(t), shared(t)
	finish := w.start(image(t), container.Spec{Volumes: volumes(dir, "/shared")}, "/probe", "hold", "/shared/socket")
	for _, err := os.Stat(dir + "/socket.ready"); err != nil; _, err = os.Stat(dir + "/socket.ready") {
	}
	w.says("mine\n", image(t), container.Spec{Volumes: volumes(dir, "/shared")}, "/probe", "hand", "/shared/socket")
	if r := finish(); r.code != 0 || r.err != nil || r.stdout != "held\n" {
		t.Errorf("code %d, %v, %q, %q", r.code, r.err, r.stdout, r.stderr)
	}
}

// Much output goes through as it is, without being kept anywhere.
func TestMuchOutput(t *testing.T) {
	w := newWorld(t)
	counter := &counting{}
	const bytes = 200 << 20
	code, err := w.store.Run(t.Context(), image(t), container.Spec{Args: []string{"/probe", "output", "209715200"}, Stdout: counter, Stderr: counter}, nil)
	if code != 0 || err != nil || counter.n != bytes {
		t.Errorf("code %d, %v, %d bytes", code, err, counter.n)
	}
}

type counting struct{ n int }

func (c *counting) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// When nobody reads what it writes any more, a container learns of it.
func TestReaderGoesAway(t *testing.T) {
	w := newWorld(t)
	var stderr bytes.Buffer
	code, err := w.store.Run(t.Context(), image(t), container.Spec{Args: []string{"/probe", "output", "209715200"}, Stdout: refusing{}, Stderr: &stderr}, nil)
	if code == 0 || err != nil {
		t.Errorf("code %d, %v, %q", code, err, stderr.String())
	}
}

type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, os.ErrClosed }
