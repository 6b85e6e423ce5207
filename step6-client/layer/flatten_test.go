package layer_test

import (
	"archive/tar"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step6-client/layer"
)

// flatten is a tree of the layers of scripts, the lowest first.
func flatten(t *testing.T, scripts ...string) *host {
	t.Helper()
	h := newHost(t)
	var layers []layer.Blob
	for _, s := range scripts {
		layers = append(layers, plain(archive(t, strings.ReplaceAll(s, "CANARY", h.canary))))
	}
	if err := layer.Flatten(t.Context(), h.target(), layers, layer.Options{}); err != nil {
		t.Fatal(err)
	}
	h.check("root")
	return h
}

func TestFlatten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		layers []string
		want   string
	}{
		{"no layers", nil, ""},
		{"an empty layer", []string{""}, ""},
		{"one layer", []string{"d a\nf a/b 1"}, "d a\nf a/b 1"},
		{"a file is replaced", []string{"f a 1", "f a 2"}, "f a 2"},
		{"a file is removed", []string{"f a 1\nf b 2", "f .wh.a"}, "f b 2"},
		{"what is removed was not there", []string{"f a 1", "f .wh.b"}, "f a 1"},
		{"removed, and its folder too", []string{"d d\nf d/a 1", "f d/.wh.a\nf x/y/.wh.z"}, "d d\nd x\nd x/y"},
		{"a folder is removed", []string{"d a\nf a/b 1\nf c 2", "f .wh.a"}, "f c 2"},
		{"removed and there again", []string{"f a 1", "f .wh.a", "f a 3"}, "f a 3"},
		{"removed in the layer that has it", []string{"f a 1", "f a 2\nf .wh.a"}, "f a 2"},
		{"a folder is replaced by one of that name", []string{"d a\nf a/old 1", "f .wh.a\nd a\nf a/new 2"}, "d a\nf a/new 2"},
		{"opaque hides the lower layers", []string{"d a\nf a/old 1\nd a/c", "d a\nf a/.wh..wh..opq\nf a/new 2"}, "d a\nf a/new 2"},
		{"opaque listed last hides the lower layers only", []string{"d a\nf a/old 1", "d a\nf a/new 2\nf a/.wh..wh..opq"}, "d a\nf a/new 2"},
		{"opaque at the root", []string{"d a\nf a/old 1\nf b 1", "f new 2\nf .wh..wh..opq"}, "f new 2"},
		{"opaque inside a new folder", []string{"f x 1", "d a\nf a/.wh..wh..opq\nf a/b 2\nf a/.wh.c"}, "f x 1\nd a\nf a/b 2"},
		{"opaque in a folder that is not listed", []string{"d a\nf a/old 1", "f a/.wh..wh..opq"}, "d a"},
		{"whiteouts deep inside a new folder", []string{"f x 1", "d a\nd a/b\nf a/b/.wh.c\nf a/b/d 2"}, "f x 1\nd a\nd a/b\nf a/b/d 2"},
		{"a folder over a file", []string{"f a 1", "d a\nf a/b 2"}, "d a\nf a/b 2"},
		{"a file over a folder", []string{"d a\nf a/b 1", "f a 2"}, "f a 2"},
		{"a file and a folder over a folder: the file hid it", []string{"d a\nf a/b 1", "f a 2\nd a"}, "d a"},
		{"a folder over a link, as in an overlay", []string{"d usr/bin\nf usr/bin/x 1\ns bin usr/bin", "d bin\nf bin/y 2"}, "d usr\nd usr/bin\nf usr/bin/x 1\nd bin\nf bin/y 2"},
		{"a folder over a link to the host", []string{"s a CANARY", "f a/file 2"}, "d a\nf a/file 2"},
		{"a whiteout of a link to a folder of the host", []string{"s a CANARY", "f .wh.a"}, ""},
		{"a whiteout in a link to the host", []string{"s a CANARY", "f a/.wh.file"}, "d a"},
		{"a link over a folder", []string{"d a\nf a/b 1", "s a CANARY"}, "s a CANARY"},
		{"a hard link of an upper layer", []string{"f a 1\nl b a", "f c 2\nl a c"}, "f b 1\nf a 2\nl c a"},
		{"three layers deep", []string{"d a/b\nf a/b/1 1", "d a/b\nf a/b/2 2", "f a/b/.wh.1\nf a/b/3 3"}, "d a\nd a/b\nf a/b/2 2\nf a/b/3 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := flatten(t, tt.layers...)
			wantTree(t, h.target(), strings.ReplaceAll(tt.want, "CANARY", h.canary))
		})
	}
}

// A folder is as the last layer that lists it says, and not as one that only passes
// through it; what happens in it does not change its time.
func TestFlattenKeepsFolders(t *testing.T) {
	h := newHost(t)
	old := time.Unix(1_000_000_000, 0)
	lower := entries(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, ModTime: old},
		tar.Header{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o750, ModTime: old, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "1"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "a/b/", Mode: 0o711, ModTime: old},
		tar.Header{Typeflag: tar.TypeReg, Name: "a/b/old", Mode: 0o600, ModTime: old},
		tar.Header{Typeflag: tar.TypeDir, Name: "c/", Mode: 0o711, ModTime: old})
	upper := entries(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "a/b/.wh.old"},
		tar.Header{Typeflag: tar.TypeReg, Name: "a/b/new", Mode: 0o600},
		tar.Header{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o700, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "2"}},
		tar.Header{Typeflag: tar.TypeReg, Name: "c/new", Mode: 0o600},
		tar.Header{Typeflag: tar.TypeReg, Name: "d/new", Mode: 0o600})
	if err := layer.Flatten(t.Context(), h.target(), []layer.Blob{plain(lower), plain(upper)}, layer.Options{}); err != nil {
		t.Fatal(err)
	}
	wantDescription(t, h.store,
		`d root 711 1000000000`,
		`d root/a 700 1700000000 user.a="2"`,
		`d root/a/b 711 1000000000`,
		`f root/a/b/new 600 1700000000`,
		`d root/c 711 1000000000`,
		`f root/c/new 600 1700000000`,
		`d root/d 755 1700000000`,
		`f root/d/new 600 1700000000`)
}

// A folder that was made in passing and is gone says nothing of the next that gets
// its inode.
func TestFlattenWhereInodesComeBack(t *testing.T) {
	h := newHost(t)
	folder := func(name string, mode int64) tar.Header {
		return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}
	}
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600} }
	lower := entries(t, folder("b", 0o711), folder("c", 0o711), folder("d", 0o711), file("b/old"), file("c/old"), file("d/old"))
	upper := entries(t, file("a/1/x"), file("a/2/x"), file("a/.wh..wh..opq"), file("a/1/.wh..wh..opq"), file("a/2/.wh..wh..opq"), file("a"),
		folder("b", 0o700), folder("c", 0o700), folder("d", 0o700))
	if err := layer.Flatten(t.Context(), h.target(), []layer.Blob{plain(lower), plain(upper)}, layer.Options{}); err != nil {
		t.Fatal(err)
	}
	wantDescription(t, h.target(), "f a 600 1700000000", "d b 700 1700000000", "f b/old 600 1700000000", "d c 700 1700000000", "f c/old 600 1700000000",
		"d d 700 1700000000", "f d/old 600 1700000000")
}
