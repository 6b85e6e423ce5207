package layout_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/layout"
)

func TestBadIndexes(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"not JSON", `{`},
		{"a list", `[]`},
		{"something behind it", `{"schemaVersion":2} {}`},
		{"a key twice: two readers see two layouts", `{"schemaVersion":2,"manifests":[],"manifests":[]}`},
		{"a key in other letters", `{"schemaVersion":2,"Manifests":[]}`},
		{"bad UTF-8", "{\"schemaVersion\":2,\"a\":\"\xff\"}"},
		{"nested without end", `{"schemaVersion":2,"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`},
		{"of a version to come", `{"schemaVersion":3,"manifests":[]}`},
		{"another document", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","manifests":[]}`},
		{"entries of another type", `{"schemaVersion":2,"manifests":{}}`},
		{"too large", `{"schemaVersion":2,"a":"` + strings.Repeat("a", layout.MaxIndex) + `"}`},
		{"too many entries", `{"schemaVersion":2,"manifests":[` + strings.Repeat("1,", 100_000) + `1]}`},
	} {
		if _, err := layout.ParseIndex([]byte(row.text)); !errors.Is(err, layout.ErrInvalid) {
			t.Errorf("%s: %v", row.name, err)
		}
		b := mem.New()
		l, err := layout.Create(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		write(t, b, "index.json", row.text)
		if err := l.SetName(t.Context(), "x", describe(oci.MediaTypeImageManifest, nil)); !errors.Is(err, layout.ErrInvalid) {
			t.Errorf("%s: changed: %v", row.name, err)
		}
	}
}

// Entries that are of no use do not keep others from being found.
func TestOddEntries(t *testing.T) {
	good := `{"mediaType":"` + oci.MediaTypeImageManifest + `","digest":"` + digest.FromBytes(nil).String() + `","size":0,"annotations":{"` + layout.RefName + `":`
	text := `{"schemaVersion":2,"manifests":[1,null,{},{"digest":"../../etc/passwd","size":1,"mediaType":"a/b"},{"mediaType":"a/b","digest":"` +
		digest.FromBytes(nil).String() + `","size":-1},` + good + `"../../etc/passwd"}},` + good + `"\u001b[2J"}},` + good + `"good"}}]}`
	entries, err := layout.ParseIndex([]byte(text))
	if err != nil || len(entries) != 3 {
		t.Fatalf("%+v, %v", entries, err)
	}
	for i, name := range []string{"", "", "good"} {
		if entries[i].Name != name {
			t.Errorf("entry %d is called %q, want %q", i, entries[i].Name, name)
		}
	}
}

func TestAmbiguousName(t *testing.T) {
	d := func(text string) oci.Descriptor { return describe(oci.MediaTypeImageManifest, []byte(text)) }
	entries := []layout.Entry{{Name: "x", Descriptor: d("one")}, {Name: "x", Descriptor: d("two")}, {Name: "y", Descriptor: d("one")}, {Name: "y", Descriptor: d("one")}}
	if _, err := layout.Find(entries, "x"); !errors.Is(err, layout.ErrAmbiguous) {
		t.Errorf("x: %v", err)
	}
	if got, err := layout.Find(entries, "y"); err != nil || got.Digest != d("one").Digest {
		t.Errorf("y: %v, %v", got, err)
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"latest", "v1.0", "localhost:5000/team/app:latest", "docker.io/library/a@" + digest.FromBytes(nil).String(), "a--b", "_x", "[::1]:5000/a:b", "1.0+build"} {
		if err := layout.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../a", "a/../b", "/a", "a/", "a//b", "a b", "a\n", "a\x00b", "a\\b", "a\x1b[2J", "-rf", "é", strings.Repeat("a", 1025)} {
		if err := layout.CheckName(name); !errors.Is(err, layout.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"imageLayoutVersion":"2.0.0"}`, `{"imageLayoutVersion":1}`} {
		b := mem.New()
		write(t, b, "oci-layout", text)
		if _, err := layout.Create(t.Context(), b); !errors.Is(err, layout.ErrNotLayout) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A layout whose folders are links to elsewhere is not opened, and nothing is made or
// changed there; nor does anybody wait for a pipe.
func TestOddFilesAreRefused(t *testing.T) {
	for _, link := range []string{"blobs", "blobs/sha256", "blobs/sha512", "uploads", "uploads/.lock", "uploads/.staged", "uploads/.journal", "index.json", "oci-layout"} {
		elsewhere, root := t.TempDir(), t.TempDir()
		f := create(t, root)
		image(t, f.Layout, "x", nil, "layer")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		path, target := filepath.Join(root, link), filepath.Join(elsewhere, "target")
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if f, err := layout.CreateFolder(t.Context(), root, nil); !errors.Is(err, layout.ErrOdd) {
			t.Errorf("%s: opened to write: %v %v", link, f, err)
		}
		if _, err := layout.OpenFolder(t.Context(), root); !errors.Is(err, layout.ErrOdd) {
			t.Errorf("%s: opened to read: %v", link, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := layout.CreateFolder(t.Context(), root, nil); !errors.Is(err, layout.ErrOdd) {
			t.Errorf("%s: opened with a pipe: %v %v", link, f, err)
		}
		if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
			t.Errorf("%s: elsewhere there is %v, %v", link, left, err)
		}
	}
}

// In the place of a blob, what is not a plain file is nothing.
func TestOddBlobs(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	f := create(t, root)
	putBlob(t, f.Layout, "x") // makes the folder
	for name, make := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink(secret, path) },
		"pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"dir":  func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		d := describe("text/plain", []byte("secret"))
		path := filepath.Join(root, "blobs/sha256", d.Digest.Hex())
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.OpenBlob(t.Context(), d); !errors.Is(err, layout.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamageIsSeen(t *testing.T) {
	root := t.TempDir()
	f := create(t, root)
	d := putBlob(t, f.Layout, "content")
	path := filepath.Join(root, "blobs/sha256", d.Digest.Hex())
	if err := os.WriteFile(path, []byte("cONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := f.OpenBlob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); !errors.Is(err, digest.ErrMismatch) || len(got) == len("content") {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOtherFoldersAreLeftAlone(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.CreateFolder(t.Context(), root, nil); !errors.Is(err, layout.ErrNotLayout) {
		t.Errorf("made a layout: %v", err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// The second writer waits for the first.
func TestOneWriter(t *testing.T) {
	root := t.TempDir()
	first := create(t, root)
	second, err := layout.CreateFolder(t.Context(), root, func(err error) {
		if !strings.Contains(err.Error(), "process") {
			t.Errorf("waiting: %v", err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"` + digest.FromBytes(nil).String() + `","size":1,"annotations":{"` + layout.RefName + `":"x"}},{}],"x":{"y":[null]}}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"../x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before, err := layout.ParseIndex(raw)
		if err != nil {
			return
		}
		b := mem.New()
		l, err := layout.Create(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		write(t, b, "index.json", string(raw))
		if err := l.SetName(t.Context(), "fuzz/only", describe(oci.MediaTypeImageManifest, []byte("new"))); err != nil {
			t.Fatalf("%s is read, but cannot be changed: %v", raw, err)
		}
		after, err := l.Entries(t.Context())
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("%s: %d entries become %d: %v", raw, len(before), len(after), err)
		}
		for i, e := range before {
			if after[i].Name != e.Name || after[i].Descriptor.Digest != e.Descriptor.Digest {
				t.Errorf("%s: entry %d becomes %+v", raw, i, after[i])
			}
			if e.Name != "" && layout.CheckName(e.Name) != nil {
				t.Errorf("%s: name %q", raw, e.Name)
			}
		}
	})
}

// A root that is itself a link was asked for, so it is followed; of what lies beside
// the layout nothing is.
func TestRoots(t *testing.T) {
	root, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	f, err := layout.CreateFolder(t.Context(), link, nil)
	if err != nil {
		t.Fatal(err)
	}
	image(t, f.Layout, "x", nil, "layer")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root, link, link + "/"} {
		f, err := layout.OpenFolder(t.Context(), path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if _, err := f.Resolve(t.Context(), "x"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(root, "blobs")); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.OpenFolder(t.Context(), link); !errors.Is(err, layout.ErrOdd) {
		t.Errorf("a link in it: %v", err)
	}
	if _, err := layout.OpenFolder(t.Context(), filepath.Join(root, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

type readSeeker struct{ *strings.Reader }

func (readSeeker) Close() error { return nil }

func TestVerified(t *testing.T) {
	right := describe("", []byte("content"))
	for _, row := range []struct {
		text string
		d    oci.Descriptor
		want error
	}{
		{"content", right, nil},
		{"content and more", right, nil},
		{"cONTENT", right, digest.ErrMismatch},
		{"cont", right, io.ErrUnexpectedEOF},
		{"", describe("", nil), nil},
		{"", oci.Descriptor{Digest: right.Digest}, digest.ErrMismatch},
	} {
		for _, r := range []io.Reader{
			layout.Verified(readSeeker{strings.NewReader(row.text)}, row.d),
			iotest.OneByteReader(layout.Verified(readSeeker{strings.NewReader(row.text)}, row.d)),
		} {
			raw, err := io.ReadAll(r)
			if !errors.Is(err, row.want) || err == nil && int64(len(raw)) != row.d.Size {
				t.Errorf("%q for %d bytes: %q, %v", row.text, row.d.Size, raw, err)
			}
			if err != nil && int64(len(raw)) == row.d.Size && row.d.Size > 0 {
				t.Errorf("%q came whole", row.text)
			}
		}
	}
	// From the middle on nothing can be said, and from the start again everything.
	v := layout.Verified(readSeeker{strings.NewReader("cONTENT")}, right)
	if _, err := v.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(v); err != nil || string(raw) != "ENT" {
		t.Errorf("%q, %v", raw, err)
	}
	for range 2 {
		if _, err := v.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(v, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadAll(v); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("from the start again: %v", err)
	}
}
