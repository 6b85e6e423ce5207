package pullhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/apitest"
)

// object is an open blob in memory that knows whether it was closed.
type object struct {
	*bytes.Reader
	closed *bool
}

func (o object) Info() bucket.Info { return bucket.Info{Size: o.Size()} }

func (o object) Close() error {
	*o.closed = true
	return nil
}

// shelf is one blob and one manifest, behind all ports of this package; or err in
// the place of everything.
type shelf struct {
	content []byte
	desc    oci.Descriptor
	err     error

	opened, stated int
	closed         bool
	deleted        []string
}

func (s *shelf) OpenBlob(context.Context, ref.Name, digest.Digest) (bucket.Object, error) {
	if s.opened++; s.err != nil {
		return nil, s.err
	}
	return object{bytes.NewReader(s.content), &s.closed}, nil
}

func (s *shelf) StatBlob(context.Context, ref.Name, digest.Digest) (int64, error) {
	s.stated++
	return int64(len(s.content)), s.err
}

func (s *shelf) Manifest(context.Context, ref.Name, ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	return s.desc, s.content, s.err
}

func (s *shelf) DeleteBlob(_ context.Context, name ref.Name, d digest.Digest) error {
	s.deleted = append(s.deleted, name.String()+" "+d.String())
	return s.err
}

func (s *shelf) mux() *api.Mux {
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	RegisterBlobs(mux, s)
	RegisterManifests(mux, s)
	RegisterBlobDelete(mux, s)
	return mux
}

// ask makes a request with header lines as pairs.
func (s *shelf) ask(method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.mux().ServeHTTP(w, r)
	return w
}

// blobPath and manifestPath are where a shelf has its content.
func (s *shelf) blobPath() string     { return "/v2/team/app/blobs/" + s.digest().String() }
func (s *shelf) manifestPath() string { return "/v2/team/app/manifests/latest" }

func (s *shelf) digest() digest.Digest { return digest.FromBytes(s.content) }

func newShelf(content string) *shelf {
	s := &shelf{content: []byte(content)}
	s.desc = oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: s.digest(), Size: int64(len(content))}
	return s
}

// code is the code of the error in a response, "" if it is none.
func code(w *httptest.ResponseRecorder) ocierr.Code {
	var body ocierr.Body
	if json.Unmarshal(w.Body.Bytes(), &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}

// The list that every registry is held to.
func TestExchanges(t *testing.T) {
	fixture := apitest.NewFixture()
	store := cas.New(mem.New(), cas.Distribution)
	if err := store.PutBytes(t.Context(), digest.FromBytes([]byte(fixture.Blob)), []byte(fixture.Blob)); err != nil {
		t.Fatal(err)
	}
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Handle(endpoint.Base, api.Base)
	RegisterBlobs(mux, Bare{store})
	RegisterManifests(mux, tagged{fixture})
	server := httptest.NewServer(mux)
	defer server.Close()
	apitest.Run(t, server.URL, apitest.Pull(fixture))
}

// tagged is the manifest of a fixture.
type tagged struct{ apitest.Fixture }

func (f tagged) Manifest(_ context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	raw := []byte(f.Fixture.Manifest)
	d := digest.FromBytes(raw)
	if name.String() != f.Name || reference.String() != f.Tag && reference.String() != d.String() {
		return oci.Descriptor{}, nil, bucket.ErrNotExist
	}
	return oci.Descriptor{MediaType: f.MediaType, Digest: d, Size: int64(len(raw))}, raw, nil
}

func TestErrorsOfThePorts(t *testing.T) {
	tests := []struct {
		name                             string
		err                              error
		status                           int
		ofBlobs, ofManifests, ofDeletion ocierr.Code
	}{
		{"not there", bucket.ErrNotExist, 404, ocierr.BlobUnknown, ocierr.ManifestUnknown, ocierr.BlobUnknown},
		{"not there, wrapped", fmt.Errorf("store: %w", bucket.ErrNotExist), 404, ocierr.BlobUnknown, ocierr.ManifestUnknown, ocierr.BlobUnknown},
		{"in the specification's words", ocierr.NameUnknown, 404, ocierr.NameUnknown, ocierr.NameUnknown, ocierr.NameUnknown},
		{"refused", ocierr.Denied.With("why"), 403, ocierr.Denied, ocierr.Denied, ocierr.Denied},
		{"a fault", errors.New("disk on fire"), 500, ocierr.InternalError, ocierr.InternalError, ocierr.InternalError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf("content")
			s.err = tt.err
			for _, request := range []struct {
				method, target string
				want           ocierr.Code
			}{
				{"GET", s.blobPath(), tt.ofBlobs}, {"GET", s.manifestPath(), tt.ofManifests}, {"DELETE", s.blobPath(), tt.ofDeletion},
			} {
				w := s.ask(request.method, request.target)
				if w.Code != tt.status || code(w) != request.want || w.Header().Get("Etag") != "" {
					t.Errorf("%s %s: %d %s %v", request.method, request.target, w.Code, w.Body, w.Header())
				}
			}
			for _, target := range []string{s.blobPath(), s.manifestPath()} {
				if w := s.ask("HEAD", target); w.Code != tt.status || w.Body.Len() > 0 {
					t.Errorf("HEAD %s: %d %q", target, w.Code, w.Body)
				}
			}
		})
	}
}

func TestDeleteBlob(t *testing.T) {
	s := newShelf("content")
	w := s.ask("DELETE", s.blobPath())
	if want := "team/app " + s.digest().String(); w.Code != 202 || w.Body.Len() > 0 || len(s.deleted) != 1 || s.deleted[0] != want {
		t.Errorf("%d %q, deleted %q", w.Code, w.Body, s.deleted)
	}
}

// HEAD opens nothing, and GET closes what it has opened, whatever it answers.
func TestBlobsAreClosed(t *testing.T) {
	for name, header := range map[string][]string{
		"whole":          nil,
		"range":          {"Range", "bytes=1-2"},
		"several ranges": {"Range", "bytes=1-2,4-5"},
		"no such range":  {"Range", "bytes=99-"},
		"not modified":   {"If-None-Match", "*"},
		"another":        {"If-Match", `"x"`},
	} {
		s := newShelf("content")
		if s.ask("GET", s.blobPath(), header...); s.opened != 1 || !s.closed || s.stated != 0 {
			t.Errorf("GET %s: opened %d times, closed: %v, asked for the size %d times", name, s.opened, s.closed, s.stated)
		}
		s = newShelf("content")
		if w := s.ask("HEAD", s.blobPath(), header...); s.opened != 0 || s.stated != 1 || w.Body.Len() > 0 {
			t.Errorf("HEAD %s: opened %d times, asked for the size %d times, %q", name, s.opened, s.stated, w.Body)
		}
	}
}

func TestHEADIsGETWithoutBody(t *testing.T) {
	s := newShelf("content")
	for _, target := range []string{s.blobPath(), s.manifestPath()} {
		get, head := s.ask("GET", target), s.ask("HEAD", target)
		if g, h := fmt.Sprint(get.Header()), fmt.Sprint(head.Header()); get.Code != 200 || head.Code != 200 || g != h || head.Body.Len() > 0 {
			t.Errorf("GET %d %s\nHEAD %d %s %q", get.Code, g, head.Code, h, head.Body)
		}
	}
}

// A manifest is of a type that a client chose. No browser may make another of it.
func TestManifestHeaders(t *testing.T) {
	s := newShelf(`{"schemaVersion":2}`)
	h := s.ask("GET", s.manifestPath()).Header()
	for name, want := range map[string]string{
		"Content-Type": s.desc.MediaType, "X-Content-Type-Options": "nosniff", "Content-Length": "19",
		"Docker-Content-Digest": s.desc.Digest.String(), "Etag": `"` + s.desc.Digest.String() + `"`,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// brokenObject fails half-way, as a disk may.
type brokenObject struct{ object }

func (o brokenObject) Read(p []byte) (int, error) {
	if pos, _ := o.Seek(0, io.SeekCurrent); pos >= 4 {
		return 0, errors.New("disk on fire")
	}
	return o.Reader.Read(p[:min(len(p), 4)])
}

type brokenShelf struct{ *shelf }

func (s brokenShelf) OpenBlob(context.Context, ref.Name, digest.Digest) (bucket.Object, error) {
	return brokenObject{object{bytes.NewReader(s.content), &s.closed}}, nil
}

// When reading fails after the header went out, the client must not take what it
// got for the whole.
func TestReadFailsHalfWay(t *testing.T) {
	s := newShelf("content that is longer than four bytes")
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	RegisterBlobs(mux, brokenShelf{s})
	server := httptest.NewServer(mux)
	defer server.Close()
	resp, err := http.Get(server.URL + s.blobPath())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > 4 {
		t.Errorf("%q, %v", got, err)
	}
}
