package repohttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

// double stands behind all ports: it keeps what it was asked, and answers what it
// was told to.
type double struct {
	asked string
	push  repo.Push
	err   error

	names []string
	found []oci.Descriptor
}

func (d *double) PushManifest(_ context.Context, name ref.Name, p repo.Push) error {
	d.asked, d.push = "push "+name.String(), p
	return d.err
}

func (d *double) DeleteManifest(_ context.Context, name ref.Name, sum digest.Digest) error {
	d.asked = fmt.Sprint("delete manifest ", name, " ", sum)
	return d.err
}

func (d *double) DeleteTag(_ context.Context, name ref.Name, tag ref.Tag) error {
	d.asked = fmt.Sprint("delete tag ", name, " ", tag)
	return d.err
}

func (d *double) Tags(_ context.Context, name ref.Name, after string, n int) ([]string, bool, error) {
	d.asked = fmt.Sprint("tags ", name, " ", after, " ", n)
	page, more := d.page(after, n)
	return page, more, d.err
}

func (d *double) Repositories(_ context.Context, after string, n int) ([]string, bool, error) {
	d.asked = fmt.Sprint("catalog ", after, " ", n)
	page, more := d.page(after, n)
	return page, more, d.err
}

func (d *double) page(after string, n int) (page []string, more bool) {
	page = []string{}
	for _, name := range d.names {
		if name > after && len(page) == n {
			return page, true
		}
		if name > after {
			page = append(page, name)
		}
	}
	return page, false
}

func (d *double) Referrers(_ context.Context, name ref.Name, sum digest.Digest, artifactType string, after digest.Digest, n, maxBytes int) (found []oci.Descriptor, more bool, err error) {
	d.asked = fmt.Sprintf("referrers %s %s type=%s after=%s n=%d", name, sum, artifactType, after, n)
	for _, f := range d.found {
		if artifactType != "" && f.ArtifactType != artifactType || f.Digest.String() <= after.String() {
			continue
		}
		if len(found) == n {
			return found, true, d.err
		}
		found = append(found, f)
	}
	return found, false, d.err
}

// maxSize is the limit of manifests in these tests, the specification's.
const maxSize = manifest.MaxSize

func (d *double) mux() http.Handler {
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	repohttp.RegisterPush(mux, d, maxSize)
	repohttp.RegisterDelete(mux, d)
	repohttp.RegisterLists(mux, d, d, d)
	return mux
}

// send makes a request to the double.
func (d *double) send(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range header {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	d.mux().ServeHTTP(w, r)
	return w
}

// wantError wants a response to be that error and no other.
func wantError(t *testing.T, w *httptest.ResponseRecorder, status int, code ocierr.Code) ocierr.Error {
	t.Helper()
	var body ocierr.Body
	if err := json.Unmarshal(w.Body.Bytes(), &body); w.Code != status || err != nil || len(body.Errors) != 1 || body.Errors[0].Code != code {
		t.Errorf("%d %s; want %d %s", w.Code, w.Body, status, code)
		return ocierr.Error{}
	}
	return body.Errors[0]
}

var (
	sum = digest.FromBytes([]byte("x"))
	raw = `{"schemaVersion":2,"manifests":[]}`
)

func TestErrors(t *testing.T) {
	desc := oci.Descriptor{MediaType: "application/x", Digest: sum, Size: 1}
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   ocierr.Code
		detail string
	}{
		{"no such repository", repo.ErrNameUnknown, 404, ocierr.NameUnknown, "null"},
		{"no such manifest", repo.ErrManifestUnknown, 404, ocierr.ManifestUnknown, "null"},
		{"no such blob", repo.ErrBlobUnknown, 404, ocierr.BlobUnknown, "null"},
		{"wrapped", fmt.Errorf("reading: %w", repo.ErrNameUnknown), 404, ocierr.NameUnknown, "null"},
		{"a tag in another state", repo.ErrCondition, 412, ocierr.Unsupported, `"the tag or manifest is not in the state that was asked for"`},
		{"an invalid manifest", &manifest.Error{Faults: []oci.Fault{{Path: "config", Reason: "bad"}, {Reason: "worse"}}}, 400, ocierr.ManifestInvalid, `["config: bad","worse"]`},
		{"missing children", &repo.MissingError{Missing: []oci.Descriptor{desc}}, 400, ocierr.ManifestBlobUnknown,
			`[{"digest":"` + sum.String() + `","mediaType":"application/x","size":1}]`},
		{"a middleware's own error", ocierr.Denied.With("not today"), 403, ocierr.Denied, `"not today"`},
		{"a full disk, without its path", fmt.Errorf("%w: /var/lib/x", bucket.ErrFull), 507, ocierr.StorageFull, "null"},
		{"anything else, without its text", errors.New("open /var/lib/x: input/output error"), 500, ocierr.InternalError, "null"},
	} {
		for _, request := range [][]string{
			{"PUT", "/v2/a/b/manifests/v1"}, {"DELETE", "/v2/a/b/manifests/v1"}, {"DELETE", "/v2/a/b/manifests/" + sum.String()},
			{"GET", "/v2/a/b/tags/list"}, {"GET", "/v2/a/b/referrers/" + sum.String()}, {"GET", "/v2/_catalog"},
		} {
			d := &double{err: tt.err}
			e := wantError(t, d.send(request[0], request[1], raw), tt.status, tt.code)
			if detail, _ := json.Marshal(e.Detail); string(detail) != tt.detail {
				t.Errorf("%s: %v: detail %s; want %s", tt.name, request, detail, tt.detail)
			}
			if d.asked == "" {
				t.Errorf("%s: %v: the port was not asked", tt.name, request)
			}
		}
	}
}

func TestDelete(t *testing.T) {
	for _, tt := range []struct{ target, asked string }{
		{"/v2/team/app/manifests/v1", "delete tag team/app v1"},
		{"/v2/team/app/manifests/" + sum.String(), "delete manifest team/app " + sum.String()},
		{"/v2/manifests/manifests/manifests", "delete tag manifests manifests"},
	} {
		d := &double{}
		w := d.send("DELETE", tt.target, "")
		if w.Code != 202 || w.Body.Len() != 0 || d.asked != tt.asked {
			t.Errorf("%s: %d %s, asked %q; want %q", tt.target, w.Code, w.Body, d.asked, tt.asked)
		}
	}
}
