package layer_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/step6-client/layer"
)

// stack unpacks the layers of scripts, the lowest first, each with those below it,
// into folders called 0, 1 and so on, and returns their paths, the topmost first.
func (h *host) stack(scripts ...string) (folders []string) {
	h.t.Helper()
	for i, s := range scripts {
		path := fmt.Sprintf("%s/%d", h.store, i)
		b := plain(archive(h.t, strings.ReplaceAll(s, "CANARY", h.canary)))
		if err := layer.Unpack(h.t.Context(), path, b, layer.Options{UserXattr: true, Lower: folders}); err != nil {
			h.t.Fatal(err)
		}
		folders = slices.Insert(folders, 0, path)
	}
	return folders
}

// folder describes a folder in a tree: its mode, its time and the image's attributes.
func folder(t *testing.T, path string) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%o %d", st.Mode&0o7777, st.Mtim.Sec)
	for attribute := range strings.FieldsSeq(xattrs(t, path)) {
		if !strings.HasPrefix(attribute, "user.overlay.") {
			line += " " + attribute
		}
	}
	return line
}

// A folder that the uppermost layer leaves out looks as below.
func TestLower(t *testing.T) {
	const isNew = "755 1700000000"
	for _, tt := range []struct {
		name   string
		layers []string
		folder string
		want   string
	}{
		{"no layer has it", []string{"f x 1", "f a/b 2"}, "a", isNew},
		{"the layer below has it", []string{"d a 1777 user.k=v", "f a/b 2"}, "a", `1777 1023 user.k="v"`},
		{"a folder in a folder", []string{"d a 711\nd a/b 750", "f a/b/c 2"}, "a/b", "750 488"},
		{"and the one above it", []string{"d a 711\nd a/b 750", "f a/b/c 2"}, "a", "711 457"},
		{"of two the upper counts", []string{"d a 711", "d a 750", "f a/b 2"}, "a", "750 488"},
		{"one between left it out too", []string{"d a 711", "f a/x 1", "f a/b 2"}, "a", "711 457"},
		{"one between has nothing there", []string{"d a 711", "f x 1", "f a/b 2"}, "a", "711 457"},
		{"it is listed", []string{"d a 711", "d a 750\nf a/b 2"}, "a", "750 488"},
		{"it is listed behind what is in it", []string{"d a 711", "f a/b 2\nd a 750"}, "a", "750 488"},
		{"it was listed, and replaced", []string{"d a 711", "d a 750\nf a 1\nf .wh.x\nd a 700\nf a/b 2"}, "a", "700 448"},
		{"a layer that removes it", []string{"d a 711", "f .wh.a", "f a/b 2"}, "a", isNew},
		{"a layer that removes it and has it anew", []string{"d a 711\nd a/b 700", "f .wh.a\nd a 750", "f a/b/c 2"}, "a", "750 488"},
		{"what was in the one removed", []string{"d a 711\nd a/b 700", "f .wh.a\nd a 750", "f a/b/c 2"}, "a/b", isNew},
		{"an opaque folder between", []string{"d a 711\nd a/b 700", "d a 750\nf a/.wh..wh..opq", "f a/b/c 2"}, "a/b", isNew},
		{"an opaque root between", []string{"d a 711", "f .wh..wh..opq", "f a/b 2"}, "a", isNew},
		{"an opaque root between that has it", []string{"d a 711", "f .wh..wh..opq\nd a 750", "f a/b 2"}, "a", "750 488"},
		{"the layer's own opaque folder, of itself", []string{"d a 711\nd a/b 700", "f a/.wh..wh..opq\nf a/b/c 2"}, "a", "711 457"},
		{"the layer's own opaque folder, of what is in it", []string{"d a 711\nd a/b 700", "f a/.wh..wh..opq\nf a/b/c 2"}, "a/b", isNew},
		{"the same, told at the end", []string{"d a 711\nd a/b 700", "f a/b/c 2\nf a/.wh..wh..opq"}, "a/b", isNew},
		{"the layer's own opaque root", []string{"d a 711", "f a/b 2\nf .wh..wh..opq"}, "a", isNew},
		{"a file between", []string{"d a 711", "f a 1", "f a/b 2"}, "a", isNew},
		{"a file between above it", []string{"d a 711\nd a/b 700", "f a 1", "f a/b/c 2"}, "a/b", isNew},
		{"a pipe between", []string{"d a 711", "p a", "f a/b 2"}, "a", isNew},
		{"a file below", []string{"f a 1", "d a 711", "f a/b 2"}, "a", "711 457"},
		{"a link between, as in an overlay", []string{"d usr 700\nd usr/bin 711\ns bin usr/bin", "f bin/x 2"}, "bin", isNew},
		{"a link above it", []string{"d usr 700\nd usr/bin 711\ns a usr", "f a/bin/x 2"}, "a/bin", isNew},
		{"a link of the layer leads to it", []string{"d usr 700\nd usr/bin 711", "s bin usr/bin\nf bin/x 2"}, "usr/bin", "711 457"},
		{"a link to the host", []string{"s a CANARY", "f a/folder/b 2"}, "a/folder", isNew},
		{"a link to the host, relative", []string{"s a ../../canary", "f a/folder/b 2"}, "a/folder", isNew},
		{"a whiteout in it", []string{"d a 1777\nf a/x 1", "f a/.wh.x"}, "a", "1777 1023"},
		{"the root", []string{"d ./ 711 user.k=v", "f a 2"}, "", `711 457 user.k="v"`},
		{"the root that the one below left out", []string{"d ./ 711", "f b 1", "f a 2"}, "", "711 457"},
		{"the root that is listed", []string{"d ./ 711", "d ./ 750\nf a 2"}, "", "750 488"},
		{"the root that hides those below", []string{"d ./ 711", "f .wh..wh..opq"}, "", "711 457"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			folders := h.stack(tt.layers...)
			if got := folder(t, filepath.Join(folders[0], tt.folder)); got != tt.want {
				t.Errorf("%q is %s, want %s", tt.folder, got, tt.want)
			}
			var left []string
			for i := range folders {
				left = append(left, fmt.Sprint(i))
			}
			h.check(left...)
		})
	}
}

// What tells overlayfs how to merge is each layer's own.
func TestLowerMarksStayThere(t *testing.T) {
	h := newHost(t)
	folders := h.stack("d a 700\nf a/x 1", "d a 711\nf a/.wh..wh..opq\nd b 700\nf b/.wh.y", "f a/z 2\nf b/z 2")
	for _, name := range []string{"a", "b"} {
		if got := xattrs(t, filepath.Join(folders[0], name)); got != "" {
			t.Errorf("%s has%s", name, got)
		}
	}
	if isOpaque, err := layer.Opaque(folders[1] + "/a"); err != nil || !isOpaque {
		t.Errorf("the layer below: %v, %v", isOpaque, err)
	}
}

// Where root unpacks, the owner is that of below as well.
func TestLowerOwner(t *testing.T) {
	h := newHost(t)
	below := h.store + "/0"
	raw := entries(t, tar.Header{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o2770, Uid: 12, Gid: 34})
	if err := layer.Unpack(t.Context(), below, plain(raw), layer.Options{UserXattr: true}); err != nil {
		t.Fatal(err)
	}
	if err := layer.Unpack(t.Context(), h.target(), plain(archive(t, "f a/b 1")), layer.Options{UserXattr: true, Lower: []string{below}}); err != nil {
		t.Fatal(err)
	}
	want := "d a 2770 12:34 1700000000"
	if uid := os.Geteuid(); uid != 0 {
		want = fmt.Sprintf("d a 2770 %d:%d 1700000000", uid, os.Getegid())
	}
	if got := describe(t, h.target(), true); got[0] != want {
		t.Errorf("%q, want %q", got[0], want)
	}
}

// What comes out depends on the layers alone: not on when one of them was read, nor
// on when this is done.
func TestLowerIsReproducible(t *testing.T) {
	h := newHost(t)
	folders := h.stack("d a 711 user.k=v\nd a/b 750\nf a/b/x 1", "d c 700")
	times := func(root string) (all []string) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			var st syscall.Stat_t
			if err == nil {
				err = syscall.Lstat(path, &st)
			}
			if d.IsDir() {
				all = append(all, fmt.Sprintln(strings.TrimPrefix(path, root), st.Atim, st.Mtim, st.Mode))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	b := plain(archive(t, "f a/b/y 2\nd d 700\nf d/e/f 3\nf c/z 4"))
	o := layer.Options{UserXattr: true, Lower: folders}
	if err := layer.Unpack(t.Context(), h.target(), b, o); err != nil {
		t.Fatal(err)
	}
	first := times(h.target())
	for _, name := range []string{"1/c", "0/a", "0/a/b"} { // as if somebody had looked
		if err := os.Chtimes(filepath.Join(h.store, name), time.Now(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := layer.Unpack(t.Context(), h.target()+"2", b, o); err != nil {
		t.Fatal(err)
	}
	if second := times(h.target() + "2"); !slices.Equal(first, second) {
		t.Errorf("first %q, then %q", first, second)
	}
}

func TestLowerIsMissing(t *testing.T) {
	h := newHost(t)
	o := layer.Options{UserXattr: true, Lower: []string{h.store + "/nothing"}}
	if err := layer.Unpack(t.Context(), h.target(), plain(archive(t, "f a/b 1")), o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Unpack: %v", err)
	}
	h.check()
}
