package uploadhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/apitest"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
)

// bareMounter mounts what the store has, from anywhere.
type bareMounter struct{ store *cas.Store }

func (m bareMounter) MountBlob(ctx context.Context, _, _ ref.Name, d digest.Digest) error {
	_, err := m.store.Stat(ctx, d)
	return err
}

// registry is the handlers of this step over a store.
type registry struct {
	*testing.T
	mux     *api.Mux
	manager *upload.Manager
}

func newRegistry(t *testing.T, b bucket.Bucket, limits upload.Limits) registry {
	t.Helper()
	store := cas.New(b, cas.Distribution)
	return newRegistryWith(t, store, limits, bareMounter{store})
}

func newRegistryWith(t *testing.T, store *cas.Store, limits upload.Limits, mounter uploadhttp.Mounter) registry {
	t.Helper()
	manager, err := upload.New(t.Context(), store, upload.CommitBare, limits)
	if err != nil {
		t.Fatal(err)
	}
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	pullhttp.RegisterBlobs(mux, pullhttp.Bare{Store: store})
	uploadhttp.Register(mux, manager, mounter)
	return registry{t, mux, manager}
}

func mustName(s string) ref.Name {
	name, err := ref.ParseName(s)
	if err != nil {
		panic(err)
	}
	return name
}

const uploads = "/v2/team/app/blobs/uploads/"

// do makes a request. body is an io.Reader, a string, or nil; only the length of
// a string is announced.
func (g registry) do(method, target string, body any, header ...string) answer {
	g.Helper()
	var r *http.Request
	switch body := body.(type) {
	case string:
		r = httptest.NewRequest(method, target, strings.NewReader(body))
	case io.Reader:
		r = httptest.NewRequest(method, target, body)
		r.ContentLength = -1
	default:
		r = httptest.NewRequest(method, target, nil)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	g.mux.ServeHTTP(w, r)
	return answer{g.T, w}
}

// start opens a session and returns its path.
func (g registry) start() string {
	g.Helper()
	a := g.do("POST", uploads, nil)
	a.want(http.StatusAccepted)
	return a.Header().Get("Location")
}

func (g registry) status(session string, size int) {
	g.Helper()
	g.do("GET", session, nil).want(http.StatusNoContent, progress(session, size)...)
}

// progress is what the headers say of a session that holds size bytes.
func progress(session string, size int) []string {
	return []string{"Location: " + session, fmt.Sprintf("Range: 0-%d", max(size-1, 0))}
}

// finish publishes the session, which is content together with last.
func (g registry) finish(session, last, content string) {
	g.Helper()
	d := sha256Of(content)
	g.do("PUT", session+"?digest="+d, last).want(http.StatusCreated, "Docker-Content-Digest: "+d, "Location: "+blob(d))
	g.pull(content)
}

func (g registry) pull(content string) {
	g.Helper()
	if a := g.do("GET", blob(sha256Of(content)), nil); a.Code != http.StatusOK || a.Body.String() != content {
		g.Errorf("GET of what was pushed: %d, %.40q", a.Code, a.Body)
	}
}

func sha256Of(content string) string { return digest.FromBytes([]byte(content)).String() }

func blob(d string) string { return "/v2/team/app/blobs/" + d }

type answer struct {
	*testing.T
	*httptest.ResponseRecorder
}

// want wants the status and headers. "Name: " stands for a header that is not
// there.
func (a answer) want(status int, header ...string) {
	a.Helper()
	if a.Code != status {
		a.Errorf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if got := a.ResponseRecorder.Header().Get(name); got != value {
			a.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func (a answer) wantError(status int, code ocierr.Code, header ...string) {
	a.Helper()
	a.want(status, header...)
	var body ocierr.Body
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Code != code {
		a.Errorf("the error is %s, want %s", a.Body, code)
	}
}

// The exchanges that every registry is held to, as far as they are about uploads.
func TestExchanges(t *testing.T) {
	buckets := map[string]func(t *testing.T) bucket.Bucket{
		"mem": func(t *testing.T) bucket.Bucket { return mem.New() },
		"dir": func(t *testing.T) bucket.Bucket {
			b, err := dir.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		},
	}
	for name, open := range buckets {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(newRegistry(t, open(t), upload.Limits{}).mux)
			defer server.Close()
			t.Run("Uploads", func(t *testing.T) { apitest.Run(t, server.URL, apitest.Uploads()) })
			t.Run("BadUploads", func(t *testing.T) { apitest.Run(t, server.URL, apitest.BadUploads()) })
		})
	}
}

func TestLocation(t *testing.T) {
	session := regexp.MustCompile(`^` + uploads + `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for name, public := range map[string]string{
		"relative": "", "public URL": "https://registry.example", "public URL with a path": "https://example.com/oci",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRegistry(t, mem.New(), upload.Limits{})
			g.mux.PublicURL = public
			// What the client says of the host is never repeated.
			forged := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example"}
			check := func(a answer, want *regexp.Regexp) string {
				t.Helper()
				path, ok := strings.CutPrefix(a.ResponseRecorder.Header().Get("Location"), public)
				if !ok || !want.MatchString(path) {
					t.Errorf("Location is %q", a.ResponseRecorder.Header().Get("Location"))
				}
				return path
			}
			path := check(g.do("POST", uploads, nil, forged...), session)
			check(g.do("PATCH", path, "hello", forged...), session)
			check(g.do("GET", path, nil, forged...), session)
			check(g.do("PATCH", path, "x", "Content-Range: 9-9"), session)
			d := sha256Of("hello")
			created := regexp.MustCompile("^" + blob(d) + "$")
			check(g.do("PUT", path+"?digest="+d, nil, forged...), created)
			check(g.do("POST", uploads+"?digest="+d, "hello", forged...), created)
			check(g.do("POST", uploads+"?from=a&mount="+d, nil, forged...), created)
		})
	}
}

// The header says of each session of 0 and of 1 byte the same; no other form is
// read by all clients.
func TestRangeHeader(t *testing.T) {
	g := newRegistry(t, mem.New(), upload.Limits{})
	session := g.start()
	for size, want := range []string{"0-0", "0-0", "0-1", "0-2"} {
		if size > 0 {
			g.do("PATCH", session, "x").want(http.StatusAccepted, "Range: "+want)
		}
		g.do("GET", session, nil).want(http.StatusNoContent, "Range: "+want)
	}
	if a := g.do("POST", uploads, nil); a.Result().Header.Get("Range") != "0-0" || a.Result().Header.Get("Docker-Upload-UUID") == "" {
		t.Errorf("POST: %v", a.Result().Header)
	}
}

func TestAnyContentType(t *testing.T) {
	types := []string{
		"application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json", "nonsense", "",
	}
	for _, kind := range types {
		t.Run(kind, func(t *testing.T) {
			g := newRegistry(t, mem.New(), upload.Limits{})
			header := "Content-Type: " + kind
			content := "digest=sha256:ab&mount=x"
			session := g.start()
			g.do("PATCH", session, content[:10], header).want(http.StatusAccepted, progress(session, 10)...)
			g.do("PUT", session+"?digest="+sha256Of(content), content[10:], header).want(http.StatusCreated)
			g.do("POST", uploads+"?digest="+sha256Of(content), content, header).want(http.StatusCreated)
			g.pull(content)
		})
	}
}
