package container_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
)

// This program is started again as the first process of the containers that it runs.
func TestMain(m *testing.M) {
	if code, done := container.Reenter(); done {
		os.Exit(code)
	}
	if os.Getenv(asRanged) != "" {
		fmt.Fprintln(os.Stderr, becomeRanged())
		os.Exit(1)
	}
	code := m.Run()
	if folder, _ := built(); folder != os.Getenv(asUser) {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

// built is a folder with the programs that the tests need: "probe", which runs in the
// containers and needs no libraries, and "product", if that is what runs there first.
var built = sync.OnceValues(func() (string, error) {
	if folder := os.Getenv(asUser); folder != "" {
		return folder, nil
	}
	folder, err := os.MkdirTemp("", "programs")
	if err != nil {
		return "", err
	}
	for name, of := range map[string]string{"probe": "./testdata/probe", "product": product} {
		if of == "" {
			continue
		}
		build := exec.Command("go", "build", "-o", filepath.Join(folder, name), of)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			return folder, fmt.Errorf("%w: %s", err, said)
		}
	}
	return folder, nil
})

func probeProgram(t *testing.T) []byte {
	t.Helper()
	folder, err := built()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(folder, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// file is an entry of a layer. The zero kind is a regular file.
type file struct {
	tar.Header
	content string
}

func folder(name string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}}
}

func text(name, content string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: content}
}

func symlink(name, target string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}}
}

// blob is a layer with those entries.
func blob(t *testing.T, files ...file) layer.Blob {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.Size = int64(len(f.content))
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(b.Bytes())
	return layer.Blob{
		Descriptor: oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(b.Len())},
		DiffID:     d,
		Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
	}
}

// image has the probe, a world that it can live in, and further layers.
func image(t *testing.T, layers ...layer.Blob) container.Image {
	t.Helper()
	probe := text("probe", string(probeProgram(t)))
	probe.Mode = 0o755
	tmp := folder("tmp")
	tmp.Mode = 0o1777
	base := blob(t, probe, folder("etc"), tmp,
		text("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"),
		text("etc/group", "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"))
	return container.Image{Layers: append([]layer.Blob{base}, layers...)}
}

// world is a store, and what containers in it said.
type world struct {
	t      *testing.T
	store  *container.Store
	dir    string
	canary string // a folder of this machine that nobody may change
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: filepath.Join(dir, "run"), canary: filepath.Join(dir, "canary")}
	var err error
	if w.store, err = container.Open(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(w.canary, "folder"), 0o755), os.WriteFile(filepath.Join(w.canary, "file"), []byte("canary\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if product != "" {
		folder, err := built()
		if err != nil {
			t.Fatal(err)
		}
		w.store.Execute(filepath.Join(folder, "product"))
	}
	before := w.surroundings()
	t.Cleanup(func() {
		if after := w.surroundings(); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
	})
	return w
}

// surroundings is what no container may change: the canary, the mounts of this
// machine, its control groups and processes, and the list of containers.
func (w *world) surroundings() string {
	var b strings.Builder
	err := filepath.WalkDir(w.canary, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode(), info.ModTime(), info.Size(), info.Sys().(*syscall.Stat_t).Uid)
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%q %v\n", content, err)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	containers, err := os.ReadDir(filepath.Join(w.dir, "containers"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range containers {
		fmt.Fprintln(&b, "container", c.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, w.dir) {
			b.WriteString(line)
		}
	}
	for _, group := range w.groups() {
		fmt.Fprintln(&b, "group", group)
	}
	for _, child := range children(w.t) {
		fmt.Fprintln(&b, "process", child)
	}
	return b.String()
}

// groups are the control groups of this store's containers.
func (w *world) groups() (all []string) {
	st, err := os.Stat(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	for _, pattern := range []string{"/sys/fs/cgroup/shibafu/", "/sys/fs/cgroup/*/shibafu/"} {
		found, err := filepath.Glob(fmt.Sprintf("%s*-%x-%x", pattern, sys.Dev, sys.Ino))
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// children are the processes that this one has started and that are there still.
func children(t *testing.T) (all []string) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		raw, _ := os.ReadFile(name) // it may have ended
		_, after, _ := strings.Cut(string(raw), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			all = append(all, string(raw))
		}
	}
	return all
}

// result is how a container ended.
type result struct {
	code           int
	err            error
	stdout, stderr string
}

// run runs a container with what it says kept.
func (w *world) run(i container.Image, spec container.Spec, args ...string) result {
	w.t.Helper()
	var out, err bytes.Buffer
	spec.Args = args
	if spec.Stdin == nil {
		spec.Stdin = strings.NewReader("")
	}
	spec.Stderr = &err
	if spec.Stdout == nil {
		spec.Stdout = &out
	}
	code, e := w.store.Run(w.t.Context(), i, spec, nil)
	return result{code, e, out.String(), err.String()}
}

// start starts a container, and returns when its main process runs. finish ends the
// container's standard input and waits for it.
func (w *world) start(i container.Image, spec container.Spec, args ...string) (finish func() result) {
	w.t.Helper()
	return w.startWriting(nil, i, spec, args...)
}

// startWriting is start with the container's output going to out, if that is not nil.
func (w *world) startWriting(out io.Writer, i container.Image, spec container.Spec, args ...string) (finish func() result) {
	w.t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	started, done := make(chan struct{}), make(chan result, 1)
	spec.Interactive, spec.Stdin, spec.Started = true, reader, func() { close(started) }
	spec.Stdout = out
	go func() { done <- w.run(i, spec, args...) }()
	select {
	case <-started:
	case r := <-done:
		w.t.Fatalf("%v: code %d, %v", args, r.code, r.err)
	}
	return func() result {
		writer.Close()
		defer reader.Close()
		return <-done
	}
}

// says runs a container that must end well, and compares what it says.
func (w *world) says(want string, i container.Image, spec container.Spec, args ...string) {
	w.t.Helper()
	if r := w.run(i, spec, args...); r.code != 0 || r.err != nil || r.stdout != want {
		w.t.Errorf("%v: code %d, %v, stderr %q; it says\n%swant\n%s", args, r.code, r.err, r.stderr, r.stdout, want)
	}
}
