package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

func blobOf(mediaType string, raw, plain []byte) Blob {
	return Blob{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		DiffID:     digest.FromBytes(plain),
		Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
	}
}

// seed is a tar of entries: type and name, and for files the content, for links
// the target.
func seed(entries ...[3]string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e[0][0], Name: e[1], Mode: 0o755}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e[2]))
		} else {
			h.Linkname = e[2]
		}
		if w.WriteHeader(h) == nil && h.Size > 0 {
			io.WriteString(w, e[2])
		}
	}
	w.Close()
	return buf.Bytes()
}

// look describes all that is in a folder.
func look(t *testing.T, root string) string {
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), stagingPrefix) {
			return filepath.SkipDir // the layers' own
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		// The time of the last change of the inode tells of all that happened to it.
		fmt.Fprintln(&b, path, st.Ino, st.Mode, st.Nlink, st.Size, st.Ctim)
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%q\n", content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Two layers of whatever bytes are laid over one another, three folders deep in
// one that holds other things too. Those stay as they are, to the last byte and
// nanosecond, and whatever was unpacked can be removed.
func FuzzUnpack(f *testing.F) {
	f.Add(seed([3]string{"5", "a/"}, [3]string{"0", "a/b", "hello"}, [3]string{"1", "c", "a/b"}), seed([3]string{"0", "a/.wh.b"}))
	f.Add(seed([3]string{"2", "a", "../../../../canary"}, [3]string{"0", "a/file", "x"}), seed([3]string{"0", "a/.wh.file"}))
	f.Add(seed([3]string{"2", "a", "../../../../canary/file"}, [3]string{"0", "a", "x"}), seed([3]string{"1", "b", "../../canary/file"}))
	f.Add(seed([3]string{"2", "a", "/proc/self/cwd"}, [3]string{"5", "a/b/", ""}), seed([3]string{"0", ".wh..wh..opq"}))
	f.Add(seed([3]string{"2", "a", "b"}, [3]string{"2", "b", "a"}, [3]string{"0", "a/x", "x"}), seed([3]string{"6", "p"}))
	f.Add(seed([3]string{"5", "a/"}, [3]string{"2", "a/l", "../m"}, [3]string{"2", "m", "n/../a"}, [3]string{"0", "a/l/x", "1"}), []byte("junk"))
	h := newFuzzHost(f)
	f.Fuzz(h.unpack)
}

// parts are what the names are made of in FuzzEntries.
var parts = []string{"a", "b", "c", "d", "..", ".", "", ".wh.a", ".wh.b", ".wh..wh..opq", "file", "canary", "../../../../canary", "/proc/self/root", "/", "a/b"}

// As FuzzUnpack, for archives that are well formed: three bytes are the kind of an
// entry, its name of two parts, and what it links to.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("\x02\x0a\xc6\x00\x0a\x00\x00\x0b\x00"), []byte("\x00\x76\x00"))
	f.Add([]byte("\x03\x06\x00\x00\x01\x00\x02\x26\x06\x01\x36\x01"), []byte("\x00\x96\x00\x00\x91\x00\x03\x26\x00"))
	f.Add([]byte("\x02\x06\x16\x02\x16\x06\x00\x02\x00"), []byte("\x02\x06\x46\x00\x0a\x00\x04\x01\x00"))
	h := newFuzzHost(f)
	f.Fuzz(func(t *testing.T, lower, upper []byte) { h.unpack(t, script(lower), script(upper)) })
}

func script(code []byte) []byte {
	var entries [][3]string
	for ; len(code) >= 3 && len(entries) < 100; code = code[3:] {
		name := func(b byte) string { return parts[b>>4] + "/" + parts[b&0xf] }
		entries = append(entries, [3]string{string("01256"[code[0]%5]), strings.TrimSuffix(name(code[1]), "/"), name(code[2])})
	}
	return seed(entries...)
}

// fuzzHost is a folder in which layers are unpacked three folders deep.
type fuzzHost struct{ base, deep string }

func newFuzzHost(f *testing.F) fuzzHost {
	base := f.TempDir()
	h := fuzzHost{base, filepath.Join(base, "1/2/3")}
	canary := filepath.Join(base, "canary")
	for _, dir := range []string{canary, h.deep} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(canary, "file"), []byte("the host's"), 0o644); err != nil {
		f.Fatal(err)
	}
	return h
}

// unpack lays two layers over one another, and unpacks the upper by itself, as it is
// above what they came to.
func (h fuzzHost) unpack(t *testing.T, lower, upper []byte) {
	o := Options{Limits: Limits{Entries: 500, Bytes: 1 << 20}}
	staged, err := newStaging(h.deep)
	if err != nil {
		t.Fatal(err)
	}
	before := look(t, h.base)
	root, err := staged.folder(result)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, raw := range [][]byte{lower, upper} {
		if err := staged.addLayer(t.Context(), root, blobOf(oci.MediaTypeImageLayer, raw, raw), o); err != nil {
			refused(t, err)
			break
		}
	}
	alone, err := staged.folder("alone")
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	o.Lower = []string{root.Name()}
	u, err := unpackInto(t.Context(), alone, blobOf(oci.MediaTypeImageLayer, upper, upper), o, overlayUser)
	if err == nil {
		err = u.inherit(alone, o.Lower)
	}
	refused(t, err)
	after := look(t, h.base)
	staged.remove()
	if after != before {
		t.Fatalf("the host was touched:\n%s\nbefore:\n%s", after, before)
	}
	if left := list(t, h.deep); len(left) > 0 {
		t.Fatalf("left: %q", left)
	}
}

// refused fails if an error is the system's: whatever a layer holds is either taken
// or found to be wrong.
func refused(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrLimit) && !errors.Is(err, digest.ErrMismatch) {
		t.Fatal(err)
	}
}

// A gzip layer is read to its last byte and by nothing but members, or not at all.
func FuzzGzipReader(f *testing.F) {
	tarred := seed([3]string{"0", "a", "hello"})
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(tarred)
	w.Close()
	whole := buf.Bytes()
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(append(bytes.Clone(whole), "garbage behind it"...))
	f.Add(whole[:len(whole)-3])
	f.Add(tarred)
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, ok := members(raw)
		s, err := openStream(t.Context(), blobOf(oci.MediaTypeImageLayerGzip, raw, want), Limits{Bytes: 1 << 24}.withDefaults())
		if err == nil {
			defer s.close()
			var got []byte
			if got, err = io.ReadAll(s.tar); err == nil && !bytes.Equal(got, want) {
				t.Fatalf("read %d bytes, want %d", len(got), len(want))
			}
		}
		if (err == nil) != ok {
			t.Fatalf("read with %v; by members: %t", err, ok)
		}
	})
}

// members reads one member after the other, and tells whether they are all there
// is.
func members(raw []byte) (all []byte, ok bool) {
	for in := bytes.NewReader(raw); ; {
		r, err := gzip.NewReader(in)
		if err != nil {
			return all, false
		}
		r.Multistream(false)
		part, err := io.ReadAll(io.LimitReader(r, 1<<24))
		all = append(all, part...)
		if err != nil || len(all) >= 1<<24 {
			return all, false
		}
		if in.Len() == 0 {
			return all, true
		}
	}
}
