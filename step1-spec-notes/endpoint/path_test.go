package endpoint_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
)

func TestParsePath(t *testing.T) {
	const (
		blob, manifest = "/v2/{name}/blobs/{digest}", "/v2/{name}/manifests/{reference}"
		start, session = "/v2/{name}/blobs/uploads/", "/v2/{name}/blobs/uploads/{session}"
		tags, refs     = "/v2/{name}/tags/list", "/v2/{name}/referrers/{digest}"
	)
	tests := []struct {
		name, path    string
		pattern, repo string
		reason        string
	}{
		{"base", "/v2/", "/v2/", "", ""},
		{"base without its slash", "/v2", "/v2/", "", "counts as the same, never redirected"},
		{"catalog", "/v2/_catalog", "/v2/_catalog", "", "no name starts with _"},
		{"blob", "/v2/a/blobs/" + aDigest, blob, "a", ""},
		{"encoded colon", "/v2/a/blobs/" + strings.Replace(aDigest, ":", "%3A", 1), blob, "a", "some clients encode it"},
		{"manifest by tag", "/v2/a/b/c/manifests/latest", manifest, "a/b/c", ""},
		{"manifest by digest", "/v2/a/manifests/" + aDigest, manifest, "a", ""},
		{"start", "/v2/a/blobs/uploads/", start, "a", ""},
		{"start without its slash", "/v2/a/blobs/uploads", start, "a", "curl users forget it"},
		{"session", "/v2/a/blobs/uploads/" + aSession, session, "a", ""},
		{"tags", "/v2/a/tags/list", tags, "a", ""},
		{"referrers", "/v2/a/referrers/" + aDigest, refs, "a", ""},

		{"repository tags/list", "/v2/tags/list/tags/list", tags, "tags/list", "words of the API are names too"},
		{"repository x/blobs/uploads", "/v2/x/blobs/uploads/blobs/uploads/", start, "x/blobs/uploads", ""},
		{"tags of x/blobs/uploads", "/v2/x/blobs/uploads/tags/list", tags, "x/blobs/uploads", "cut from the right"},
		{"session of blobs", "/v2/blobs/blobs/uploads/" + aSession, session, "blobs", ""},
		{"repository manifests", "/v2/manifests/manifests/manifests", manifest, "manifests", "tag, word and name"},
		{"repository blobs", "/v2/blobs/blobs/" + aDigest, blob, "blobs", ""},
		{"repository a/manifests/b", "/v2/a/manifests/b/manifests/c", manifest, "a/manifests/b", ""},
		{"repository a/referrers", "/v2/a/referrers/referrers/" + aDigest, refs, "a/referrers", ""},
		{"repository v2", "/v2/v2/tags/list", tags, "v2", ""},
		{"tag uploads", "/v2/a/blobs/manifests/uploads", manifest, "a/blobs", ""},
		{"tag list", "/v2/a/tags/manifests/list", manifest, "a/tags", ""},
		{"encoded letter", "/v2/%61/tags/list", tags, "a", "the same name, written in a longer way"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := endpoint.ParsePath(tt.path)
			if err != nil || p.Pattern != tt.pattern || p.Name.String() != tt.repo {
				t.Fatalf("ParsePath = %+v, %v; want %s of %q (%s)", p, err, tt.pattern, tt.repo, tt.reason)
			}
			checkPath(t, p)
		})
	}
}

func TestParsePathRefuses(t *testing.T) {
	tests := []struct {
		name, path string
		want       error
		reason     string
	}{
		{"root", "/", endpoint.ErrUnknownPath, ""},
		{"empty", "", endpoint.ErrUnknownPath, ""},
		{"asterisk", "*", endpoint.ErrUnknownPath, "OPTIONS * has no path"},
		{"version 1", "/v1/a/tags/list", endpoint.ErrUnknownPath, ""},
		{"longer word", "/v2x/a/tags/list", endpoint.ErrUnknownPath, ""},
		{"doubled slash first", "/v2//", endpoint.ErrUnknownPath, "no shape of path"},
		{"name alone", "/v2/a", endpoint.ErrUnknownPath, ""},
		{"tags without list", "/v2/a/tags", endpoint.ErrUnknownPath, ""},
		{"list with a slash", "/v2/a/tags/list/", endpoint.ErrUnknownPath, "one spelling of each path"},
		{"catalog with a slash", "/v2/_catalog/", endpoint.ErrUnknownPath, "one spelling of each path"},
		{"encoded word", "/v2/a/%6danifests/x", endpoint.ErrUnknownPath, "words are written as they are"},
		{"below a session", "/v2/a/blobs/uploads/" + aSession + "/x", endpoint.ErrUnknownPath, ""},

		{"no name", "/v2/tags/list", ref.ErrName, "a name is required"},
		{"empty name", "/v2//tags/list", ref.ErrName, ""},
		{"upper case", "/v2/UPPER/tags/list", ref.ErrName, ""},
		{"doubled slash", "/v2/a//b/tags/list", ref.ErrName, "a mux would redirect to another repository"},
		{"dot segments", "/v2/a/../b/tags/list", ref.ErrName, "a mux would redirect to another repository"},
		{"encoded dot segments", "/v2/a/%2e%2e/b/tags/list", ref.ErrName, "a mux would let them through"},
		{"encoded slash", "/v2/a%2Fb/tags/list", ref.ErrName, "two spellings of one name"},
		{"encoded backslash", "/v2/a%5Cb/tags/list", ref.ErrName, ""},
		{"encoded NUL", "/v2/a%00/tags/list", ref.ErrName, ""},
		{"bad escape", "/v2/a%zz/tags/list", ref.ErrName, ""},
		{"overlong UTF-8", "/v2/a%c0%afb/tags/list", ref.ErrName, ""},
		{"long name", "/v2/" + strings.Repeat("a", 256) + "/tags/list", ref.ErrName, ""},
		{"name before digest", "/v2/UPPER/blobs/sha256:zz", ref.ErrName, "what is wrong first is told"},

		{"short digest", "/v2/a/blobs/sha256:aa", digest.ErrInvalid, ""},
		{"md5", "/v2/a/blobs/md5:00", digest.ErrUnsupported, ""},
		{"traversal in a digest", "/v2/a/blobs/sha256:..%2f..%2fetc%2fpasswd", digest.ErrInvalid, ""},
		{"no digest", "/v2/a/blobs/", digest.ErrInvalid, ""},
		{"digest of referrers", "/v2/a/referrers/latest", digest.ErrInvalid, "a tag does not do"},
		{"manifest by bad digest", "/v2/a/manifests/sha256:zz", digest.ErrInvalid, ""},
		{"bad escape in a digest", "/v2/a/blobs/%zz", digest.ErrInvalid, ""},

		{"hidden tag", "/v2/a/manifests/.x", ref.ErrTag, ""},
		{"long tag", "/v2/a/manifests/" + strings.Repeat("t", 129), ref.ErrTag, ""},
		{"no tag", "/v2/a/manifests/", ref.ErrTag, ""},
		{"slash in a tag", "/v2/a/manifests/b%2Fc", ref.ErrTag, ""},

		{"session that is no UUID", "/v2/a/blobs/uploads/x", endpoint.ErrSession, ""},
		{"session in capitals", "/v2/a/blobs/uploads/" + strings.ToUpper(aSession), endpoint.ErrSession, "one spelling"},
		{"traversal in a session", "/v2/a/blobs/uploads/..%2f..%2f", endpoint.ErrSession, ""},
		{"dashes elsewhere", "/v2/a/blobs/uploads/0123456-789ab-4cde-8f01-23456789abcd", endpoint.ErrSession, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := endpoint.ParsePath(tt.path)
			if !errors.Is(err, tt.want) || p != (endpoint.Path{}) {
				t.Errorf("ParsePath = %+v, %v; want %v (%s)", p, err, tt.want, tt.reason)
			}
		})
	}
}

// The reason given is the true one: an encoded slash is not blamed on a name that
// is merely missing.
func TestMissingNameIsCalledEmpty(t *testing.T) {
	_, err := endpoint.ParsePath("/v2/tags/list")
	if err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("err = %v", err)
	}
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		name, path string
		code       ocierr.Code
		status     int
		reason     string
	}{
		{"unknown path", "/v1/", ocierr.Unsupported, 404, "405 would say that another method helps"},
		{"name", "/v2/A/tags/list", ocierr.NameInvalid, 400, ""},
		{"digest", "/v2/a/blobs/x", ocierr.DigestInvalid, 400, ""},
		{"foreign digest", "/v2/a/blobs/md5:00", ocierr.DigestInvalid, 400, "the same code: the specification has no other"},
		{"manifest by bad digest", "/v2/a/manifests/sha256:x", ocierr.DigestInvalid, 400, "a colon makes it a digest"},
		{"tag", "/v2/a/manifests/.x", ocierr.ManifestUnknown, 404, "the specification has no code for tags"},
		{"session", "/v2/a/blobs/uploads/x", ocierr.BlobUploadUnknown, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := endpoint.ParsePath(tt.path)
			e, _ := ocierr.From(endpoint.Refusal(err))
			if err == nil || e.Code != tt.code || e.Status != tt.status {
				t.Errorf("%v is answered by %d %s, want %d %s (%s)", err, e.Status, e.Code, tt.status, tt.code, tt.reason)
			}
		})
	}
}

func TestMatchAndAllow(t *testing.T) {
	p, err := endpoint.ParsePath("/v2/a/manifests/x")
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]*endpoint.Endpoint{
		"GET": endpoint.PullManifest, "HEAD": endpoint.PullManifest, "PUT": endpoint.PushManifest,
		"DELETE": endpoint.DeleteManifest, "POST": nil, "get": nil, "": nil,
	} {
		if got := p.Match(method); got != want {
			t.Errorf("Match(%q) = %v", method, got)
		}
	}
	if want := []string{"GET", "HEAD", "PUT", "DELETE"}; !slices.Equal(p.Allow(), want) {
		t.Errorf("Allow = %v, want %v", p.Allow(), want)
	}
}

// checkPath holds for every path that ParsePath accepts: both written forms lead
// back to it, and the standard library's router finds its pattern and its name.
func checkPath(t *testing.T, p endpoint.Path) {
	t.Helper()
	if again, err := endpoint.ParsePath(p.String()); err != nil || again != p {
		t.Fatalf("%q comes back as %+v, %v", p.String(), again, err)
	}
	u, err := url.Parse(p.Folded())
	if err != nil || u.Path != p.String() || u.EscapedPath() != p.Folded() {
		t.Fatalf("%q unfolds to %q, %v; want %q", p.Folded(), u.Path, err, p.String())
	}
	var matched, name string
	answer := httptest.NewRecorder()
	newMux(func(_ http.ResponseWriter, r *http.Request) {
		matched, name = r.Pattern, r.PathValue("name")
	}).ServeHTTP(answer, &http.Request{Method: "PUT", URL: u})
	if matched != p.Pattern || name != p.Name.String() || answer.Code != http.StatusOK {
		t.Fatalf("the mux answers %d for %s, pattern %q, name %q", answer.Code, p.Folded(), matched, name)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{
		"", "/", "/v2", "/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/tags/list/tags/list", "/v2/a/b/manifests/latest",
		"/v2/a/manifests/" + aDigest, "/v2/a/blobs/sha256%3Aaa", "/v2/a/blobs/" + aDigest, "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/",
		"/v2/a/blobs/uploads/" + aSession, "/v2/a/referrers/" + aDigest, "/v2/a%2fb/tags/list", "/v2/a/%2e%2e/manifests/x",
		"/v2//blobs/uploads/", "/v2/a//manifests/x", "/v2/%/tags/list", "/v2/a\x00/tags/list", "/v2/blobs/uploads/blobs/uploads/manifests/list",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := endpoint.ParsePath(s)
		if err == nil {
			checkPath(t, p)
			return
		}
		if p != (endpoint.Path{}) {
			t.Fatalf("ParsePath(%q) = %+v beside %v", s, p, err)
		}
		if e, _ := ocierr.From(endpoint.Refusal(err)); e.Status/100 != 4 {
			t.Fatalf("ParsePath(%q): %v is answered by %d", s, err, e.Status)
		}
	})
}
