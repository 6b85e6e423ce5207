package container_test

import (
	"archive/tar"
	"fmt"
	"os"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/step6-client/layer"
)

// Names, limits, bombs, forged headers and times (attempts of a layer alone) are in the
// tests of package layer; here is what comes of an image that is run.

func entry(kind byte, name, link string) file {
	return file{Header: tar.Header{Name: name, Typeflag: kind, Linkname: link, Mode: 0o666}}
}

// device is a block or character device.
func device(kind byte, name string, major, minor int64) file {
	f := entry(kind, name, "")
	f.Devmajor, f.Devminor = major, minor
	return f
}

// attributed is a file with an extended attribute.
func attributed(f file, name, value string) file {
	f.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	f.Format = tar.FormatPAX
	return f
}

func TestHostileImageIsRefused(t *testing.T) {
	w := newWorld(t)
	notTheLog := "user: read etc/passwd: not a regular file"
	if os.Geteuid() != 0 {
		notTheLog = "user: open etc/passwd: permission denied"
	}
	for _, tt := range []struct {
		name  string
		files []file
		want  string // in the error
	}{
		{"hard link to above", []file{entry(tar.TypeLink, "x", "../../../../etc/shadow")}, "../../../../etc/shadow"},
		{"hard link to the machine's file", []file{entry(tar.TypeLink, "x", w.canary+"/file")}, "which is no file listed before"},
		{"hard link through a symbolic link", []file{symlink("d", w.canary), entry(tar.TypeLink, "x", "d/file")}, "which is no file listed before"},
		{"hard link to a folder", []file{folder("d"), entry(tar.TypeLink, "x", "d")}, "layer"},
		{"whiteout of nothing", []file{text("d/.wh.", "")}, ".wh."},
		{"whiteout of the parent", []file{text("d/.wh...", "")}, ".wh..."},
		{"whiteout as a folder", []file{text(".wh.x/y", "")}, ".wh.x"},
		{"/proc is a symbolic link", []file{symlink("proc", "/tmp")}, "the image has something else than a folder as /proc"},
		{"/proc is a link to the machine", []file{symlink("proc", w.canary)}, "the image has something else than a folder as /proc"},
		{"/proc is a file", []file{text("proc", "")}, "the image has something else than a folder as /proc"},
		{"/sys is a symbolic link", []file{symlink("sys", "/")}, "the image has something else than a folder as /sys"},
		{"/dev is a symbolic link", []file{symlink("dev", w.canary)}, "the image has something else than a folder as /dev"},
		{"/dev is a link to nothing", []file{symlink("dev", "/nothing")}, "the image has something else than a folder as /dev"},
		{"/dev is a pipe", []file{entry(tar.TypeFifo, "dev", "")}, "the image has something else than a folder as /dev"},
		{"/etc is a symbolic link", []file{symlink("etc", "/")}, "the image has something else than a folder as /etc"},
		{"/etc leads out", []file{symlink("etc", "../../../../../../../etc")}, "the image has something else than a folder as /etc"},
		{"/run is a file", []file{text("run", "")}, "the image has something else than a folder as /run"},
		{"/etc/hosts is a folder", []file{folder("etc"), folder("etc/hosts")}, "/etc: replace hosts: is a directory"},
		{"/etc/passwd is a pipe", []file{folder("etc"), entry(tar.TypeFifo, "etc/passwd", "")}, "user: read etc/passwd: not a regular file"},
		{"/etc/group is a folder", []file{folder("etc"), folder("etc/group")}, "user: read etc/group: not a regular file"},
		{"/etc/passwd is the kernel's log", []file{folder("etc"), symlink("etc/passwd", "/proc/kmsg")}, notTheLog},
		{"/etc/passwd is a loop", []file{folder("etc"), symlink("etc/passwd", "passwd")}, "too many levels of symbolic links"},
		{"/etc/passwd is the runner's memory", []file{folder("etc"), symlink("etc/passwd", "/proc/self/fd/4")}, "too many levels of symbolic links"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.run(image(t, blob(t, tt.files...)), container.Spec{User: "root"}, "/probe", "echo", "it runs")
			if r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), tt.want) || r.stdout != "" {
				t.Errorf("code %d, %v, %q; want %q", r.code, r.err, r.stdout, tt.want)
			}
		})
	}
}

func TestHostileImageIsContained(t *testing.T) {
	w := newWorld(t)
	suid := text("suid", string(probeProgram(t)))
	suid.Mode = 0o4755
	capable := attributed(suid, "security.capability", "\x01\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00")
	capable.Name, capable.Mode = "capable", 0o755
	secret := folder("secret")
	for _, tt := range []struct {
		name   string
		layers [][]file
		args   []string
		want   string
	}{
		{"a file through a symbolic link", [][]file{{symlink("d", w.canary), text("d/file", "theirs\n")}}, []string{"cat", "/d/file"}, "theirs\n"},
		{"a file through one of a lower layer", [][]file{{symlink("d", w.canary)}, {text("d/file", "theirs\n")}}, []string{"cat", "/d/file"}, "theirs\n"},
		{"a file through the runner's root", [][]file{{symlink("d", "..")}, {text("d/file", "theirs\n")}}, []string{"cat", "/d/file"}, "theirs\n"},
		{"one name four times", [][]file{{text("x", "1"), folder("x"), symlink("x", w.canary+"/file"), text("x", "last\n")}}, []string{"cat", "/x"}, "last\n"},
		{"a folder hidden", [][]file{{secret, text("secret/x", "")}, {text("secret/.wh..wh..opq", ""), text("secret/y", "")}}, []string{"list", "/secret"}, "y\n"},
		{"a whiteout of a symbolic link", [][]file{{symlink("d", w.canary)}, {text(".wh.d", "")}}, []string{"links", "/d"}, "/d  no such file or directory\n"},
		{"everything hidden but the last", [][]file{{text("x", "")}, {text(".wh.x", "")}}, []string{"links", "/x"}, "/x  no such file or directory\n"},
		{"/dev/null is a symbolic link", [][]file{{folder("dev"), symlink("dev/null", w.canary+"/file")}}, []string{"write", "/dev/null", "/proc/keys"}, "/dev/null ok\n/proc/keys ok\n"},
		{"/dev/null is a folder", [][]file{{folder("dev"), folder("dev/null")}}, []string{"write", "/dev/null"}, "/dev/null ok\n"},
		{"/dev/console and /dev/pts are symbolic links", [][]file{{folder("dev"), symlink("dev/console", w.canary+"/file"), symlink("dev/pts", w.canary)}}, []string{"links", "/dev/console", "/dev/pts"}, "/dev/console  no such file or directory\n/dev/pts  invalid argument\n"},
		{"files of /etc are links to the machine's", [][]file{{folder("etc"), symlink("etc/hosts", w.canary+"/file"), symlink("etc/resolv.conf", w.canary+"/file"), symlink("etc/hostname", "/proc/self/exe")}}, []string{"write", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}, "/etc/hosts ok\n/etc/resolv.conf ok\n/etc/hostname ok\n"},
		{"/etc/hosts is a pipe", [][]file{{folder("etc"), entry(tar.TypeFifo, "etc/hosts", "")}}, []string{"write", "/etc/hosts"}, "/etc/hosts ok\n"},
		{"/.dockerenv leads out", [][]file{{symlink(".dockerenv", w.canary+"/file")}}, []string{"links", "/.dockerenv"}, "/.dockerenv " + w.canary + "/file ok\n"},
		{"overlay's attributes", [][]file{{folder("d"), text("d/x", "lower\n")}, {attributed(folder("d"), "trusted.overlay.opaque", "y"), attributed(folder("e"), "trusted.overlay.redirect", "/d")}}, []string{"cat", "/d/x"}, "lower\n"},
		{"those for users", [][]file{{folder("d"), text("d/x", "lower\n")}, {attributed(folder("d"), "user.overlay.opaque", "y"), attributed(text("f", ""), "user.overlay.metacopy", "")}}, []string{"cat", "/d/x"}, "lower\n"},
		{"a runner in the image", [][]file{{folder("usr"), folder("usr/bin"), text("usr/bin/newuidmap", "#!/probe exit"), text("usr/bin/ld.so.preload", "/evil.so")}}, []string{"echo", "well"}, "well\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var layers []layer.Blob
			for _, files := range tt.layers {
				layers = append(layers, blob(t, files...))
			}
			i := image(t, layers...)
			w.says(tt.want, i, container.Spec{}, append([]string{"/probe"}, tt.args...)...)
		})
	}
	if os.Geteuid() != 0 {
		return
	}
	for _, program := range []string{"/suid", "/capable"} {
		w.says("1000 1000 [50 1000]\n", image(t, blob(t, suid, capable)), container.Spec{User: "alice"}, program, "id")
		w.says("CapPrm 0000000000000000\nCapEff 0000000000000000\n", image(t, blob(t, suid, capable)), container.Spec{User: "alice"}, program, "status", "self", "CapPrm", "CapEff")
	}
}

// Devices of an image are left out, whoever unpacks it.
func TestHostileDevices(t *testing.T) {
	w := newWorld(t)
	i := image(t, blob(t, device(tar.TypeChar, "mem", 1, 1), device(tar.TypeBlock, "disk", 8, 0), device(tar.TypeChar, "null", 1, 3), device(tar.TypeBlock, "root", 254, 0)))
	const missing = "no such file or directory"
	w.says(fmt.Sprintf("/mem %s\n/disk %[1]s\n/null %[1]s\n/root %[1]s\n", missing), i, container.Spec{}, "/probe", "open", "/mem", "/disk", "/null", "/root")
}

// An entry point may be the runner itself (CVE-2019-5736): it is a copy in memory that
// is sealed, runs with the container's rights, and says nothing.
func TestRunnerAsEntryPoint(t *testing.T) {
	w := newWorld(t)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	script := text("script", "#!/proc/self/exe\n")
	script.Mode = 0o755
	i := image(t, blob(t, script, symlink("shibafu-container", "/proc/self/exe"), symlink("shibafu-worker", "/proc/self/exe")))
	for _, args := range [][]string{{"shibafu-container", "mapped"}, {"shibafu-worker", "mapped"}} {
		r := w.run(i, container.Spec{Env: []string{"PATH=/"}}, args...)
		if r.code == 0 || r.stdout != "" {
			t.Errorf("%v: code %d, %v, %q", args, r.code, r.err, r.stdout)
		}
	}
	w.says("/proc/1/exe permission denied\n/proc/self/exe text file busy\n", i, container.Spec{}, "/probe", "overwrite", "/proc/1/exe", "/proc/self/exe")
	now, err := os.ReadFile("/proc/self/exe")
	if err != nil || string(now) != string(self) {
		t.Errorf("the runner is another program now: %v", err)
	}
}

// A store is closed to others, who could use the setuid programs of images
// (CVE-2021-41091).
func TestStoreIsClosed(t *testing.T) {
	w := newWorld(t)
	w.says("", image(t), container.Spec{}, "/probe", "exit", "0")
	for _, folder := range []string{w.dir, w.dir + "/layers", w.dir + "/containers"} {
		if st, err := os.Stat(folder); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", folder, st.Mode(), err)
		}
	}
}
