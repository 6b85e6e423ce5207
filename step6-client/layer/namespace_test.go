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
		scripts := []string{randomLayer(r), randomLayer(r), randomLayer(r)}
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { compareWithOverlay(t, scripts, os.Getenv(variable) != "") }) {
			t.Fatalf("the layers are\n%s", strings.Join(scripts, "\n-\n"))
		}
	}
}

// randomLayer is a layer of few names, so that they meet. It has each name once,
// and folders before what is in them, as layers do that come from a difference.
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
					fmt.Fprintf(&b, "d %s%s\n", at, name)
					fill(at+name+"/", depth+1)
				}
			case 3:
				fmt.Fprintf(&b, "f %s%s %d\n", at, name, r.IntN(1000))
			case 4:
				fmt.Fprintf(&b, "f %s.wh.%s\n", at, name)
			case 5:
				fmt.Fprintf(&b, "s %s%s %c\n", at, name, 'a'+rune(r.IntN(4)))
			case 6:
				if r.IntN(2) == 0 {
					fmt.Fprintf(&b, "f %s.wh.%s\nd %s%s\n", at, name, at, name)
				}
			}
		}
	}
	fill("", 0)
	return b.String()
}

func compareWithOverlay(t *testing.T, scripts []string, userXattr bool) {
	h := newHost(t)
	var layers []layer.Blob
	empty := h.store + "/empty" // the lowest, as a layer alone cannot be mounted
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	lower := []string{empty}
	o := layer.Options{UserXattr: userXattr}
	for i, s := range scripts {
		b := plain(archive(t, s))
		layers = append(layers, b)
		path := fmt.Sprintf("%s/%d", h.store, i)
		if err := layer.Unpack(t.Context(), path, b, o); err != nil {
			t.Fatal(err)
		}
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
	got, want := describe(t, h.target(), true), describe(t, h.canary, true)
	if err := syscall.Unmount(h.canary, 0); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("flat\n%s\nthe overlay shows\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	h.check("0", "1", "2", "empty", "root")
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
	newHost(t).refuses(plain(raw), layer.Options{UserXattr: true}, syscall.EINVAL, `entry "a": owner 1234:5678, here 1234:5678: invalid argument`)
	h := unpack(t, raw, layer.Options{Owner: func(uid, gid int) (int, int, error) { return 0, 0, nil }})
	wantTree(t, h.target(), "f a")
}
