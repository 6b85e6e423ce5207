package server

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
)

// fault is what Check reports.
type fault struct {
	text   string
	mended bool
}

// check wants these faults, in any order.
func check(t *testing.T, root string, repair bool, summary string, want ...fault) {
	t.Helper()
	var got []fault
	s, err := Check(t.Context(), settings(t, root), repair, func(text string, mended bool) { got = append(got, fault{text, mended}) })
	if err != nil || s != summary {
		t.Errorf("%q, %v, want %q", s, err, summary)
	}
	order := func(a, b fault) int { return strings.Compare(a.text, b.text) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("found\n%v\nwant\n%v", got, want)
	}
}

// filled returns a root whose server has stopped, with the repository a: a tag v1,
// its manifest and its blob.
func filled(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	r := start(t, root)
	r.push(t, "a", "v1", "blob")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return root
}

// in is the file of a blob.
func in(root, digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(root, "blobs", "sha256", hex[:2], hex, "data")
}

// mismatch is the fault of a blob that holds something else.
func mismatch(d, content string) string {
	return "blob " + d + ": content does not match its digest: got " + sum(content) + ", want " + d
}

func damage(t *testing.T, file, with string) {
	t.Helper()
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(with), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheckCleanStore(t *testing.T) {
	root := filled(t)
	before := tree(t, root)
	check(t, root, false, "2 blobs read, 0 faults")
	check(t, root, true, "2 blobs read, 0 faults")
	delete(before, filepath.Join(root, "uploads", ".lock")) // says who writes
	after := tree(t, root)
	delete(after, filepath.Join(root, "uploads", ".lock"))
	if !maps.Equal(before, after) {
		t.Errorf("the store was\n%v\nand is\n%v", before, after)
	}
}

func TestCheckDamagedBlob(t *testing.T) {
	root, d := filled(t), sum("blob")
	damage(t, in(root, d), "bl0b")
	damaged := mismatch(d, "bl0b")
	check(t, root, false, "2 blobs read, 1 faults", fault{damaged, false})

	where := "shibafu/quarantine/sha256-" + strings.TrimPrefix(d, "sha256:")
	refers := "a: manifest " + sum(image("blob")) + ": refers to " + d + ", which is missing; push it again"
	check(t, root, true, "2 blobs read, 3 faults",
		fault{damaged + " (moved to " + where + ")", true},
		fault{"a: blob " + d + ": its bytes are missing (link removed)", true},
		fault{refers, false})
	if kept, err := os.ReadFile(filepath.Join(root, where)); string(kept) != "bl0b" {
		t.Errorf("in quarantine: %q, %v", kept, err)
	}
	check(t, root, false, "1 blobs read, 1 faults", fault{refers, false})

	r := start(t, root)
	r.want(t, 404, `"BLOB_UNKNOWN"`, "GET", "/v2/a/blobs/"+d, "")
	r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+d, "blob")
	r.want(t, 200, "blob", "GET", "/v2/a/blobs/"+d, "")
	check(t, root, false, "2 blobs read, 0 faults")
}

// A push heals without a repair, too.
func TestPushHealsDamagedBlob(t *testing.T) {
	root, d := filled(t), sum("blob")
	damage(t, in(root, d), "bl0b")
	r := start(t, root)
	r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+d, "blob")
	r.want(t, 200, "blob", "GET", "/v2/a/blobs/"+d, "")
	check(t, root, false, "2 blobs read, 0 faults")
}

func TestCheckDamagedManifest(t *testing.T) {
	root, d := filled(t), sum(image("blob"))
	damage(t, in(root, d), "{}")
	check(t, root, false, "2 blobs read, 2 faults", fault{mismatch(d, "{}"), false}, fault{"a: manifest " + d + ": its bytes are damaged", false})
	check(t, root, true, "2 blobs read, 3 faults",
		fault{mismatch(d, "{}") + " (moved to shibafu/quarantine/sha256-" + strings.TrimPrefix(d, "sha256:") + ")", true},
		fault{"a: manifest " + d + ": its bytes are missing (link removed)", true},
		fault{"a: tag v1: refers to manifest " + d + ", which is missing (tag removed; its history says what it referred to)", true})
	check(t, root, false, "1 blobs read, 0 faults")
	r := start(t, root)
	r.want(t, 404, `"MANIFEST_UNKNOWN"`, "GET", "/v2/a/manifests/v1", "")
	r.want(t, 201, "", "PUT", "/v2/a/manifests/v1", image("blob"), "Content-Type: "+imageType)
	r.want(t, 200, "", "GET", "/v2/a/manifests/v1", "")
}

func TestCheckDanglingLinks(t *testing.T) {
	root, d := filled(t), sum("blob")
	if err := os.Remove(in(root, d)); err != nil {
		t.Fatal(err)
	}
	blob := "a: blob " + d + ": its bytes are missing"
	refers := fault{"a: manifest " + sum(image("blob")) + ": refers to " + d + ", which is missing; push it again", false}
	check(t, root, false, "1 blobs read, 2 faults", fault{blob, false}, refers)
	check(t, root, true, "1 blobs read, 2 faults", fault{blob + " (link removed)", true}, refers)
	check(t, root, false, "1 blobs read, 1 faults", refers)

	manifests := filepath.Join(root, "repositories", "a", "_manifests")
	revision := "a: manifest " + sum(image("blob")) + ": its link is damaged"
	damage(t, filepath.Join(manifests, "revisions", "sha256", strings.TrimPrefix(sum(image("blob")), "sha256:"), "link"), "")
	check(t, root, false, "1 blobs read, 2 faults", fault{revision, false}, refers)
	check(t, root, true, "1 blobs read, 2 faults", fault{revision + " (link rewritten)", true}, refers)

	damage(t, filepath.Join(manifests, "tags", "v1", "current", "link"), "nonsense")
	check(t, root, true, "1 blobs read, 2 faults", fault{"a: tag v1: its link is damaged (tag removed; its history says what it referred to)", true}, refers)
}

// What cannot be read may be whole, so it stays where it is.
func TestCheckUnreadableBlob(t *testing.T) {
	root, d := filled(t), sum("blob")
	fails := errors.New("input/output error")
	var got []fault
	err := checkFaulty(t, root, d, fails, func(text string, mended bool) { got = append(got, fault{text, mended}) })
	if want := (fault{"blob " + d + ": " + fails.Error(), false}); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%v, %v", got, err)
	}
	if raw, err := os.ReadFile(in(root, d)); string(raw) != "blob" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestCheckBesideAServer(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	r.push(t, "a", "v1", "blob")
	upload := r.want(t, 202, "", "POST", "/v2/a/blobs/uploads/", "").Header.Get("Location")
	r.want(t, 202, "", "PATCH", upload, "half")
	before := tree(t, root)
	check(t, root, false, "2 blobs read, 0 faults")
	if after := tree(t, root); !maps.Equal(before, after) {
		t.Errorf("the store was\n%v\nand is\n%v", before, after)
	}
	_, err := Check(t.Context(), settings(t, root), true, func(text string, _ bool) { t.Error(text) })
	if !errors.Is(err, dir.ErrLocked) {
		t.Errorf("repair beside a server: %v", err)
	}
	r.push(t, "a", "v2", "more")
}

// A mistyped root is not a clean store, and is not made.
func TestCheckNoStore(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	for _, repair := range []bool{false, true} {
		if summary, err := Check(t.Context(), settings(t, root), repair, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("repair %v: %q, %v", repair, summary, err)
		}
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

// failing is a bucket one of whose objects cannot be read.
type failing struct {
	bucket.Bucket
	key string
	err error
}

func (f failing) Open(ctx context.Context, key string) (bucket.Object, error) {
	if key == f.key {
		return nil, f.err
	}
	return f.Bucket.Open(ctx, key)
}

// checkFaulty repairs the blobs of a store whose disk fails to read d.
func checkFaulty(t *testing.T, root, d string, err error, report func(string, bool)) error {
	t.Helper()
	files, openErr := dir.Open(root)
	if openErr != nil {
		t.Fatal(openErr)
	}
	defer files.Close()
	parsed, _ := digest.Parse(d)
	faulty := failing{files, cas.Distribution.Key(parsed), err}
	_, err = checkBlobs(t.Context(), faulty, cas.New(faulty, cas.Distribution), true, report)
	return err
}

// What a server left that died is not judged before another has started, or repair
// has played its journal.
func TestCheckAfterDeath(t *testing.T) {
	root, dead := t.TempDir(), filepath.Join(t.TempDir(), "dead")
	start(t, root).push(t, "a", "v1", "blob")
	check(t, root, false, "2 blobs read, 0 faults")
	if err := os.Rename(filepath.Join(own(root), "socket"), filepath.Join(t.TempDir(), "socket")); err != nil { // it cannot be copied
		t.Fatal(err)
	}
	if err := os.CopyFS(dead, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dead, "repositories")); err != nil { // the power was cut too
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), settings(t, dead), false, nil); !errors.Is(err, errUnsettled) {
		t.Errorf("Check: %v", err)
	}
	check(t, dead, true, "2 blobs read, 0 faults")
	check(t, dead, false, "2 blobs read, 0 faults")
	start(t, dead).want(t, 200, "blob", "GET", "/v2/a/blobs/"+sum("blob"), "")
}
