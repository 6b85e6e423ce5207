package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"shibafu.dev/step6-client/registrytest"
)

func TestRemove(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	_, amd64 := m.image("x")
	app, other := r.Host+"/app:v1", r.Host+"/app:v2"
	m.do(0, "copy", m.made(), app)
	m.do(0, "copy", m.made(), other)
	m.do(0, "pull", app, "--platform", "linux/amd64")

	_, stderr := m.do(2, "rm", amd64)
	m.says(stderr, "rm takes names away")
	out, stderr := m.do(0, "rm", app)
	if out != app+"\n" {
		t.Errorf("it prints %q", out)
	}
	m.says(stderr, "shibafu prune")
	m.do(3, "rm", app)
	if dry := m.out("prune", "--dry-run"); !strings.Contains(dry, "to remove 3 blobs, ") {
		t.Errorf("%s", dry)
	}
	if gone := m.out("prune"); !strings.Contains(gone, "removed 3 blobs, ") {
		t.Errorf("%s", gone)
	}
	m.prints("removed 0 unpacked layers, 0 B\nremoved 0 unfinished downloads, 0 B\nremoved 0 blobs, 0 B\n", "prune")

	_, stderr = m.do(2, "rm", "--remote", r.Host+"/app")
	m.says(stderr, "say which tag or digest is to go")
	m.prints(app+"\n", "rm", "--remote", app)
	m.do(3, "rm", "--remote", app)
	m.prints("v2\n", "tags", r.Host+"/app")
	index := m.inspect(other).Digest.String()
	m.prints(r.Host+"/app@"+index+"\n", "rm", "--remote", r.Host+"/app@"+index)
	m.do(3, "pull", other)
}

func TestLists(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	index, amd64 := m.image("x")
	app := r.Host + "/app:v1"
	m.prints("", "images")
	m.prints("[]\n", "images", "--json")
	m.do(0, "copy", m.made(), app)
	m.prints("{\n  \"name\": \""+r.Host+"/app\",\n  \"tags\": [\n    \"v1\"\n  ]\n}\n", "tags", "--json", app)
	m.do(0, "pull", app, "--all-platforms")
	var list []imageJSON
	if err := json.Unmarshal([]byte(m.out("images", "--json")), &list); err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if i := list[0]; i.Name != app || i.Digest.String() != index || strings.Join(i.Platforms, " ") != "linux/amd64 linux/arm64" {
		t.Errorf("%+v", i)
	}
	all := list[0].Size
	m.do(0, "pull", app, "--platform", "linux/amd64")
	if err := json.Unmarshal([]byte(m.out("images", "--json")), &list); err != nil || list[0].Digest.String() != amd64 || list[0].Size >= all {
		t.Errorf("%+v, %v", list, err)
	}
}
