package container_test

import (
	"os"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/inside"
)

// What runc hides by its own example ("runc spec"), and docker besides, is hidden.
func TestHiddenPaths(t *testing.T) {
	w := newWorld(t)
	masked := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	want := strings.Join(masked, " nothing\n") + " nothing\n"
	w.says(want, image(t), container.Spec{}, append([]string{"/probe", "shows"}, masked...)...)
	w.says(want, image(t), container.Spec{HostNetwork: true}, append([]string{"/probe", "shows"}, masked...)...)
}

// With the machine's network a container has its interfaces and names, and its /sys for
// reading, but no more processes or files than another.
func TestHostNetwork(t *testing.T) {
	w := newWorld(t)
	spec := container.Spec{HostNetwork: true, Name: "me"}
	r := w.run(image(t), spec, "/probe", "namespaces")
	if r.code != 0 || r.err != nil {
		t.Fatalf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		kind, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ours, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if shared := ours == id; shared != (kind == "net") && kind != "time" && kind != "user" {
			t.Errorf("namespace %s: %s, the machine's is %s", kind, id, ours)
		}
	}
	r = w.run(image(t), spec, "/probe", "attack")
	for line := range strings.Lines(r.stdout) {
		if strings.HasSuffix(line, ": ok\n") {
			t.Error(line)
		}
	}
	if r := w.run(image(t), spec, "/probe", "writable", "/sys"); r.code != 0 || r.err != nil || r.stdout != "" {
		t.Errorf("code %d, %v, %s can be written to", r.code, r.err, r.stdout)
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	w.says(string(hosts)+"\n127.0.1.1\tme\n", image(t), spec, "/probe", "cat", "/etc/hosts")
}

// All namespaces are the container's own, but for the time and, for root, the users.
func TestNamespaces(t *testing.T) {
	w := newWorld(t)
	r := w.run(image(t), container.Spec{}, "/probe", "namespaces")
	if r.code != 0 || r.err != nil {
		t.Fatalf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
	seen := 0
	for line := range strings.Lines(r.stdout) {
		kind, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ours, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if shared := ours == id; shared != (kind == "time" || kind == "user" && os.Geteuid() == 0) {
			t.Errorf("namespace %s: %s, the machine's is %s", kind, id, ours)
		}
		seen++
	}
	if seen != 8 {
		t.Errorf("%d namespaces:\n%s", seen, r.stdout)
	}
}

// Every mount is one of those that are written down, with these attributes.
func TestMounts(t *testing.T) {
	w, dir := newWorld(t), shared(t)
	r := w.run(image(t), container.Spec{ReadOnly: true, Volumes: []inside.Volume{{Source: dir, Target: "/v", ReadOnly: true}}}, "/probe", "mounts")
	if r.code != 0 || r.err != nil {
		t.Fatalf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
	want := map[string]string{
		"/": "ro,nosuid,nodev", "/proc": "rw,nosuid,nodev,noexec", "/sys": "ro,nosuid,nodev,noexec",
		"/dev": "rw,nosuid,noexec", "/dev/pts": "rw,nosuid,noexec", "/dev/shm": "rw,nosuid,nodev,noexec", "/dev/mqueue": "rw,nosuid,nodev,noexec",
		"/v": "ro,nosuid,nodev",
	}
	for line := range strings.Lines(r.stdout) {
		fields := strings.Fields(line)
		at, attributes := fields[0], fields[2]
		switch expected, listed := want[at]; {
		case listed && attributes != expected:
			t.Errorf("%s: %s, want %s", at, attributes, expected)
		case listed:
			delete(want, at)
		case strings.HasPrefix(at, "/proc/"), strings.HasPrefix(at, "/sys/"), strings.HasPrefix(at, "/dev/"):
			if !strings.HasPrefix(attributes, "ro,nosuid,") || !strings.HasSuffix(attributes, "noexec") {
				t.Errorf("%s: %s", at, attributes)
			}
		default:
			t.Errorf("something is mounted at %s", at)
		}
	}
	for at := range want {
		t.Errorf("nothing is mounted at %s", at)
	}
}

// What one container does in memory of the kernel's, another does not see.
func TestNothingIsShared(t *testing.T) {
	w := newWorld(t)
	finish := w.start(image(t), container.Spec{}, "/probe", "leave-traces")
	r := w.run(image(t), container.Spec{}, "/probe", "traces")
	if r.code != 0 || r.err != nil || r.stdout != "abstract socket: connection refused\nshared memory: no such file or directory\nprocesses: 2\n" {
		t.Errorf("code %d, %v, %q, %q", r.code, r.err, r.stdout, r.stderr)
	}
	if r := finish(); r.err != nil || r.code != 0 {
		t.Errorf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
}
