package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/archive"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/registrytest"
	"shibafu.dev/step6-client/transfer"
)

// The ports that stand in package transfer are those of the places.
var (
	_ transfer.Source    = (*transfer.Repository)(nil)
	_ transfer.Target    = (*transfer.Repository)(nil)
	_ transfer.Named     = (*transfer.Repository)(nil)
	_ transfer.Puller    = (*transfer.Repository)(nil)
	_ transfer.Referrers = (*transfer.Repository)(nil)
	_ transfer.Source    = (*layout.Layout)(nil)
	_ transfer.Target    = (*layout.Layout)(nil)
	_ transfer.Named     = (*layout.Layout)(nil)
	_ transfer.Stored    = (*layout.Layout)(nil)
	_ transfer.Unchecked = (*layout.Layout)(nil)
	_ transfer.Unchecked = (*archive.Reader)(nil)
	_ transfer.Referrers = (*archive.Reader)(nil)
	_ transfer.Referrers = (*layout.Layout)(nil)
	_ transfer.Source    = (*archive.Reader)(nil)
	_ transfer.Target    = (*archive.Writer)(nil)
)

func newLayout(t *testing.T) *layout.Layout {
	t.Helper()
	l, err := layout.Create(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func repository(t *testing.T, host, name string) *transfer.Repository {
	t.Helper()
	c, err := client.New(host, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return transfer.NewRepository(c, ref.MustName(name))
}

func describe(mediaType string, raw []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func putBlob(t *testing.T, dst transfer.Target, mediaType, text string) oci.Descriptor {
	t.Helper()
	d := describe(mediaType, []byte(text))
	err := dst.PutBlob(t.Context(), d, func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[offset:])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, dst transfer.Target, mediaType string, document any, name string) oci.Descriptor {
	t.Helper()
	raw, err := json.MarshalIndent(document, "", "  ") // a copy must keep the spaces
	if err != nil {
		t.Fatal(err)
	}
	d := describe(mediaType, raw)
	if err := dst.PutManifest(t.Context(), d, raw, name); err != nil {
		t.Fatal(err)
	}
	return d
}

// image is one for linux and an architecture.
func image(t *testing.T, dst transfer.Target, name, architecture string, subject *oci.Descriptor, layers ...string) oci.Descriptor {
	t.Helper()
	config, err := json.Marshal(oci.ImageConfig{Platform: oci.Platform{OS: "linux", Architecture: architecture}})
	if err != nil {
		t.Fatal(err)
	}
	m := oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Subject: subject}
	m.Config = putBlob(t, dst, oci.MediaTypeImageConfig, string(config))
	for _, text := range layers {
		m.Layers = append(m.Layers, putBlob(t, dst, oci.MediaTypeImageLayer, text))
	}
	return put(t, dst, m.MediaType, m, name)
}

// sample is what the tests copy: an index of two images that share a layer, as "app";
// a referrer of the index and one of that; a signature tag of one of the images.
type sample struct {
	*layout.Layout
	index, amd64, arm64, referrer, second, signature oci.Descriptor
}

func newSample(t *testing.T) *sample {
	t.Helper()
	s := &sample{Layout: newLayout(t)}
	s.amd64 = image(t, s, "", "amd64", nil, "shared", "of amd64")
	s.arm64 = image(t, s, "", "arm64", nil, "shared", "of arm64", strings.Repeat("large ", 1<<17))
	entry := func(d oci.Descriptor, architecture string) oci.Descriptor {
		d.Platform = &oci.Platform{OS: "linux", Architecture: architecture}
		return d
	}
	s.index = put(t, s, oci.MediaTypeImageIndex, oci.Index{
		SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex,
		Manifests: []oci.Descriptor{entry(s.amd64, "amd64"), entry(s.arm64, "arm64")},
	}, "app")
	s.referrer = image(t, s, "", "", &s.index, "sbom")
	s.second = image(t, s, "", "", &s.referrer, "signature of the sbom")
	s.signature = image(t, s, "sha256-"+s.amd64.Digest.Hex()+".sig", "", nil, "old signature")
	return s
}

func copyTo(t *testing.T, dst transfer.Target, to string, src transfer.Source, from string, opts transfer.Options) oci.Descriptor {
	t.Helper()
	d, err := transfer.Copy(t.Context(), dst, to, src, from, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// whole wants all that d leads to to be there, byte by byte.
func whole(t *testing.T, src transfer.Source, d oci.Descriptor) {
	t.Helper()
	raw, err := src.Manifest(t.Context(), d)
	if err != nil {
		t.Errorf("manifest %s: %v", d.Digest, err)
		return
	}
	if digest.FromBytes(raw) != d.Digest {
		t.Errorf("manifest %s is another one", d.Digest)
	}
	var m struct {
		Manifests, Layers []oci.Descriptor
		Config            *oci.Descriptor
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		r, err := src.OpenBlob(t.Context(), blob)
		if err != nil {
			t.Errorf("blob %s: %v", blob.Digest, err)
			continue
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil || describe("", raw).Digest != blob.Digest {
			t.Errorf("blob %s: %v", blob.Digest, err)
		}
	}
	for _, child := range m.Manifests {
		whole(t, src, child)
	}
}

// place is somewhere to copy to, and from there on.
type place struct {
	transfer.Target
	open func() transfer.Source // after all was copied
}

var places = map[string]func(t *testing.T) place{
	"registry": func(t *testing.T) place {
		r := repository(t, registrytest.New(t).Host, "team/app")
		return place{r, func() transfer.Source { return r }}
	},
	"layout": func(t *testing.T) place {
		l := newLayout(t)
		return place{l, func() transfer.Source { return l }}
	},
	"archive": func(t *testing.T) place {
		var file bytes.Buffer
		w := archive.NewWriter(&file)
		return place{w, func() transfer.Source {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := archive.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}}
	},
}

// From anywhere to anywhere, with nothing changed on the way.
func TestAllDirections(t *testing.T) {
	for first, makeFirst := range places {
		for second, makeSecond := range places {
			t.Run(first+" to "+second, func(t *testing.T) {
				s, a, b := newSample(t), makeFirst(t), makeSecond(t)
				copyTo(t, a, "v1", s, "app", transfer.Options{})
				if d := copyTo(t, b, "v2", a.open(), "v1", transfer.Options{}); d.Digest != s.index.Digest {
					t.Errorf("copied %s", d.Digest)
				}
				end := b.open()
				d, err := end.Resolve(t.Context(), "v2")
				if err != nil || d.Digest != s.index.Digest {
					t.Fatalf("%v, %v", d, err)
				}
				whole(t, end, d)
			})
		}
	}
}

func TestReferrers(t *testing.T) {
	for _, way := range []string{"registry", "layout", "archive", "registry without referrers"} {
		t.Run(way, func(t *testing.T) {
			s := newSample(t)
			registry := registrytest.New(t)
			r := repository(t, registry.Host, "team/app")
			first := place{r, func() transfer.Source { return r }}
			switch way {
			case "layout", "archive":
				first = places[way](t)
			case "registry without referrers":
				registry.WithoutReferrers()
			}
			copyTo(t, first, "v1", s, "app", transfer.Options{Referrers: true})
			middle, end := first.open(), newLayout(t)
			copyTo(t, end, "localhost:5000/x/y:v2", middle, "v1", transfer.Options{Referrers: true})

			for _, d := range []oci.Descriptor{s.index, s.referrer, s.second, s.signature} {
				whole(t, end, d)
			}
			for subject, want := range map[digest.Digest]digest.Digest{s.index.Digest: s.referrer.Digest, s.referrer.Digest: s.second.Digest} {
				list, err := end.Referrers(t.Context(), subject)
				if err != nil || len(list) != 1 || list[0].Digest != want {
					t.Errorf("referrers of %s: %v, %v", subject, list, err)
				}
			}
			if d, err := end.Resolve(t.Context(), "localhost:5000/x/y:sha256-"+s.amd64.Digest.Hex()+".sig"); err != nil || d.Digest != s.signature.Digest {
				t.Errorf("signature: %v, %v", d, err)
			}
			bare := newLayout(t)
			copyTo(t, bare, "v2", middle, "v1", transfer.Options{})
			if has, err := bare.HasTree(t.Context(), s.referrer); err != nil || has {
				t.Errorf("referrers came without being asked for: %v", err)
			}
		})
	}
}

func TestPlatform(t *testing.T) {
	s, dst := newSample(t), newLayout(t)
	d := copyTo(t, dst, "x", s, "app", transfer.Options{Platform: &oci.Platform{OS: "linux", Architecture: "arm64"}})
	if d.Digest != s.arm64.Digest {
		t.Errorf("copied %s", d.Digest)
	}
	whole(t, dst, s.arm64)
	for _, d := range []oci.Descriptor{s.index, s.amd64} {
		if has, err := dst.HasTree(t.Context(), d); has || err != nil {
			t.Errorf("%s came too: %v", d.Digest, err)
		}
	}
	if d, err := dst.Resolve(t.Context(), "x"); err != nil || d.Digest != s.arm64.Digest {
		t.Errorf("x is %v, %v", d, err)
	}
	if d := copyTo(t, dst, "x", s, s.amd64.Digest.String(), transfer.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}}); d.Digest != s.amd64.Digest {
		t.Errorf("an image by itself: %s", d.Digest)
	}
}

// What is there is not copied again, and to see that takes few requests.
func TestAgain(t *testing.T) {
	registry, s := registrytest.New(t), newSample(t)
	src := repository(t, registry.Host, "team/app")
	copyTo(t, src, "v1", s, "app", transfer.Options{})
	dst := newLayout(t)
	copyTo(t, dst, "x", src, "v1", transfer.Options{})

	registry.Requests()
	copyTo(t, dst, "x", src, "v1", transfer.Options{})
	if asked := registry.Requests(); len(asked) != 1 {
		t.Errorf("all again: %q", asked)
	}
	registry.Requests()
	copyTo(t, dst, "y", src, "v1", transfer.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}})
	if asked := registry.Requests(); len(asked) != 1 {
		t.Errorf("one platform of all that is there: %q", asked)
	}
	one := newLayout(t)
	for range 2 {
		registry.Requests()
		copyTo(t, one, "y", src, "v1", transfer.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}})
	}
	if asked := registry.Requests(); len(asked) != 2 { // the tag, and the index, which is not kept
		t.Errorf("one platform again: %q", asked)
	}
	for range 2 {
		registry.Requests()
		copyTo(t, one, "z", src, s.amd64.Digest.String(), transfer.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}})
	}
	if asked := registry.Requests(); len(asked) != 1 {
		t.Errorf("an image again: %q", asked)
	}
	copyTo(t, src, "v1", s, "app", transfer.Options{})
	if asked := registry.Requests(); len(asked) > 3 {
		t.Errorf("pushed again: %q", asked)
	}
}

// Within one registry no blob travels.
func TestMounts(t *testing.T) {
	registry, s := registrytest.New(t), newSample(t)
	src, dst := repository(t, registry.Host, "team/app"), repository(t, registry.Host, "team/other")
	copyTo(t, src, "v1", s, "app", transfer.Options{})
	registry.Requests()
	var present, copied int
	var mu sync.Mutex
	copyTo(t, dst, "v1", src, "v1", transfer.Options{Progress: func(e transfer.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch e.Kind {
		case transfer.Present:
			present++
		case transfer.Copied:
			copied++
		}
	}})
	for _, asked := range registry.Requests() {
		if strings.HasPrefix(asked, "GET /v2/team/app/blobs") || strings.HasPrefix(asked, "PATCH") || strings.Contains(asked, "digest=") {
			t.Errorf("%s", asked)
		}
	}
	if present != 6 || copied != 3 {
		t.Errorf("%d blobs were there, %d manifests copied", present, copied)
	}
	whole(t, dst, s.index)
}

// watched is a Target that sees in which order things come, and how many at once.
type watched struct {
	transfer.Target
	t *testing.T

	mu        sync.Mutex
	order     []string
	now, most int
}

func (w *watched) PutBlob(ctx context.Context, d oci.Descriptor, open func(int64) (io.ReadCloser, error)) error {
	w.mu.Lock()
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	err := w.Target.PutBlob(ctx, d, open)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now--
	w.order = append(w.order, d.Digest.String())
	return err
}

func (w *watched) PutManifest(ctx context.Context, d oci.Descriptor, raw []byte, name string) error {
	err := w.Target.PutManifest(ctx, d, raw, name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, d.Digest.String()+name)
	return err
}

func TestChildrenFirst(t *testing.T) {
	s := newSample(t)
	dst := &watched{Target: newLayout(t), t: t}
	copyTo(t, dst, "x", s, "app", transfer.Options{Parallel: 2, Referrers: true})
	at := func(d oci.Descriptor, name string) int {
		i := slices.Index(dst.order, d.Digest.String()+name)
		if i < 0 {
			t.Errorf("%s %s did not come", d.Digest, name)
		}
		return i
	}
	if at(describe("", []byte("shared")), "") > min(at(s.amd64, ""), at(s.arm64, "")) || max(at(s.amd64, ""), at(s.arm64, "")) > at(s.index, "") {
		t.Errorf("not the children first: %q", dst.order)
	}
	if last := at(s.index, "x"); last != len(dst.order)-1 {
		t.Errorf("the name is not last: %q", dst.order)
	}
	if dst.most > 2 {
		t.Errorf("%d blobs at once", dst.most)
	}
	if shared := describe("", []byte("shared")).Digest.String(); slices.Index(dst.order, shared) != len(dst.order)-1-slices.Index(reversed(dst.order), shared) {
		t.Errorf("a shared layer came twice: %q", dst.order)
	}
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// Docker's types, layers that nobody may pass on, and entries that are no manifests
// stay what they are.
func TestOddImages(t *testing.T) {
	s := newLayout(t)
	missing := describe(oci.MediaTypeDockerForeignLayer, []byte("not for you"))
	missing.URLs = []string{"http://127.0.0.1:1/never"}
	docker := put(t, s, oci.MediaTypeDockerManifest, oci.Manifest{
		SchemaVersion: 2, MediaType: oci.MediaTypeDockerManifest,
		Config: putBlob(t, s, oci.MediaTypeDockerConfig, "{}"),
		Layers: []oci.Descriptor{missing, putBlob(t, s, oci.MediaTypeDockerLayerGzip, "layer")},
	}, "")
	cache := putBlob(t, s, oci.MediaTypeImageLayerGzip, "a layer of a build cache")
	list := put(t, s, oci.MediaTypeDockerManifestList, oci.Index{
		SchemaVersion: 2, MediaType: oci.MediaTypeDockerManifestList, Manifests: []oci.Descriptor{docker, cache},
	}, "app")
	registry := repository(t, registrytest.New(t).Host, "x")
	var left []digest.Digest
	copyTo(t, registry, "v1", s, "app", transfer.Options{Parallel: 1, Progress: func(e transfer.Event) {
		if e.Kind == transfer.Left {
			left = append(left, e.Descriptor.Digest)
		}
	}})
	if fmt.Sprint(left) != fmt.Sprint([]digest.Digest{missing.Digest}) {
		t.Errorf("left out: %v", left)
	}
	dst := newLayout(t)
	if d := copyTo(t, dst, "x", registry, "v1", transfer.Options{}); d.Digest != list.Digest || d.MediaType != list.MediaType {
		t.Errorf("copied %+v", d)
	}
	for _, blob := range []string{"{}", "layer", "a layer of a build cache"} {
		if _, err := dst.OpenBlob(t.Context(), describe("", []byte(blob))); err != nil {
			t.Error(err)
		}
	}
}

// The same bytes may be a layer of one image and the manifest of another.
func TestManifestThatIsALayerToo(t *testing.T) {
	s := newSample(t)
	asLayer := s.amd64
	asLayer.MediaType = oci.MediaTypeImageLayer
	odd := put(t, s, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, s, oci.MediaTypeEmptyJSON, "{}"), Layers: []oci.Descriptor{asLayer}}, "")
	put(t, s, oci.MediaTypeImageIndex, indexOf(odd, s.amd64), "both")
	dst := newLayout(t)
	whole(t, dst, copyTo(t, dst, "x", s, "both", transfer.Options{Parallel: 1}))
}

// Who asks for a digest gets that, and no name that says otherwise.
func TestNameThatIsADigest(t *testing.T) {
	s, dst := newSample(t), repository(t, registrytest.New(t).Host, "x")
	copyTo(t, dst, s.amd64.Digest.String(), s, s.amd64.Digest.String(), transfer.Options{})
	if _, err := transfer.Copy(t.Context(), dst, s.amd64.Digest.String(), s, s.arm64.Digest.String(), transfer.Options{}); !errors.Is(err, transfer.ErrDigest) {
		t.Errorf("%v", err)
	}
}

// What came of a pull that was stopped is not asked for again.
func TestPullGoesOn(t *testing.T) {
	registry, s, b := registrytest.New(t), newSample(t), mem.New()
	large := putBlob(t, s, oci.MediaTypeImageLayer, strings.Repeat("x", 40<<20))
	put(t, s, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, s, oci.MediaTypeImageConfig, "{}"), Layers: []oci.Descriptor{large}}, "large")
	copyTo(t, repository(t, registry.Host, "app"), "v1", s, "large", transfer.Options{})
	dst, err := layout.Create(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c, err := client.New(registry.Host, client.Options{Ranges: 1, Progress: func(d digest.Digest, done, size int64) {
		if d == large.Digest && done > size/2 {
			stop()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := transfer.Copy(ctx, dst, "x", transfer.NewRepository(c, ref.MustName("app")), "v1", transfer.Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	first := int64(-1)
	again, err := client.New(registry.Host, client.Options{Ranges: 1, Progress: func(d digest.Digest, done, _ int64) {
		if d == large.Digest && first < 0 {
			first = done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	whole(t, dst, copyTo(t, dst, "x", transfer.NewRepository(again, ref.MustName("app")), "v1", transfer.Options{}))
	if first <= large.Size/2 {
		t.Errorf("it began again at byte %d of %d", first, large.Size)
	}
}

// What refers to an image may have been made after the image was copied.
func TestReferrersOfWhatIsThere(t *testing.T) {
	for name, make := range places {
		if name == "archive" {
			continue // nothing is there before
		}
		s, dst := newSample(t), make(t)
		copyTo(t, dst, "v1", s, "app", transfer.Options{})
		copyTo(t, dst, "v1", s, s.index.Digest.String(), transfer.Options{Referrers: true})
		whole(t, dst.open(), s.referrer)
		whole(t, dst.open(), s.signature)
	}
}

// Another registry is not told what repositories there are here.
func TestNoMountsElsewhere(t *testing.T) {
	first, second, s := registrytest.New(t), registrytest.New(t), newSample(t)
	src := repository(t, first.Host, "secret/app")
	copyTo(t, src, "v1", s, "app", transfer.Options{})
	copyTo(t, repository(t, second.Host, "app"), "v1", src, "v1", transfer.Options{})
	for _, asked := range second.Requests() {
		if strings.Contains(asked, "secret") {
			t.Errorf("%s", asked)
		}
	}
}

// fussy reads a blob from its middle on, as a target does that has the rest.
type fussy struct {
	transfer.Target
	got map[digest.Digest]string
}

func (f *fussy) PutBlob(_ context.Context, d oci.Descriptor, open func(int64) (io.ReadCloser, error)) error {
	r, err := open(d.Size / 2)
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	f.got[d.Digest] = string(raw)
	return err
}

func TestOffsets(t *testing.T) {
	s := newSample(t)
	for name, make := range places {
		middle, dst := make(t), &fussy{newLayout(t), map[digest.Digest]string{}}
		copyTo(t, middle, "v1", s, "app", transfer.Options{})
		copyTo(t, dst, "x", middle.open(), "v1", transfer.Options{Parallel: 1})
		if got := dst.got[describe("", []byte("of amd64")).Digest]; got != "md64" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
