package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"shibafu.dev/step6-client/layer"
)

// Layers that want to get out, or that no honest program writes: the whole layer is
// refused, and nothing is left of it.
func TestHostileIsRefused(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, tt := range []struct {
		name, script string
		want         error
		reason       string
	}{
		{"a name that climbs", `f ../../x y`, layer.ErrInvalid, `".." in the name`},
		{"a name that goes down first", `f a/../../x y`, layer.ErrInvalid, `".." in the name`},
		{"a name that climbs and stays inside: programs differ behind links", `f a/../x y`, layer.ErrInvalid, `".." in the name`},
		{"the name ..", `d ..`, layer.ErrInvalid, `".." in the name`},
		{"an absolute name that climbs", `f /../x y`, layer.ErrInvalid, `".." in the name`},

		{"through a link to itself", "s a a\nf a/x y", layer.ErrInvalid, "too many symbolic links"},
		{"through a loop of two", "s a b\ns b a\nf a/x y", layer.ErrInvalid, "too many symbolic links"},
		{"through a chain of 41 links", chain(41) + "f l0/x y", layer.ErrInvalid, "too many symbolic links"},
		{"through a chain of 41 links to nothing", chain(42) + "f l0/x y", layer.ErrInvalid, "too many symbolic links"},
		{"through a file", "f a y\nf a/x y", layer.ErrInvalid, "lies in something that is no folder"},
		{"through a link to a file", "f a y\ns b a\nf b/x y", layer.ErrInvalid, "lies in something that is no folder"},
		{"through a pipe", "p a\nf a/x y", layer.ErrInvalid, "lies in something that is no folder"},

		{"a hard link that climbs", `l a ../../canary/file`, layer.ErrInvalid, `".." in the name`},
		{"a hard link to a file of the host", `l a CANARY/file`, layer.ErrInvalid, "no file listed before"},
		{"a hard link through a link to the host", "s d CANARY\nl a d/file", layer.ErrInvalid, "no file listed before"},
		{"a hard link through a link that climbs", "s d ../../canary\nl a d/file", layer.ErrInvalid, "no file listed before"},
		{"a hard link through a link that stays inside", "d e\nf e/file y\ns d e\nl a d/file", layer.ErrInvalid, "no file listed before"},
		{"a hard link to a later file", "l a b\nf b y", layer.ErrInvalid, "no file listed before"},
		{"a hard link to nothing", "l a b", layer.ErrInvalid, "no file listed before"},
		{"a hard link to a folder", "d b\nl a b", layer.ErrInvalid, "no file listed before"},
		{"a hard link to the root", "l a /", layer.ErrInvalid, "no file listed before"},
		{"a hard link to itself", "f a y\nl a a", layer.ErrInvalid, "no file listed before"},
		{"a hard link to what was removed", "f .wh.b\nl a b", layer.ErrInvalid, "no file listed before"},
		{"a hard link to what it replaces", "d a\nf a/b y\nl a a/b", layer.ErrInvalid, "no file listed before"},

		{"a whiteout of nothing", `f .wh.`, layer.ErrInvalid, "a whiteout of nothing"},
		{"a whiteout of the folder", `f a/.wh..`, layer.ErrInvalid, "a whiteout of nothing"},
		{"a whiteout of the folder above", `f a/.wh...`, layer.ErrInvalid, "a whiteout of nothing"},
		{"something in a whiteout", `f .wh.../x y`, layer.ErrInvalid, "lies in a whiteout"},
		{"something in an opaque whiteout", `f .wh..wh..opq/x y`, layer.ErrInvalid, "lies in a whiteout"},
		{"bookkeeping of AUFS", `f .wh..wh.plnk`, layer.ErrInvalid, "a whiteout of nothing"},
		{"a whiteout that is a folder", `d .wh.a`, layer.ErrInvalid, "a whiteout that is no file"},
		{"a whiteout that is a link", `s .wh.a CANARY/file`, layer.ErrInvalid, "a whiteout that is no file"},
		{"a whiteout in overlayfs's own way", `c a 0 0`, layer.ErrInvalid, "overlayfs would take for a whiteout"},

		{"a file for the root", `f . y`, layer.ErrInvalid, "the name of a folder for something else"},
		{"the root as a link", `s . CANARY`, layer.ErrInvalid, "the name of a folder for something else"},
		{"a part of 256 bytes", `f a/` + long + ` y`, layer.ErrLimit, "a part of the name has 256 bytes"},
		{"a path of 4096 bytes", `d ` + strings.Repeat("a/", 2048), layer.ErrLimit, "name of 4096 bytes"},
		{"256 folders deep", `d ` + strings.Repeat("a/", 256), layer.ErrLimit, "256 folders deep"},
		{"1000 folders deep", `d ` + strings.Repeat("a/", 1000), layer.ErrLimit, "1000 folders deep"},
		{"deep upon deep by links", "d " + deep("a", 250) + "\ns l " + deep("a", 250) + "\nd l/" + deep("b", 250) + "\ns m l/" + deep("b", 250) + "\nd m/" + deep("c", 250),
			layer.ErrLimit, "folders deep"},
		{"a symbolic link to a megabyte", `s a ` + strings.Repeat("x", 1<<18-20), layer.ErrInvalid, "symbolic link to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			raw := archive(t, strings.ReplaceAll(tt.script, "CANARY", h.canary))
			h.refuses(plain(raw), layer.Options{UserXattr: true}, tt.want, tt.reason)
		})
	}
}

// refuses has Unpack and Flatten refuse b.
func (h *host) refuses(b layer.Blob, o layer.Options, want error, reason string) {
	h.t.Helper()
	for name, err := range map[string]error{
		"Unpack":  layer.Unpack(h.t.Context(), h.target(), b, o),
		"Flatten": layer.Flatten(h.t.Context(), h.target(), []layer.Blob{b}, o),
	} {
		if !errors.Is(err, want) || !strings.Contains(err.Error(), reason) {
			h.t.Errorf("%s: %v; want %v with %q", name, err, want, reason)
			continue
		}
		var e *layer.Error
		if !errors.As(err, &e) || e.Layer != b.Descriptor.Digest {
			h.t.Errorf("%s: the error does not name the layer: %v", name, err)
		}
	}
	h.check()
}

// chain is links l0 to l1 and so on; the last leads to the folder end.
func chain(links int) string {
	var b strings.Builder
	b.WriteString("d end\n")
	for i := range links {
		if i == links-1 {
			fmt.Fprintf(&b, "s l%d end\n", i)
		} else {
			fmt.Fprintf(&b, "s l%d l%d\n", i, i+1)
		}
	}
	return b.String()
}

func deep(name string, n int) string { return strings.Repeat(name+"/", n-1) + name }

// Layers that would get out if their names were taken as the host takes them: they
// are unpacked, and what they do stays inside.
func TestHostileIsContained(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"an absolute name", `f /etc/x y`, "d etc\nf etc/x y"},
		{"an absolute name of the host", `f CANARY/file y`, "PARENTS\nf CANARY/file y"},
		{"through a link to the host", "s d CANARY\nf d/x y", "s d CANARY\nPARENTS\nf CANARY/x y"},
		{"through a link that climbs", "s d ..\nf d/x y", "s d ..\nf x y"},
		{"through a link that climbs far", "s d ../../../../../../../../tmp\nf d/x y", "s d ../../../../../../../../tmp\nd tmp\nf tmp/x y"},
		{"through a link to the process's root", "s d /proc/self/root\nf d/x y", "s d /proc/self/root\nd proc\nd proc/self\nd proc/self/root\nf proc/self/root/x y"},
		{"through a link to the working folder", "s d /proc/self/cwd/a\nf d/x y", "s d /proc/self/cwd/a\nd proc\nd proc/self\nd proc/self/cwd\nd proc/self/cwd/a\nf proc/self/cwd/a/x y"},
		{"through a link behind a link", "d a/b\ns c a/b\ns a/b/d ../x\nf c/d/y z", "d a\nd a/b\ns c a/b\ns a/b/d ../x\nd a/x\nf a/x/y z"},
		{"through a chain of 40 links", chain(40) + "f l0/x y", chain(40) + "f end/x y"},
		{"a folder through a link to the host", "s d CANARY\nd d/folder", "s d CANARY\nPARENTS\nd CANARY/folder"},
		{"a whiteout through a link to the host", "s d CANARY\nf d/.wh.file", "s d CANARY\nPARENTS\nw CANARY/file"},
		{"opaque through a link to the host", "s d CANARY\nf d/.wh..wh..opq", "s d CANARY\nPARENTS opaque"},
		{"a file in place of a link to the host", "s d CANARY/file\nf d y", "f d y"},
		{"a folder in place of a link to the host", "s d CANARY/folder\nd d\nf d/secret y", "d d opaque\nf d/secret y"},
		{"a link in place of a folder", "d d\nf d/a b\ns d CANARY/folder", "s d CANARY/folder"},
		{"a hard link to a link to the host, and a file in its place", "s s CANARY/file\nl h s\nf h y", "s s CANARY/file\nf h y"},
		{"a file, a folder, a link, a file: the last wins", "f a 1\nd a\nf a/b 2\ns a CANARY/file\nf a 3", "f a 3"},
		{"the same link twice", "f a y\nl b a\nl b a", "f a y\nl b a"},
		{"through a link that was replaced through itself", "s l .\nd l/l\nf l/x y", "d l opaque\nf l/x y"},
		{"a hard link to itself by way of a link", "f a y\ns s .\nl s/a a", "f a y\ns s ."},
		{"a hard link with an absolute target in the layer", "f etc/a y\nl b /etc/a", "d etc\nf b y\nl etc/a b"},
		{"a hard link in a layer to a symbolic link", "s s x\nl h s", "s h x\nl s h"},

		{"a whiteout of a link to a folder removes the link", "f .wh.d", "w d"},
		{"a whiteout of what the layer has", "f a y\nf .wh.a", "f a y"},
		{"the same, listed before", "f .wh.a\nf a y", "f a y"},
		{"a whiteout of a folder that the layer has", "d a\nf a/b y\nf .wh.a", "d a opaque\nf a/b y"},
		{"the same, listed before", "f .wh.a\nf a/b y", "d a opaque\nf a/b y"},
		{"the same with the folder itself", "f .wh.a\nd a\nf a/b y", "d a opaque\nf a/b y"},
		{"opaque listed last", "d a\nf a/b y\nf a/.wh..wh..opq", "d a opaque\nf a/b y"},
		{"a whiteout with content", "f .wh.a y", "w a"},
		{"a whiteout that is a hard link, as AUFS had them", "f x y\nl .wh.a x", "f x y\nw a"},

		{"pipes, which nobody opens", "p etc/passwd\np a", "d etc\np etc/passwd\np a"},
		{"devices are left out", "c dev/mem 1 1\nb sda 8 0", "d dev"},
		{"system folders as links: for whoever runs it to refuse", "s etc CANARY\ns proc /tmp\nf etc/x y", "s etc CANARY\ns proc /tmp\nPARENTS\nf CANARY/x y"},

		{"a newline", `f a\nb y`, "f a\nb y"},
		{"a backslash and a colon", `f C:\\x y`, `f C:\x y`},
		{"bytes that are no UTF-8", `f a\xff\xfe y`, "f a\xff\xfe y"},
		{"dots and slashes", "d ./\nd ./a//./b/\nf .//a/c y", "d a\nd a/b\nf a/c y"},
		{"names that look like whiteouts", "f a.wh.b y\nf .whx z", "f a.wh.b y\nf .whx z"},
		{"a part of 255 bytes", "f " + strings.Repeat("n", 255) + " y", "f " + strings.Repeat("n", 255) + " y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			raw := archive(t, strings.ReplaceAll(tt.script, "CANARY", h.canary))
			if err := layer.Unpack(t.Context(), h.target(), plain(raw), layer.Options{UserXattr: true}); err != nil {
				t.Fatal(err)
			}
			wantTree(t, h.target(), h.expand(tt.want))
			h.check("root")
		})
	}
}

// expand writes CANARY as a path in the tree, or as a link's target, and PARENTS
// as the folders of that path.
func (h *host) expand(want string) string {
	inside := strings.TrimPrefix(h.canary, "/")
	var parents []string
	for i := range len(inside) {
		if inside[i] == '/' {
			parents = append(parents, "d "+inside[:i])
		}
	}
	want = strings.ReplaceAll(want, "PARENTS", strings.Join(append(parents, "d "+inside), "\n"))
	var lines []string
	for line := range strings.Lines(want) {
		name := inside
		if strings.HasPrefix(line, "s ") {
			name = h.canary
		}
		lines = append(lines, strings.ReplaceAll(line, "CANARY", name))
	}
	return strings.Join(lines, "")
}

// What the tar package does not write.
func TestForgedHeaders(t *testing.T) {
	name := tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644}
	for _, tt := range []struct {
		name   string
		raw    []byte
		want   error
		reason string
	}{
		{"PAX path that climbs", pax("path", "../../x"), layer.ErrInvalid, `".." in the name`},
		{"PAX path with a NUL", pax("path", "a\x00b"), layer.ErrInvalid, "invalid tar header"},
		{"PAX linkpath that climbs", paxFor(tar.TypeLink, "linkpath", "../../canary/file"), layer.ErrInvalid, `".." in the name`},
		{"PAX size below zero", pax("size", "-1"), layer.ErrInvalid, "invalid tar header"},
		{"PAX size of 2^63-1", pax("size", "9223372036854775807"), layer.ErrLimit, "more than 68719476736 bytes"},
		{"PAX size beyond 63 bits", pax("size", "9223372036854775808"), layer.ErrInvalid, "invalid tar header"},
		{"PAX uid that chown takes for none", pax("uid", "4294967295"), layer.ErrInvalid, "owner 4294967295:0"},
		{"PAX uid that wraps to root", pax("uid", "4294967296"), layer.ErrInvalid, "owner 4294967296:0"},
		{"PAX gid below zero", pax("gid", "-1"), layer.ErrInvalid, "owner 0:-1"},
		{"PAX sparse format of tomorrow", pax("GNU.sparse.major", "2"), layer.ErrInvalid, "sparse format"},
		{"PAX sparse name that climbs", paxRecords(tar.TypeReg, "GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.name", "../x",
			"GNU.sparse.numblocks", "0", "GNU.sparse.map", "", "GNU.sparse.size", "0"), layer.ErrInvalid, `".." in the name`},
		{"PAX records of 300 KiB", pax("comment", strings.Repeat("x", 300<<10)), layer.ErrLimit, "bytes of PAX records"},
		{"PAX records of 2 MiB", pax("comment", strings.Repeat("x", 2<<20)), layer.ErrInvalid, "header field too long"},
		{"an attribute of 65 KiB", pax("SCHILY.xattr.user.a", strings.Repeat("x", 65<<10+1)), layer.ErrInvalid, "attribute"},
		{"a global header that renames", paxFor(tar.TypeXGlobalHeader, "path", "x"), layer.ErrInvalid, "a global header that changes path"},
		{"an entry of a type nobody knows", retype(entries(t, name), 'Z'), layer.ErrInvalid, "entry of type 'Z'"},
		{"a multi-volume entry of GNU tar", retype(entries(t, name), 'M'), layer.ErrInvalid, "entry of type 'M'"},
		{"an empty name", append(rawHeader("", tar.TypeReg, 0), make([]byte, 1024)...), layer.ErrInvalid, "empty name"},
		{"a file named as a folder: a folder to GNU tar", pax("path", "b/"), layer.ErrInvalid, "the name of a folder for something else"},
		{"a header with a wrong checksum", flip(entries(t, name), 0), layer.ErrInvalid, "invalid tar header"},
		{"an archive in an archive's end", append(entries(t, name), entries(t, name)...), layer.ErrInvalid, "something follows the end"},
		{"an archive cut in a header", entries(t, name)[:300], layer.ErrInvalid, "unexpected EOF"},
		{"no archive", []byte("hello"), layer.ErrInvalid, "unexpected EOF"},
		{"a page of HTML", bytes.Repeat([]byte("<p>hello"), 200), layer.ErrInvalid, "invalid tar header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newHost(t).refuses(plain(tt.raw), layer.Options{UserXattr: true}, tt.want, tt.reason)
		})
	}
}

func pax(key, value string) []byte { return paxFor(tar.TypeReg, key, value) }

func paxFor(kind byte, key, value string) []byte { return paxRecords(kind, key, value) }

// paxRecords is an entry "a" of that kind with records that tar.Writer would not
// write. A global header is one itself, and "a" follows it.
func paxRecords(kind byte, keysAndValues ...string) []byte {
	var records strings.Builder
	for i := 0; i < len(keysAndValues); i += 2 {
		records.WriteString(record(keysAndValues[i], keysAndValues[i+1]))
	}
	headerKind := byte(tar.TypeXHeader)
	if kind == tar.TypeXGlobalHeader {
		headerKind, kind = kind, tar.TypeReg
	}
	raw := rawHeader("pax", headerKind, records.Len())
	raw = append(raw, records.String()...)
	raw = append(raw, make([]byte, (512-len(raw)%512)%512)...)
	raw = append(raw, rawHeader("a", kind, 0)...)
	return append(raw, make([]byte, 1024)...)
}

// record is a PAX record, whose length counts itself.
func record(key, value string) string {
	size := len(key) + len(value) + 3
	for n := size; ; n++ {
		if text := fmt.Sprintf("%d %s=%s\n", n, key, value); len(text) == n {
			return text
		}
	}
}

func rawHeader(name string, kind byte, size int) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	copy(b[136:], "00000000000\x00")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	return resum(b)
}

// resum makes the checksum of a header right.
func resum(b []byte) []byte {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func retype(raw []byte, kind byte) []byte {
	raw[156] = kind
	return resum(raw)
}

func flip(raw []byte, at int) []byte {
	raw[at] ^= 1
	return raw
}
