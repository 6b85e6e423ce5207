package layer_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step6-client/layer"
)

// again runs a test of this program in a process of its own, where that variable
// is set.
func again(t *testing.T, attr *syscall.SysProcAttr, variable string, args ...string) {
	t.Helper()
	// The folder of the program is closed to other users, the link is not.
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.count=1"}, args...)...)
	cmd.Env = append(os.Environ(), variable+"=1", "TMPDIR=/tmp", "GOCOVERDIR=")
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Everything holds for an ordinary user as well. Where the tests are run by one,
// it has been seen already.
func TestAllAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	again(t, attr, "LAYER_TEST_USER", "-test.skip=Gzip|Deterministic") // those ask the system for nothing
}

// userNamespace makes whoever runs the test root of a user namespace in which there
// is nobody else, with mounts of its own.
func userNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
}

// What Flatten makes is what the kernel shows of layers that were unpacked one by
// one: of the ways that a layer can be applied, both are the same.
func TestOverlayShowsTheSame(t *testing.T) {
	const variable = "LAYER_TEST_NAMESPACE"
	switch os.Getenv(variable) + os.Getenv("LAYER_TEST_TRUSTED") {
	case "":
		again(t, userNamespace(), variable, "-test.run=^TestOverlayShowsTheSame$")
		if os.Geteuid() == 0 {
			again(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, "LAYER_TEST_TRUSTED", "-test.run=^TestOverlayShowsTheSame$")
		}
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 0))
		scripts := []string{randomLayer(r), randomLayer(r), randomLayer(r), randomLayer(r)}
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { compareWithOverlay(t, scripts, os.Getenv(variable) != "") }) {
			t.Fatalf("the layers are\n%s", strings.Join(scripts, "\n-\n"))
		}
	}
}

// randomLayer is a layer of few names, so that they meet. It has each name once,
// and folders before what is in them, as layers do that come from a difference; but
// some folders are left out.
func randomLayer(r *rand.Rand) string {
	var b strings.Builder
	var fill func(at string, depth int)
	fill = func(at string, depth int) {
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "f %s.wh..wh..opq\n", at)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			switch r.IntN(8) {
			case 0, 1, 2:
				if depth < 3 {
					if r.IntN(2) == 0 {
						fmt.Fprintf(&b, "d %s%s %s\n", at, name, randomFolder(r))
					}
					fill(at+name+"/", depth+1)
				}
			case 3:
				fmt.Fprintf(&b, "f %s%s %d\n", at, name, r.IntN(1000))
			case 4:
				fmt.Fprintf(&b, "f %s.wh.%s\n", at, name)
			case 5:
				fmt.Fprintf(&b, "s %s%s %c\n", at, name, 'a'+rune(r.IntN(4)))
			case 6:
				switch r.IntN(4) {
				case 0:
					fmt.Fprintf(&b, "f %s.wh.%s\nd %s%s %s\n", at, name, at, name, randomFolder(r))
				case 1:
					fmt.Fprintf(&b, "f %s.wh.%s\nf %s%s/e\n", at, name, at, name)
				case 2:
					fmt.Fprintf(&b, "f %s%s/e\nf %s.wh.%s\n", at, name, at, name)
				}
			}
		}
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "d ./ %s\n", randomFolder(r))
	}
	fill("", 0)
	return b.String()
}

// randomFolder is what a layer may say of a folder.
func randomFolder(r *rand.Rand) string {
	return fmt.Sprintf("%o user.a=%d user.%c=x", 0o700|r.IntN(0o100)|0o1000*r.IntN(2), r.IntN(100), 'a'+rune(r.IntN(3)))
}

func compareWithOverlay(t *testing.T, scripts []string, userXattr bool) {
	h := newHost(t)
	var layers []layer.Blob
	empty := h.store + "/empty" // the lowest, as a layer alone cannot be mounted
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	lower := []string{empty}
	o := layer.Options{UserXattr: userXattr} // Lower grows; Flatten does not look at it
	for i, s := range scripts {
		b := plain(archive(t, s))
		layers = append(layers, b)
		path := fmt.Sprintf("%s/%d", h.store, i)
		if err := layer.Unpack(t.Context(), path, b, o); err != nil {
			t.Fatal(err)
		}
		o.Lower = slices.Insert(o.Lower, 0, path)
		isOpaque, err := layer.Opaque(path)
		if err != nil {
			t.Fatal(err)
		}
		if isOpaque {
			lower = []string{empty}
		}
		lower = slices.Insert(lower, 0, path)
	}
	if err := layer.Flatten(t.Context(), h.target(), layers, o); err != nil {
		t.Fatal(err)
	}
	data := "lowerdir=" + strings.Join(lower, ":")
	if userXattr {
		data += ",userxattr"
	}
	if err := syscall.Mount("overlay", h.canary, "overlay", 0, data); err != nil {
		t.Fatal(err)
	}
	got, want := append(describe(t, h.target(), true), describeRoot(t, h.target())), append(describe(t, h.canary, true), describeRoot(t, h.canary))
	if err := syscall.Unmount(h.canary, 0); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("flat\n%s\nthe overlay shows\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	h.check("0", "1", "2", "3", "empty", "root")
}

func describeRoot(t *testing.T, root string) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/ %o %d:%d %d%s", st.Mode&0o7777, st.Uid, st.Gid, st.Mtim.Sec, xattrs(t, root))
}

// A disk that is full says so, and gets back what was unpacked until then.
func TestDiskIsFull(t *testing.T) {
	const variable = "LAYER_TEST_FULL"
	if os.Getenv(variable) == "" {
		again(t, userNamespace(), variable, "-test.run=^TestDiskIsFull$")
		return
	}
	h := newHost(t)
	if err := syscall.Mount("tmpfs", h.store, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(h.store, 0)
	o := layer.Options{UserXattr: true}
	large := plain(archive(t, "f a 1\nf large "+strings.Repeat("x", 1<<20)))
	if err := layer.Unpack(t.Context(), h.target(), large, o); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, layer.ErrInvalid) {
		t.Errorf("Unpack: %v", err)
	}
	h.check()
	if err := layer.Unpack(t.Context(), h.target(), plain(archive(t, "f a 1")), o); err != nil {
		t.Errorf("what fits: %v", err)
	}
	h.check("root")
}

// Root of a user namespace has only the users that it was given; an image has all.
func TestOwnerInUserNamespace(t *testing.T) {
	const variable = "LAYER_TEST_OWNER"
	if os.Getenv(variable) == "" {
		again(t, userNamespace(), variable, "-test.run=^TestOwnerInUserNamespace$")
		return
	}
	raw := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Uid: 1234, Gid: 5678})
	newHost(t).refuses(plain(raw), layer.Options{UserXattr: true}, layer.ErrOwner, `entry "a": owner 1234:5678, here 1234:5678: invalid argument: this user namespace has no such user or group`)
	h := unpack(t, raw, layer.Options{Owner: func(uid, gid int) (int, int, error) { return 0, 0, nil }})
	wantTree(t, h.target(), "f a")
}

// With a range of users, as newuidmap(1) gives it, those of the image are kept, and
// whoever is beyond the range has to be somebody else.
func TestOwnersInUserNamespace(t *testing.T) {
	const variable = "LAYER_TEST_OWNERS"
	if os.Getenv(variable) == "" {
		if os.Geteuid() == 0 { // others may not give away numbers
			users := []syscall.SysProcIDMap{{Size: 1}, {ContainerID: 1, HostID: 100_000, Size: 65_536}}
			attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: users, GidMappings: users}
			again(t, attr, variable, "-test.run=^TestOwnersInUserNamespace$")
		}
		return
	}
	entry := func(kind byte, name string, uid, gid int, mode int64) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Linkname: "x", Uid: uid, Gid: gid, Mode: mode}
	}
	raw := entries(t, entry(tar.TypeDir, "a/", 1234, 5678, 0o700), entry(tar.TypeReg, "a/b", 65_536, 65_536, 0o4711),
		entry(tar.TypeSymlink, "a/c", 65_535, 1, 0o777), entry(tar.TypeDir, "d/", 1000, 1000, 0))
	h := newHost(t)
	lower := h.store + "/0"
	if err := layer.Unpack(t.Context(), lower, plain(raw), layer.Options{UserXattr: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"d a 700 1234:5678 1700000000", "d d 0 1000:1000 1700000000", "f a/b 4711 65536:65536 1700000000", "s a/c x 777 65535:1 1700000000"}
	if got := describe(t, lower, true); !slices.Equal(got, want) {
		t.Errorf("the layer is %q, want %q", got, want)
	}
	o := layer.Options{UserXattr: true, Lower: []string{lower}}
	if err := layer.Unpack(t.Context(), h.target(), plain(archive(t, "f d/e 1")), o); err != nil {
		t.Fatal(err)
	}
	if got := describe(t, h.target(), true); !strings.HasPrefix(got[0], "d d 0 1000:1000 ") {
		t.Errorf("the layer above is %q", got)
	}
	for _, path := range []string{lower, h.target()} {
		if err := layer.Remove(path); err != nil {
			t.Error(err)
		}
	}
	h.check()

	beyond := plain(entries(t, entry(tar.TypeReg, "a", 0, 0, 0o644), entry(tar.TypeReg, "b", 65_537, 0, 0o644)))
	h.refuses(beyond, layer.Options{UserXattr: true}, layer.ErrOwner, `entry "b": owner 65537:0, here 65537:0: invalid argument: this user namespace has no such user or group`)
	nobody := func(uid, gid int) (int, int, error) { return min(uid, 65_534), min(gid, 65_534), nil }
	if err := layer.Unpack(t.Context(), h.target(), beyond, layer.Options{UserXattr: true, Owner: nobody}); err != nil {
		t.Error(err)
	}
	h.check("root")
}
