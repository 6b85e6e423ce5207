package layer_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/layer"
)

var owners = regexp.MustCompile(` \d+:\d+ `)

// wantDescription compares all that describe tells of a tree but the owners.
func wantDescription(t *testing.T, root string, want ...string) {
	t.Helper()
	got := describe(t, root, true)
	for i := range got {
		got[i] = owners.ReplaceAllString(got[i], " ")
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tree is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func unpack(t *testing.T, raw []byte, o layer.Options) *host {
	t.Helper()
	h := newHost(t)
	o.UserXattr = true
	if err := layer.Unpack(t.Context(), h.target(), plain(raw), o); err != nil {
		t.Fatal(err)
	}
	h.check("root")
	return h
}

func TestModesAndTimes(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	h := unpack(t, entries(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o1777, ModTime: at(1)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/suid", Mode: 0o4755, ModTime: at(2)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/none", Mode: 0, ModTime: at(3)},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "suid", Mode: 0o777, ModTime: at(4)},
		tar.Header{Typeflag: tar.TypeFifo, Name: "d/pipe", Mode: 0o622, ModTime: at(5)},
		tar.Header{Typeflag: tar.TypeLink, Name: "d/z", Linkname: "d/suid", Mode: 0o600, ModTime: at(6)}, // says nothing of the file
		tar.Header{Typeflag: tar.TypeReg, Name: "other/file", Mode: 0o644, ModTime: at(7)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/late", Mode: 0o644, ModTime: at(8)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/in/passing/file", Mode: 0o644, ModTime: at(9)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/bits", Mode: 0o100644, ModTime: at(-1)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/future", Mode: 0o644, ModTime: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/ancient", Mode: 0o644, ModTime: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)},
	), layer.Options{})
	wantDescription(t, h.target(),
		"d d 1777 1", "f d/suid 4755 2", "f d/none 0 3", "s d/link suid 777 4", "p d/pipe 622 5", "l d/z d/suid 4755 2",
		"d other 755 7", "f other/file 644 7", "f d/late 644 8", "d d/in 755 9", "d d/in/passing 755 9", "f d/in/passing/file 644 9", "f d/bits 644 -1", "f d/future 644 15032385535", "f d/ancient 644 -2147483648")
}

// What lies in a folder that nobody may write to is unpacked all the same. Root
// leaves the folder so; a user could not remove it again, and keeps his rights.
func TestFoldersThatAreClosed(t *testing.T) {
	h := unpack(t, entries(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "a/", Mode: 0},
		tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Mode: 0},
		tar.Header{Typeflag: tar.TypeDir, Name: "c/", Mode: 0o555},
		tar.Header{Typeflag: tar.TypeReg, Name: "c/d", Mode: 0o444}), layer.Options{})
	a, c := "0", "555"
	if os.Geteuid() != 0 {
		a, c = "700", "755"
	}
	wantDescription(t, h.target(), "d a "+a+" 1700000000", "f a/b 0 1700000000", "d c "+c+" 1700000000", "f c/d 444 1700000000")
}

// PAX allows times beyond what any clock shows.
func TestTimesThatOverflow(t *testing.T) {
	for value, want := range map[string]string{
		"9223372036854775807.999999999":  "15032385535",
		"-9223372036854775808":           "-2147483648",
		"-9223372036854775808.999999999": "15032385535", // wraps in the reader, and is held to what a clock can show
		"99999999999999.9999999999999":   "15032385535",
		"-0.5":                           "-1",
	} {
		wantDescription(t, unpack(t, pax("mtime", value), layer.Options{}).target(), "f a 644 "+want)
	}
}

// Links are followed by nothing that changes what they lead to, here or there.
func TestLinksAreNotFollowed(t *testing.T) {
	h := newHost(t)
	raw := entries(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o600, ModTime: time.Unix(1, 0)},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "in", Linkname: "file", Mode: 0o777, Uid: os.Geteuid(), ModTime: time.Unix(2, 0)},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: h.canary + "/file", Mode: 0o4777, Uid: os.Geteuid(), ModTime: time.Unix(3, 0),
			PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}},
		tar.Header{Typeflag: tar.TypeLink, Name: "again", Linkname: "out", Mode: 0o4777, ModTime: time.Unix(4, 0)})
	if err := layer.Unpack(t.Context(), h.target(), plain(raw), layer.Options{UserXattr: true}); err != nil {
		t.Fatal(err)
	}
	wantDescription(t, h.target(), "f file 600 1", "s in file 777 2", "s again "+h.canary+"/file 777 3", "l out again 777 3")
	h.check("root")
}

// What belongs to overlayfs or to the host's security is no business of an image.
func TestAttributes(t *testing.T) {
	records := map[string]string{
		"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.empty": "x", "SCHILY.xattr.user.bytes": "\xff=\n\x01",
		"SCHILY.xattr.trusted.overlay.redirect": "/x", "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.trusted.overlay.metacopy": "",
		"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.overlay.whiteout": "y", "SCHILY.xattr.user.overlay.redirect": "/x",
		"SCHILY.xattr.security.selinux": "x", "SCHILY.xattr.system.posix_acl_access": "x", "SCHILY.xattr.security.ima": "x",
		"SCHILY.xattr." + strings.Repeat("n", 300): "x", "LIBARCHIVE.xattr.user.c": "x",
	}
	h := unpack(t, entries(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o600, PAXRecords: records},
		tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o700, PAXRecords: records}), layer.Options{})
	const kept = ` user.a="1" user.bytes="\xff=\n\x01" user.empty="x"`
	wantDescription(t, h.target(), "f f 600 1700000000"+kept, "d d 700 1700000000"+kept)
}

// fileCapability is cap_net_raw+ep, in the form that the kernel keeps.
const fileCapability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Only root may give a file capabilities; others are told that it has none.
func TestCapability(t *testing.T) {
	var skipped []string
	raw := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "ping", Mode: 0o755, Uid: os.Geteuid(),
		PAXRecords: map[string]string{"SCHILY.xattr.security.capability": fileCapability}})
	h := unpack(t, raw, layer.Options{Skipped: func(entry, why string) { skipped = append(skipped, entry+": "+why) }})
	want, told := fmt.Sprintf(" security.capability=%q", fileCapability), "[]"
	if os.Geteuid() != 0 {
		want, told = "", "[ping: attribute security.capability: operation not permitted]"
	}
	wantDescription(t, h.target(), "f ping 755 1700000000"+want)
	if fmt.Sprint(skipped) != told {
		t.Errorf("skipped: %q, want %s", skipped, told)
	}
}

// Root makes devices where it is asked to, and nobody else can.
func TestDevices(t *testing.T) {
	var skipped []string
	h := unpack(t, archive(t, "c null 1 3\nb disk 8 1048575"), layer.Options{
		Devices: true, Skipped: func(entry, why string) { skipped = append(skipped, entry+": "+why) },
	})
	want, told := "c null 259\nb disk 4293921023", "[]"
	if os.Geteuid() != 0 {
		want, told = "", "[null: this user may not make devices disk: this user may not make devices]"
	}
	wantTree(t, h.target(), want)
	if fmt.Sprint(skipped) != told {
		t.Errorf("skipped: %q, want %s", skipped, told)
	}
}

func TestDevicesAreSkipped(t *testing.T) {
	var skipped []string
	h := unpack(t, archive(t, "f a b\nc null 1 3"), layer.Options{Skipped: func(entry, why string) { skipped = append(skipped, entry+": "+why) }})
	wantTree(t, h.target(), "f a b")
	if fmt.Sprint(skipped) != "[null: devices are not unpacked]" {
		t.Errorf("skipped: %q", skipped)
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, script := range []string{"c a 4096 0", "b a 0 1048576"} {
		newHost(t).refuses(plain(archive(t, script)), layer.Options{UserXattr: true, Devices: true}, layer.ErrInvalid, "device")
	}
}

// Root gives files to whom the image says, and others keep them.
func TestOwner(t *testing.T) {
	raw := entries(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "dir/f", Uid: 1234, Gid: 5678},
		tar.Header{Typeflag: tar.TypeDir, Name: "d", Uid: 1234, Gid: 4294967294},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "x", Uid: 1234, Gid: 5678},
		tar.Header{Typeflag: tar.TypeFifo, Name: "p", Uid: 1234, Gid: 5678})
	h := unpack(t, raw, layer.Options{})
	want := map[string]string{"dir": "0:0", "dir/f": "1234:5678", "d": "1234:4294967294", "s": "1234:5678", "p": "1234:5678"}
	for name, owner := range want {
		if os.Geteuid() != 0 {
			owner = fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(h.target()+"/"+name, &st); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d:%d", st.Uid, st.Gid); got != owner {
			t.Errorf("%s belongs to %s, want %s", name, got, owner)
		}
	}
}

// The owners of the image stand for others on the host: here all for whoever runs
// the test.
func TestOwnerIsMapped(t *testing.T) {
	asked := map[string]bool{}
	raw := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "d/a", Uid: 1234, Gid: 5678})
	unpack(t, raw, layer.Options{Owner: func(uid, gid int) (int, int, error) {
		asked[fmt.Sprintf("%d:%d", uid, gid)] = true
		return os.Geteuid(), os.Getegid(), nil
	}})
	if len(asked) != 2 || !asked["1234:5678"] || !asked["0:0"] {
		t.Errorf("asked for %v", asked)
	}
}

func TestOwnerCannotBeMapped(t *testing.T) {
	broken := errors.New("no such user here")
	raw := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Uid: 1234})
	newHost(t).refuses(plain(raw), layer.Options{UserXattr: true, Owner: func(uid, gid int) (int, int, error) {
		if uid == 1234 {
			return 0, 0, broken
		}
		return os.Geteuid(), os.Getegid(), nil
	}}, broken, "owner 1234:0")
	newHost(t).refuses(plain(raw), layer.Options{UserXattr: true, Owner: func(uid, gid int) (int, int, error) {
		return -1, -1, nil
	}}, syscall.EINVAL, "mapped to -1:-1")
}

// The trusted attribute takes root; nobody else finds out only when mounting.
func TestOpaqueTakesRoot(t *testing.T) {
	h := newHost(t)
	raw := archive(t, "d a\nf a/.wh..wh..opq")
	err := layer.Unpack(t.Context(), h.target(), plain(raw), layer.Options{})
	if os.Geteuid() != 0 {
		if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "trusted.overlay.opaque") {
			t.Errorf("Unpack: %v", err)
		}
		h.check()
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, h.target(), "d a opaque")
	h.check("root")
}

// An opaque root is told by Opaque, which overlayfs does not look at.
func TestOpaqueRoot(t *testing.T) {
	for script, want := range map[string]bool{"f .wh..wh..opq": true, "d a\nf a/.wh..wh..opq": false} {
		h := unpack(t, archive(t, script), layer.Options{})
		if got, err := layer.Opaque(h.target()); got != want || err != nil {
			t.Errorf("%q: %t, %v", script, got, err)
		}
	}
}

// An error of a layer names the layer and the entry, quoted.
func TestErrorNamesTheEntry(t *testing.T) {
	h := newHost(t)
	raw := archive(t, `f a\x1b[31m/../x y`)
	err := layer.Unpack(t.Context(), h.target(), plain(raw), layer.Options{})
	want := "layer " + digest.FromBytes(raw).String() + `: entry "a\x1b[31m/../x": invalid layer: ".." in the name`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
