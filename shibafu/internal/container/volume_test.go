package container_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/inside"
)

// shared is a folder with a file in it, that containers may change.
func shared(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/sub/deep", 0o755), os.WriteFile(dir+"/file", []byte("shared\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func volumes(pairs ...string) (all []inside.Volume) {
	for n := 0; n < len(pairs); n += 2 {
		target, ro := strings.CutSuffix(pairs[n+1], ":ro")
		all = append(all, inside.Volume{Source: pairs[n], Target: target, ReadOnly: ro})
	}
	return all
}

func TestVolumes(t *testing.T) {
	w, dir := newWorld(t), shared(t)
	const ro = "read-only file system"
	i := image(t, blob(t, folder("links"), symlink("links/tmp", "/tmp"), symlink("links/up", "../../../../tmp"), symlink("links/none", "/none"), symlink("links/proc", "/proc/self"), symlink("links/descriptor", "/proc/self/fd/3"), text("file", "")))
	for _, tt := range []struct {
		name    string
		volumes []inside.Volume
		args    []string
		want    string
	}{
		{"a folder", volumes(dir, "/data"), []string{"cat", "/data/file"}, "shared\n"},
		{"a folder, for reading", volumes(dir, "/data:ro"), []string{"write", "/data/file", "/data/new", "/data/sub/x"}, "/data/file " + ro + "\n/data/new " + ro + "\n/data/sub/x " + ro + "\n"},
		{"one in another", volumes(dir, "/data:ro", w.canary, "/data/sub:ro"), []string{"cat", "/data/file", "/data/sub/file"}, "shared\ncanary\n"},
		{"one in another that has no place for it", volumes(dir, "/data", w.canary, "/data/made/here:ro"), []string{"cat", "/data/made/here/file"}, "canary\n"},
		{"a file", volumes(dir+"/file", "/a/b/c"), []string{"cat", "/a/b/c"}, "shared\n"},
		{"a file in the place of another", volumes(dir+"/file", "/etc/hosts"), []string{"cat", "/etc/hosts"}, "shared\n"},
		{"through a symbolic link of the image", volumes(dir, "/links/tmp/x"), []string{"cat", "/tmp/x/file"}, "shared\n"},
		{"through one that leads up", volumes(dir, "/links/up/y"), []string{"cat", "/tmp/y/file"}, "shared\n"},
		{"a path with dots", volumes(dir, "/tmp/../tmp/./z/"), []string{"cat", "/tmp/z/file"}, "shared\n"},
		{"twice", volumes(dir, "/one", dir, "/other:ro"), []string{"write", "/one/file", "/other/file"}, "/one/file ok\n/other/file " + ro + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.says(tt.want, i, container.Spec{Volumes: tt.volumes}, append([]string{"/probe"}, tt.args...)...)
		})
	}
	for _, tt := range []struct {
		name    string
		volumes []inside.Volume
		want    string
	}{
		{"a folder onto a file", volumes(dir, "/file"), "not a directory"},
		{"a file onto a folder", volumes(dir+"/file", "/tmp"), "a file in that of a file"},
		{"onto a link to nothing", volumes(dir, "/links/none"), "no such file or directory"},
		{"a file onto a link to nothing", volumes(dir+"/file", "/links/none"), "file exists"},
		{"into /proc by a link", volumes(dir, "/links/proc"), "nothing can be put into /proc and /sys"},
		{"into /proc by a link, and further", volumes(dir, "/links/proc/task"), "nothing can be put into /proc and /sys"},
		{"by a link to a descriptor", volumes(dir, "/links/descriptor"), "too many levels of symbolic links"},
		{"into one for reading", volumes(dir, "/data:ro", w.canary, "/data/none"), "read-only file system"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.run(i, container.Spec{Volumes: tt.volumes}, "/probe", "exit", "0")
			if r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("code %d, %v; want %q", r.code, r.err, tt.want)
			}
		})
	}
}

// A volume brings no devices and no setuid programs, whatever is in it.
func TestVolumeGivesNoRights(t *testing.T) {
	if os.Geteuid() != 0 {
		return // who can have neither
	}
	w, dir := newWorld(t), shared(t)
	err := errors.Join(os.WriteFile(dir+"/suid", probeProgram(t), 0o755), os.Chmod(dir+"/suid", 0o755|os.ModeSetuid), os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755),
		syscall.Mknod(dir+"/null", syscall.S_IFCHR|0o666, 1<<8|3))
	if err != nil {
		t.Fatal(err)
	}
	spec := container.Spec{Volumes: volumes(dir, "/data"), User: "alice"}
	w.says("1000 1000 [50 1000]\n", image(t), spec, "/data/suid", "id")
	w.says("/data/null permission denied\n", image(t), spec, "/probe", "open", "/data/null")
}

// One container makes of a folder a symbolic link and back while others mount onto it
// (CVE-2021-30465): what is mounted is mounted inside, or not at all.
func TestVolumeOntoChangingTarget(t *testing.T) {
	w, dir := newWorld(t), shared(t)
	source := shared(t)
	finish := w.start(image(t), container.Spec{Volumes: volumes(dir, "/shared")}, "/probe", "flip", "/shared/sub", "10000", "/", "/proc", "/dev", "/etc", "../../../../..", "/proc/1/root", "/proc/self/fd/7", w.canary)
	for range 6 {
		r := w.run(image(t), container.Spec{Volumes: volumes(dir, "/data", source, "/data/sub")}, "/probe", "attack")
		if r.err == nil && !strings.Contains(r.stdout, "core pattern: ") {
			t.Errorf("code %d, %q", r.code, r.stdout)
		}
		for line := range strings.Lines(r.stdout) {
			if strings.HasSuffix(line, ": ok\n") {
				t.Error(line)
			}
		}
	}
	if r := finish(); r.err != nil {
		t.Errorf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
}
