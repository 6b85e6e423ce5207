package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
)

var now = time.Unix(1_700_000_000, 0)

// header reads an entry of a script, one a line: its type as in a tar, its name,
// and for files the content, for links the target, for devices their numbers.
//
//	d etc/
//	d tmp/ 1777 user.a=b  with its mode, which is also its time, and attributes
//	f etc/passwd root:x:0:0
//	s bin usr/bin         a symbolic link
//	l a b                 a hard link to b
//	p pipe
//	c dev/null 1 3        b for a block device
//
// Backslashes are as in a Go string, so that a name can hold anything.
func header(t testing.TB, line string) (*tar.Header, string) {
	t.Helper()
	words := strings.Fields(line)
	for i, w := range words {
		unquoted, err := strconv.Unquote(`"` + w + `"`)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		words[i] = unquoted
	}
	kind, name, rest := words[0], words[1], strings.Join(words[2:], " ")
	h := &tar.Header{Name: name, Mode: 0o644, ModTime: now, Format: tar.FormatPAX}
	content := ""
	switch kind {
	case "d":
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
		if rest != "" {
			describeFolder(t, h, words[2:])
		}
	case "f":
		h.Typeflag, h.Size, content = tar.TypeReg, int64(len(rest)), rest
	case "s":
		h.Typeflag, h.Linkname = tar.TypeSymlink, rest
	case "l":
		h.Typeflag, h.Linkname = tar.TypeLink, rest
	case "p":
		h.Typeflag = tar.TypeFifo
	case "c", "b":
		h.Typeflag = tar.TypeChar
		if kind == "b" {
			h.Typeflag = tar.TypeBlock
		}
		fmt.Sscan(rest, &h.Devmajor, &h.Devminor)
	default:
		t.Fatalf("%s: no such kind", line)
	}
	return h, content
}

func describeFolder(t testing.TB, h *tar.Header, words []string) {
	t.Helper()
	mode, err := strconv.ParseInt(words[0], 8, 64)
	if err != nil {
		t.Fatal(err)
	}
	h.Mode, h.ModTime, h.PAXRecords = mode, time.Unix(mode, 0), map[string]string{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
}

// archive is the tar of a script.
func archive(t testing.TB, script string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for line := range strings.Lines(script) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		h, content := header(t, line)
		writeEntry(t, w, h, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func writeEntry(t testing.TB, w *tar.Writer, h *tar.Header, content string) {
	t.Helper()
	if err := w.WriteHeader(h); err != nil {
		t.Fatalf("%s: %v", h.Name, err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatalf("%s: %v", h.Name, err)
	}
}

// entries is the tar of headers that have no content.
func entries(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.ModTime.IsZero() && h.Typeflag != tar.TypeXGlobalHeader {
			h.ModTime = now
		}
		writeEntry(t, w, &h, strings.Repeat("x", int(h.Size)))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// blob is a layer of these bytes.
func blob(mediaType string, raw, plain []byte) layer.Blob {
	return layer.Blob{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		DiffID:     digest.FromBytes(plain),
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(raw)), nil
		},
	}
}

func plain(raw []byte) layer.Blob { return blob(oci.MediaTypeImageLayer, raw, raw) }

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// host is a folder with a place for layers, and beside it what they must not
// touch.
type host struct {
	t      testing.TB
	root   string
	store  string
	canary string
	before string
}

func newHost(t testing.TB) *host {
	t.Helper()
	root := t.TempDir()
	h := &host{t: t, root: root, store: filepath.Join(root, "store"), canary: filepath.Join(root, "canary")}
	for _, dir := range []string{h.store, h.canary, h.canary + "/folder"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"file": 0o644, "folder/secret": 0o600, "x": 0o640} {
		path := filepath.Join(h.canary, name)
		if err := os.WriteFile(path, []byte("the host's "+name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("folder/secret", h.canary+"/link"); err != nil {
		t.Fatal(err)
	}
	h.before = h.describeCanary()
	return h
}

func (h *host) target() string { return filepath.Join(h.store, "root") }

func (h *host) describeCanary() string {
	return strings.Join(describe(h.t, h.canary, true), "\n")
}

// check fails if the canary is not as it was, or something is left in the store
// but what is named.
func (h *host) check(left ...string) {
	h.t.Helper()
	if after := h.describeCanary(); after != h.before {
		h.t.Errorf("the host was touched:\n%s\nbefore:\n%s", after, h.before)
	}
	if got := names(h.t, h.store); !slices.Equal(got, left) {
		h.t.Errorf("the store holds %q, want %q", got, left)
	}
	if got := names(h.t, h.root); !slices.Equal(got, []string{"canary", "store"}) {
		h.t.Errorf("beside the store is %q", got)
	}
}

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// describe lists a tree, a line for each thing in it in the form of a script, with
// "w" for a whiteout and "opaque" behind a folder that is. All adds modes, owners,
// times, attributes and links that belong together.
func describe(t testing.TB, root string, all bool) (lines []string) {
	t.Helper()
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		line := content(t, path, name, st)
		if st.Nlink > 1 && !d.IsDir() {
			if first[st.Ino] == "" {
				first[st.Ino] = name
			} else {
				line = fmt.Sprintf("l %s %s", name, first[st.Ino])
			}
		}
		if all {
			line += fmt.Sprintf(" %o %d:%d %d", st.Mode&0o7777, st.Uid, st.Gid, st.Mtim.Sec)
			if st.Mode&syscall.S_IFMT == syscall.S_IFREG || d.IsDir() {
				line += xattrs(t, path)
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func content(t testing.TB, path, name string, st syscall.Stat_t) string {
	t.Helper()
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if isOpaque, err := layer.Opaque(path); err != nil {
			t.Fatal(err)
		} else if isOpaque {
			name += " opaque"
		}
		return "d " + name
	case syscall.S_IFLNK:
		to, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		return "s " + name + " " + to
	case syscall.S_IFIFO:
		return "p " + name
	case syscall.S_IFBLK:
		return fmt.Sprintf("b %s %d", name, st.Rdev)
	case syscall.S_IFCHR:
		if st.Rdev == 0 {
			return "w " + name
		}
		return fmt.Sprintf("c %s %d", name, st.Rdev)
	}
	if st.Size == 0 {
		return "f " + name // perhaps nobody may read it
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 100 {
		return fmt.Sprintf("f %s %d bytes %x", name, len(raw), sha256.Sum256(raw))
	}
	return strings.TrimSpace("f " + name + " " + string(raw))
}

func xattrs(t testing.TB, path string) (all string) {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := syscall.Listxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(list)
	for _, name := range list {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := syscall.Getxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf(" %s=%.40q", name, value[:n])
	}
	return all
}

// wantTree compares a tree with the lines of a script.
func wantTree(t testing.TB, root, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	got := strings.Split(strings.Join(describe(t, root, false), "\n"), "\n") // a name may have a line break
	slices.Sort(got)
	if root := []string{""}; len(lines) == 0 && slices.Equal(got, root) {
		return
	}
	if !slices.Equal(got, lines) {
		t.Errorf("the tree is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}
