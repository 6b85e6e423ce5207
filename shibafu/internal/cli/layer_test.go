package cli

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/registrytest"

	"shibafu.dev/shibafu/internal/image"
)

// folder makes one with a file in it.
func (m machine) folder(name, content string) string {
	m.Helper()
	path := filepath.Join(m.home, name)
	if err := errors.Join(os.MkdirAll(path, 0o755), os.WriteFile(filepath.Join(path, "file"), []byte(content), 0o644)); err != nil {
		m.Fatal(err)
	}
	return path
}

// tarOf is a tar with one file of somebody's.
func tarOf(t *testing.T, uid int) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Uid: uid, Gid: uid}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &out
}

// remote reads an image out of a registry.
func (m machine) remote(name string) image.Image {
	m.Helper()
	r, err := place.Access{}.Registry(name)
	if err != nil {
		m.Fatal(err)
	}
	defer r.Close()
	d, err := r.Resolve(m.Context(), r.At())
	if err != nil {
		m.Fatal(err)
	}
	i, err := image.Read(m.Context(), r, d)
	if err != nil {
		m.Fatal(err)
	}
	return i
}

func TestAssemble(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.do(0, "layer", "add", "alpine-base", m.folder("base", "base"), "--time", "0")
	m.do(0, "layer", "add", "python-runtime", m.folder("python", "python"), "--time", "2020-01-02T03:04:05Z")
	app := r.Host + "/myapp:latest"
	args := []string{"push", r.Host + "/myapp", "-q", "--layers", "alpine-base,python-runtime",
		"--cmd", `["-c", "print(1)"]`, "--entrypoint", "python -u", "--env", "A=1", "--env", "B=", "--env", "A=2", "--label", "x=y=z",
		"--workdir", "/app/", "--user", "1000:1000", "--expose", "80", "--expose", "53/udp", "--platform", "linux/arm64"}
	digest, _ := m.do(0, args...)
	again, _ := m.do(0, args...)
	if digest != again {
		t.Errorf("the same is %s and then %s", digest, again)
	}
	i := m.remote(app)
	if got := i.Descriptor.Digest.String() + "\n"; got != digest {
		t.Errorf("the registry has %s", got)
	}
	want := `{"User":"1000:1000","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["A=2","B="],"Entrypoint":["python","-u"],` +
		`"Cmd":["-c","print(1)"],"WorkingDir":"/app","Labels":{"x":"y=z"}}`
	if got := string(m.json(i.Config.Config)); got != want {
		t.Errorf("config is %s", got)
	}
	h := i.Config.History
	if len(h) != 2 || h[0].CreatedBy != "shibafu layer alpine-base" || h[1].CreatedBy != "shibafu layer python-runtime" {
		t.Errorf("history is %+v", h)
	}
	if got := i.Config.Created.String() + " " + i.Config.Platform.String(); got != "2020-01-02 03:04:05 +0000 UTC linux/arm64" {
		t.Errorf("it is of %s", got)
	}
	// It is here too, and layers are not among the images.
	if out := m.out("images", "--digests"); strings.Count(out, "\n") != 2 || !strings.Contains(out, app) || !strings.HasSuffix(out, " "+digest) {
		t.Errorf("images: %s", out)
	}
	// A layer that goes away stays in the image.
	m.do(0, "layer", "rm", "alpine-base", "python-runtime")
	m.prints("", "layer", "ls")
	m.prints(app+" "+digest, "push", app)
}

func TestAssembleTimes(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.do(0, "layer", "add", "base", m.folder("base", "base"))
	app := r.Host + "/app:v1"
	m.do(0, "push", app, "--layers", "base")
	if i := m.remote(app); !i.Config.Created.IsZero() || !i.Config.History[0].Created.IsZero() {
		t.Errorf("a time from nowhere: %+v", i.Config)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	m.do(0, "push", app, "--layers", "base")
	if i := m.remote(app); i.Config.Created.Unix() != 1700000000 {
		t.Errorf("created %s", i.Config.Created)
	}
}

func TestLayers(t *testing.T) {
	m := newMachine(t)
	m.do(0, "layer", "add", "b", m.folder("b", "b"), "--time", "0")
	first, _ := m.do(0, "layer", "ls", "--json")
	// The same again, by another user's hand, from a tar, and with another's name.
	m.do(0, "layer", "add", "b", m.folder("b", "b"), "--time", "0", "--owner", "0:0")
	if again, _ := m.do(0, "layer", "ls", "--json"); again != first {
		t.Errorf("%s, and then %s", first, again)
	}
	m.with(t.Context(), tarOf(t, 7), 0, "layer", "add", "kept", "-")
	m.with(t.Context(), tarOf(t, 7), 0, "layer", "add", "owned", "-", "--owner", "8:8")
	m.with(t.Context(), tarOf(t, 8), 0, "layer", "add", "same", "-")
	var all []struct {
		Name, Digest, DiffID, MediaType string
		Size                            int64
	}
	out, _ := m.do(0, "layer", "ls", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	b, kept, owned, same := all[0], all[1], all[2], all[3]
	if b.Name != "b" || b.MediaType != oci.MediaTypeImageLayerGzip || b.Size == 0 || b.DiffID == b.Digest || !strings.HasPrefix(b.DiffID, "sha256:") {
		t.Errorf("%+v", b)
	}
	if kept.Digest == owned.Digest || owned.Digest != same.Digest {
		t.Errorf("owners: %+v", all)
	}
	if out := m.out("layer", "ls"); !strings.HasPrefix(out, "NAME ") || !strings.Contains(out, "\nb ") || !strings.Contains(out, b.Digest[7:19]+"\n") {
		t.Errorf("%s", out)
	}
	m.prints("b\nkept\n", "layer", "rm", "b", "kept")
}

func TestLayerErrors(t *testing.T) {
	m := newMachine(t)
	base := m.folder("base", "base")
	m.do(0, "layer", "add", "base", base)
	m.folder("whiteout/.wh.x", "")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no name", []string{"layer", "add", "../x", base}, 2, `invalid name of a layer`},
		{"a name with a slash", []string{"layer", "add", "a/b", base}, 2, `invalid name of a layer`},
		{"no folder", []string{"layer", "add", "x", m.home + "/none"}, 1, "no such file or directory"},
		{"no tar", []string{"layer", "add", "x", base + "/file"}, 1, "invalid layer"},
		{"a whiteout", []string{"layer", "add", "x", m.home + "/whiteout"}, 1, "invalid layer"},
		{"no owner", []string{"layer", "add", "x", base, "--owner", "root"}, 2, "--owner: want UID:GID"},
		{"no time", []string{"layer", "add", "x", base, "--time", "now"}, 2, "--time: want 2006"},
		{"nothing to remove", []string{"layer", "rm", "none"}, 3, "\nshibafu layer add NAME FOLDER makes one"},
		{"no such layer", []string{"push", "localhost:1/x", "--layers", "base,none"}, 3, `layer "none"`},
		{"an empty name", []string{"push", "localhost:1/x", "--layers", "base,"}, 3, `layer ""`},
		{"nothing to run it in", []string{"push", "localhost:1/x", "--cmd", "sh"}, 2, "--cmd is for an image that is put together from --layers"},
		{"no list", []string{"push", "localhost:1/x", "--layers", "base", "--cmd", "[sh]"}, 2, "want words, or a JSON list"},
		{"no variable", []string{"push", "localhost:1/x", "--layers", "base", "--env", "A"}, 2, "want NAME=value"},
		{"no label", []string{"push", "localhost:1/x", "--layers", "base", "--label", "=a"}, 2, "want key=value"},
		{"no port", []string{"push", "localhost:1/x", "--layers", "base", "--expose", "70000"}, 2, "want a port"},
		{"no path", []string{"push", "localhost:1/x", "--layers", "base", "--workdir", "x"}, 2, "begins with a slash"},
		{"a digest", []string{"push", "localhost:1/x@sha256:" + strings.Repeat("ab", 32), "--layers", "base"}, 2, "has no digest yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{t, m.home}
			_, stderr := m.do(tt.code, tt.args...)
			m.says(stderr, tt.says)
		})
	}
	// What failed has taken no name, and left nothing behind.
	if out, _ := m.do(0, "layer", "ls"); strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
	if left, _ := filepath.Glob(m.home + "/shibafu/images/uploads/layer-*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
