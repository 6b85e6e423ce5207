package cli

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/registrytest"
)

func (m machine) inspect(args ...string) (i inspection) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.out(append([]string{"inspect", "--json"}, args...)...)), &i); err != nil {
		m.Fatal(err)
	}
	return i
}

func TestInspect(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	index, amd64 := m.image("x")
	app := r.Host + "/app:v1"
	m.do(0, "copy", m.made(), app)

	i := m.inspect(app, "--platform", "linux/amd64")
	if i.Local || i.Name != app || i.Digest.String() != index || len(i.Platforms) != 2 || i.Platforms[1].Platform != "linux/arm64" {
		t.Errorf("in the registry: %+v", i)
	}
	if i.Image == nil || i.Image.Digest.String() != amd64 || i.Image.Platform != "linux/amd64" || len(i.Image.Layers) != 1 || i.Image.Layers[0].Size != 5 || i.Image.Size <= 5 {
		t.Errorf("of it: %+v", i.Image)
	}
	m.do(0, "pull", app, "--platform", "linux/arm64")
	if i := m.inspect(app, "--platform", "linux/arm64"); !i.Local || i.Digest.String() == index || i.Image.Platform != "linux/arm64" {
		t.Errorf("here: %+v", i)
	}
	if i := m.inspect(app, "--remote"); i.Local || i.Digest.String() != index {
		t.Errorf("--remote: %+v", i)
	}
	if i := m.inspect(m.made(), "--platform", "linux/amd64"); i.Name != "x" || i.Image.Digest.String() != amd64 {
		t.Errorf("in a layout: %+v", i)
	}
	if i := m.inspect(m.made()+":x", "--platform", "all"); i.Image != nil || len(i.Platforms) != 2 {
		t.Errorf("all of it: %+v", i)
	}
	m.do(3, "inspect", app, "--remote", "--platform", "linux/s390x")
	m.do(3, "inspect", r.Host+"/none")
	_, stderr := m.do(3, "inspect", "sha256:"+strings.Repeat("ab", 32))
	m.says(stderr, "no such image")
}

// What an image says of itself is no more than text.
func TestInspectHostile(t *testing.T) {
	m := newMachine(t)
	l, err := layout.CreateFolder(t.Context(), filepath.Join(m.home, "made"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const evil = "\x1b]0;evil\x07\u009b2J\nFaked  line"
	config := m.blob(l, oci.MediaTypeImageConfig, m.json(oci.ImageConfig{
		Platform: oci.Platform{OS: evil, Architecture: evil}, Author: evil,
		Config:  oci.ContainerConfig{Env: []string{evil}, Cmd: []string{evil}, Labels: map[string]string{evil: evil}, WorkingDir: evil, User: evil},
		History: []oci.History{{CreatedBy: evil, EmptyLayer: true}},
	}))
	m.manifest(l, "x", oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: config, Annotations: map[string]string{evil: evil}})
	out := m.out("inspect", m.made())
	if strings.ContainsAny(out, "\x1b\x07\u009b") || strings.Contains(out, "\nFaked") {
		t.Errorf("%q", out)
	}
	m.says(out, "Author")
	// Nor is what an error says of it.
	_, stderr := m.do(3, "inspect", m.made(), "--platform", "linux/amd64")
	if strings.ContainsAny(stderr, "\x1b\x07\u009b") {
		t.Errorf("%q", stderr)
	}
}

func TestInspectPrints(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.do(0, "layer", "add", "base", m.folder("base", "base"), "--time", "0")
	app := r.Host + "/app:v1"
	digest := m.out("push", app, "-q", "--layers", "base", "--cmd", "sh -c x", "--env", "A=b", "--label", "k=v", "--expose", "80", "--workdir", "/w", "--user", "u")
	out := regexp.MustCompile(" +").ReplaceAllString(m.out("inspect", app), " ")
	for _, line := range []string{
		"Name " + app, "Digest " + digest[:71], "Cmd \"sh\" \"-c\" \"x\"", "Env A=b", "Labels k=v",
		"Ports 80/tcp", "Workdir /w", "User u", "History shibafu layer base", "Created 1970-01-01T00:00:00Z",
	} {
		m.says(out, line+"\n")
	}
}

// Signatures of both kinds are found, in a registry and here.
func TestInspectReferrers(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	l, err := layout.CreateFolder(t.Context(), filepath.Join(m.home, "made"), nil)
	if err != nil {
		t.Fatal(err)
	}
	config := m.blob(l, oci.MediaTypeEmptyJSON, []byte("{}"))
	artifact := oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, ArtifactType: "a/b", Config: config}
	root := m.manifest(l, "x:v1", artifact.MediaType, artifact)
	artifact.Subject = &root
	m.manifest(l, "", artifact.MediaType, artifact)
	artifact.Subject, artifact.ArtifactType = nil, "c/d"
	m.manifest(l, "x:sha256-"+root.Digest.Hex()+".sig", artifact.MediaType, artifact)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.do(0, "copy", m.made()+":x:v1", r.Host+"/x:v1", "--referrers")
	m.do(0, "pull", r.Host+"/x:v1", "--platform", "all", "--referrers")
	for _, args := range [][]string{{r.Host + "/x:v1"}, {r.Host + "/x:v1", "--remote"}, {m.made() + ":x:v1"}} {
		i := m.inspect(args...)
		if len(i.Referrers) != 1 || i.Referrers[0].ArtifactType != "a/b" || len(i.Signatures) != 1 || i.Image.ArtifactType != "a/b" {
			t.Errorf("%q: %+v", args, i)
		}
	}
	m.says(m.out("inspect", r.Host+"/x:v1"), "Signatures  sha256-"+root.Digest.Hex()+".sig\n")
}
