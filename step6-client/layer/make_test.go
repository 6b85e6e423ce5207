package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
)

// tree makes a folder that has one of everything that this user can make.
func tree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(root, name) }
	must(os.MkdirAll(in("usr/bin"), 0o755))
	must(os.MkdirAll(in("a-b"), 0o700))
	must(os.MkdirAll(in("a/"+strings.Repeat("long", 40)+"/"+strings.Repeat("name", 60)), 0o755))
	must(os.WriteFile(in("a/file"), []byte("hello"), 0o640))
	must(os.WriteFile(in("a/empty"), nil, 0o600))
	must(os.WriteFile(in("usr/bin/tool"), bytes.Repeat([]byte("0123456789abcdef"), 200_000), 0o755))
	must(os.WriteFile(in("no utf-8 \xff\n"), []byte("x"), 0o644))
	must(os.WriteFile(in("a/é"), []byte("x"), 0o644))
	must(os.Symlink("usr/bin", in("bin")))
	must(os.Symlink("/nowhere", in("broken")))
	must(os.Link(in("usr/bin/tool"), in("usr/bin/same")))
	must(os.Link(in("usr/bin/tool"), in("0first")))
	must(syscall.Mkfifo(in("pipe"), 0o600))
	must(syscall.Setxattr(in("a/file"), "user.note", []byte("a\x00b"), 0))
	must(syscall.Setxattr(in("a"), "user.folder", []byte("1"), 0))
	must(syscall.Chmod(in("usr/bin/tool"), 0o4755))
	must(syscall.Chmod(in("a-b"), 0o1777))
	if os.Geteuid() == 0 {
		must(syscall.Mknod(in("null"), syscall.S_IFCHR|0o666, 259))
		must(os.Lchown(in("a/empty"), 1000, 3_000_000))
		must(os.Lchown(in("broken"), 1000, 1000))
		must(syscall.Setxattr(in("usr/bin/tool"), "security.capability", []byte(fileCapability), 0))
		must(syscall.Chmod(in("usr/bin/tool"), 0o4755))
	}
	must(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode()&os.ModeSymlink == 0 {
			err = os.Chtimes(path, now, now)
		}
		return err
	}))
	for _, link := range []string{"bin", "broken"} {
		must(exec.Command("touch", "-h", "-d", "@1600000000", in(link)).Run())
	}
	return root
}

func made(t *testing.T, dir string, o layer.MakeOptions) (layer.Made, []byte) {
	t.Helper()
	var buf bytes.Buffer
	m, err := layer.FromFolder(t.Context(), &buf, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, buf.Bytes()
}

// gunzip is the tar in a layer, by a reader that is not ours.
func gunzip(t testing.TB, raw []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false) // some readers see the first member only, so there is one
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func (h *host) blobOf(m layer.Made, raw []byte) layer.Blob {
	b := blob(m.Descriptor.MediaType, raw, nil)
	b.Descriptor, b.DiffID = m.Descriptor, m.DiffID
	return b
}

// What is made and unpacked is what was there.
func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name      string
		options   layer.MakeOptions
		mediaType string
	}{
		{"gzip", layer.MakeOptions{}, oci.MediaTypeImageLayerGzip},
		{"plain", layer.MakeOptions{Plain: true}, oci.MediaTypeImageLayer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t)
			m, raw := made(t, dir, tt.options)
			tarred := raw
			if !tt.options.Plain {
				tarred = gunzip(t, raw)
			}
			want := layer.Made{
				Descriptor: oci.Descriptor{MediaType: tt.mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
				DiffID:     digest.FromBytes(tarred), Size: int64(len(tarred)),
			}
			if got := fmt.Sprint(m); got != fmt.Sprint(want) {
				t.Errorf("made %v\nwant %v", got, want)
			}
			h := newHost(t)
			o := layer.Options{UserXattr: true, Devices: true}
			if err := layer.Unpack(t.Context(), h.target(), h.blobOf(m, raw), o); err != nil {
				t.Fatal(err)
			}
			if got, want := describe(t, h.target(), true), describe(t, dir, true); !slices.Equal(got, want) {
				t.Errorf("unpacked\n%s\nwas\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			again, _ := made(t, h.target(), tt.options)
			if fmt.Sprint(again) != fmt.Sprint(m) {
				t.Errorf("made again of what was unpacked: %v\nwant %v", again, m)
			}
		})
	}
}

// The tar of the system reads what is made.
func TestSystemTarReads(t *testing.T) {
	dir := tree(t)
	_, raw := made(t, dir, layer.MakeOptions{})
	out := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", "-xzpf", "-", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability", "-C", out)
	cmd.Stdin = bytes.NewReader(raw)
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("%v\n%s", err, said)
	}
	if got, want := describe(t, out, true), describe(t, dir, true); !slices.Equal(got, want) {
		t.Errorf("unpacked\n%s\nwas\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The same folder gives the same bytes, wherever it lies, in whatever order it was
// filled, and on any number of processors.
func TestDeterministic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	dir := t.TempDir()
	content := make([]byte, 700<<10) // three of them take more than one piece
	for i := range content {
		content[i] = byte(i*i>>7 ^ i>>3)
	}
	fill := func(name string, names ...string) string {
		root := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(root, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := os.WriteFile(filepath.Join(root, n), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	one, two := fill("one", "a", "b", "d/c"), fill("two", "d/c", "b", "a")
	for _, level := range []int{1, 0, 9} {
		o := layer.MakeOptions{Level: level, Time: now, Owner: func(int, int) (int, int, error) { return 0, 0, nil }}
		runtime.GOMAXPROCS(1)
		first, raw := made(t, one, o)
		runtime.GOMAXPROCS(7)
		second, _ := made(t, two, o)
		if fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("level %d: %v and %v", level, first, second)
		}
		if bytes.Contains(gunzip(t, raw), []byte("nobody")) || bytes.Contains(gunzip(t, raw), []byte("root\x00")) {
			t.Error("names of users are in it")
		}
	}
}

// headers lists what is in a tar.
func headers(t *testing.T, raw []byte) (list []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%c %s %s %o %d:%d %q%q %d %d", h.Typeflag, h.Name, h.Linkname, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.Unix(), h.Size))
	}
}

func TestOwnerAndTime(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/b/c", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/b-", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	_, raw := made(t, dir, layer.MakeOptions{Plain: true, Time: time.Unix(42, 999), Owner: func(uid, gid int) (int, int, error) {
		if got := fmt.Sprintf("%d:%d", uid, gid); got != asked {
			t.Errorf("asked for %s, want %s", got, asked)
		}
		return 12, 34, nil
	}})
	want := []string{`5 b/  755 12:34 """" 42 0`, `5 b/c/  755 12:34 """" 42 0`, `0 b-  600 12:34 """" 42 1`}
	if got := headers(t, raw); !slices.Equal(got, want) {
		t.Errorf("the tar has %q, want %q", got, want)
	}
}

func TestFromFolderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       error
		reason     string
	}{
		{"a name that would remove", "d/.wh.x", layer.ErrInvalid, `entry "d/.wh.x": invalid layer: in a layer this name would remove`},
		{"too deep", deep("d", 256), layer.ErrLimit, "256 folders deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, tt.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := layer.FromFolder(t.Context(), io.Discard, dir, layer.MakeOptions{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("FromFolder: %v", err)
			}
		})
	}
	t.Run("a whiteout of overlayfs", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mknod(dir+"/a", syscall.S_IFCHR, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := layer.FromFolder(t.Context(), io.Discard, dir, layer.MakeOptions{}); !errors.Is(err, layer.ErrInvalid) {
			t.Errorf("FromFolder: %v", err)
		}
	})
	t.Run("a folder that is not there", func(t *testing.T) {
		if _, err := layer.FromFolder(t.Context(), io.Discard, t.TempDir()+"/x", layer.MakeOptions{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("FromFolder: %v", err)
		}
	})
	t.Run("a level that gzip has not", func(t *testing.T) {
		if _, err := layer.FromFolder(t.Context(), io.Discard, t.TempDir(), layer.MakeOptions{Level: 10}); err == nil {
			t.Error("no error")
		}
	})
}

func TestSocketsAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var skipped []string
	_, raw := made(t, dir, layer.MakeOptions{Plain: true, Skipped: func(entry, why string) { skipped = append(skipped, entry+": "+why) }})
	if got := headers(t, raw); got != nil || fmt.Sprint(skipped) != "[s: a socket cannot be in a layer]" {
		t.Errorf("made %q, skipped %q", got, skipped)
	}
}

// A disk that is full ends the work at once, and the error is the disk's.
func TestWriteFails(t *testing.T) {
	full := errors.New("disk full")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/large", make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(dir+"/large", 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, isPlain := range []bool{true, false} {
		w := writerFunc(func(p []byte) (int, error) { return 0, full })
		_, err := layer.FromFolder(t.Context(), w, dir, layer.MakeOptions{Plain: isPlain})
		if !errors.Is(err, full) {
			t.Errorf("plain %t: %v", isPlain, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestMakeIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := layer.FromFolder(ctx, io.Discard, tree(t), layer.MakeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("FromFolder: %v", err)
	}
	r := bytes.NewReader(archive(t, "f a hello"))
	if _, err := layer.FromTar(ctx, io.Discard, r, layer.MakeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("FromTar: %v", err)
	}
}

func TestFromTar(t *testing.T) {
	raw := entries(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "a commit"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o700},
		tar.Header{Typeflag: tar.TypeReg, Name: "./b", Size: 3, Mode: 0o100644, Uid: 1, Gid: 2, Uname: "alice", Gname: "staff",
			PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.trusted.a": "1", "VENDOR.a": "1"}},
		tar.Header{Typeflag: tar.TypeLink, Name: "/c", Linkname: "./b"},
		tar.Header{Typeflag: tar.TypeReg, Name: ".wh.a"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "a//s", Linkname: "../x"},
		tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3})
	var out bytes.Buffer
	m, err := layer.FromTar(t.Context(), &out, bytes.NewReader(raw), layer.MakeOptions{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 b  644 1:2 """" 1700000000 3`, `1 c b 0 0:0 """" 1700000000 0`, `0 .wh.a  0 0:0 """" 1700000000 0`,
		`2 a/s ../x 0 0:0 """" 1700000000 0`, `3 null  0 0:0 """" 1700000000 0`,
	}
	if got := headers(t, out.Bytes()); !slices.Equal(got, want) {
		t.Errorf("the tar has %q, want %q", got, want)
	}
	if bytes.Contains(out.Bytes(), []byte("alice")) || bytes.Contains(out.Bytes(), []byte("VENDOR")) || !bytes.Contains(out.Bytes(), []byte("user.a=1")) {
		t.Error("the records are not those of a layer")
	}
	var again bytes.Buffer
	if n, err := layer.FromTar(t.Context(), &again, &out, layer.MakeOptions{Plain: true}); err != nil || n.DiffID != m.DiffID {
		t.Errorf("made of a layer: %v, %v; want %v", n, err, m)
	}
}

func TestFromTarRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		raw    []byte
		want   error
		reason string
	}{
		{"a name that climbs", archive(t, "f a\nf ../a b"), layer.ErrInvalid, `entry "../a": invalid layer: ".." in the name`},
		{"a link that climbs", archive(t, "l a ../b"), layer.ErrInvalid, `".." in the name`},
		{"a whiteout of nothing", archive(t, "f .wh.."), layer.ErrInvalid, "a whiteout of nothing"},
		{"a device that removes", archive(t, "c a 0 0"), layer.ErrInvalid, "overlayfs"},
		{"an unknown type", retype(archive(t, "f a"), 'Z'), layer.ErrInvalid, "entry of type"},
		{"a tar that is cut", archive(t, "f a hello")[:1300], layer.ErrInvalid, "unexpected EOF"},
		{"a tar that is compressed", gzipped(t, archive(t, "f a "+strings.Repeat("hello", 10000))), layer.ErrInvalid, "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layer.FromTar(t.Context(), io.Discard, bytes.NewReader(tt.raw), layer.MakeOptions{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("FromTar: %v", err)
			}
		})
	}
}
