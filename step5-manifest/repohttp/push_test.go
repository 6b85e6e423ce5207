package repohttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

func TestPush(t *testing.T) {
	subject := `{"mediaType":"application/x","digest":"` + sum.String() + `","size":1}`
	signed := `{"schemaVersion":2,"manifests":[],"subject":` + subject + `}`
	sum256, sum512 := digest.FromBytes([]byte(raw)).String(), digest.SHA512.FromBytes([]byte(raw)).String()
	for _, tt := range []struct {
		name, target, body string
		digest, subject    string
		tags, said         []string // set, and confirmed by OCI-Tag
	}{
		{"by tag", "/v2/a/b/manifests/v1", raw, sum256, "", []string{"v1"}, nil},
		{"by digest", "/v2/a/b/manifests/" + sum256, raw, sum256, "", nil, nil},
		{"by a digest with an escaped colon", "/v2/a/b/manifests/" + strings.Replace(sum256, ":", "%3A", 1), raw, sum256, "", nil, nil},
		{"by sha512", "/v2/a/b/manifests/" + sum512, raw, sum512, "", nil, nil},
		{"with a subject", "/v2/a/b/manifests/v1", signed, digest.FromBytes([]byte(signed)).String(), sum.String(), []string{"v1"}, nil},
		{"by digest with tags", "/v2/a/b/manifests/" + sum256 + "?tag=x&tag=y&tag=x", raw, sum256, "", []string{"x", "y"}, []string{"x", "y"}},
		{"by tag with tags, each once", "/v2/a/b/manifests/v1?tag=y&tag=v1", raw, sum256, "", []string{"v1", "y"}, []string{"v1", "y"}},
		{"with a query that nobody knows", "/v2/a/b/manifests/v1?ns=docker.io", raw, sum256, "", []string{"v1"}, nil},
	} {
		d := &double{}
		w := d.send("PUT", tt.target, tt.body)
		h := w.Header()
		if w.Code != 201 || w.Body.Len() != 0 || d.asked != "push a/b" {
			t.Errorf("%s: %d %s, asked %q", tt.name, w.Code, w.Body, d.asked)
			continue
		}
		if h.Get("Location") != "/v2/a/b/manifests/"+tt.digest || h.Get("Docker-Content-Digest") != tt.digest ||
			h.Get("ETag") != `"`+tt.digest+`"` || h.Get("OCI-Subject") != tt.subject || !slices.Equal(h.Values("OCI-Tag"), tt.said) {
			t.Errorf("%s: header %v", tt.name, h)
		}
		var tags []string
		for _, tag := range d.push.Tags {
			tags = append(tags, tag.String())
		}
		if d.push.Digest.String() != tt.digest || string(d.push.Raw) != tt.body || !slices.Equal(tags, tt.tags) || d.push.If != nil {
			t.Errorf("%s: pushed %+v", tt.name, d.push)
		}
	}
}

func TestPushRefused(t *testing.T) {
	hundred := "?tag=t0"
	for i := range 99 {
		hundred += fmt.Sprintf("&tag=t%d", i+1)
	}
	for _, tt := range []struct {
		name, target, body string
		header             []string
		status             int
		code               ocierr.Code
	}{
		{"gzipped: the digest would be of other bytes", "v1", raw, []string{"Content-Encoding: gzip"}, 415, ocierr.Unsupported},
		{"by digest, other body", sum.String(), raw, nil, 400, ocierr.DigestInvalid},
		{"by digest, no body", sum.String(), "", nil, 400, ocierr.DigestInvalid},
		{"not JSON", "v1", "hello", nil, 400, ocierr.ManifestInvalid},
		{"empty", "v1", "", nil, 400, ocierr.ManifestInvalid},
		{"media type is not the Content-Type", "v1", raw, []string{"Content-Type: " + oci.MediaTypeImageManifest}, 400, ocierr.ManifestInvalid},
		{"text/html", "v1", raw, []string{"Content-Type: text/html"}, 400, ocierr.ManifestInvalid},
		{"a tag that cannot be one", "v1?tag=-x", raw, nil, 400, ocierr.ManifestInvalid},
		{"an empty tag", "v1?tag=", raw, nil, 400, ocierr.ManifestInvalid},
		{"101 tags", "v1" + hundred, raw, nil, 414, ocierr.Unsupported},
	} {
		d := &double{}
		w := d.send("PUT", "/v2/a/b/manifests/"+tt.target, tt.body, tt.header...)
		if wantError(t, w, tt.status, tt.code); d.asked != "" {
			t.Errorf("%s: the port was asked", tt.name)
		}
	}
	for name, header := range map[string]string{
		"identity is no encoding": "Content-Encoding: identity",
		"parameters are ignored":  "Content-Type: " + oci.MediaTypeImageIndex + "; charset=utf-8",
	} {
		if w := (&double{}).send("PUT", "/v2/a/b/manifests/v1", raw, header); w.Code != 201 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := (&double{}).send("PUT", "/v2/a/b/manifests/t0"+hundred, raw); w.Code != 201 || len(w.Header().Values("OCI-Tag")) != 100 {
		t.Errorf("100 tags: %d %s", w.Code, w.Body)
	}
}

// endless is a body that says nothing of its length, and counts what is read of
// it.
type endless struct {
	read int
	err  error // after a while, if it is not endless after all
}

func (e *endless) Read(p []byte) (int, error) {
	if e.err != nil && e.read > 1<<20 {
		return 0, e.err
	}
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestPushSize(t *testing.T) {
	exact := raw + strings.Repeat(" ", maxSize-len(raw))
	d := &double{}
	if w := d.send("PUT", "/v2/a/b/manifests/v1", exact); w.Code != 201 || len(d.push.Raw) != maxSize {
		t.Errorf("4 MiB: %d %s", w.Code, w.Body)
	}
	const slack = 64 << 10
	for _, tt := range []struct {
		name   string
		length int64
		most   int
	}{
		{"announced, one byte too many", maxSize + 1, 0},
		{"announced, huge", 1 << 50, 0},
		{"not announced, endless", -1, maxSize + slack},
	} {
		d := &double{}
		body := &endless{}
		r := httptest.NewRequest("PUT", "/v2/a/b/manifests/v1", body)
		r.ContentLength = tt.length
		w := httptest.NewRecorder()
		d.mux().ServeHTTP(w, r)
		wantError(t, w, 413, ocierr.ManifestInvalid)
		if body.read > tt.most || d.asked != "" || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d bytes read, asked %q, %v", tt.name, body.read, d.asked, w.Header())
		}
	}
}

func TestPushCutOff(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
	}{
		{"the connection went", io.ErrUnexpectedEOF, 400},
		{"it came too slowly", fmt.Errorf("read tcp: %w", os.ErrDeadlineExceeded), 408},
		{"anything", errors.New("reset by 10.0.0.1"), 400},
	} {
		d := &double{}
		r := httptest.NewRequest("PUT", "/v2/a/b/manifests/v1", &endless{err: tt.err})
		w := httptest.NewRecorder()
		d.mux().ServeHTTP(w, r)
		if wantError(t, w, tt.status, ocierr.ManifestInvalid); d.asked != "" {
			t.Errorf("%s: the port was asked", tt.name)
		}
	}
}

// The condition of a push is what its headers say of what the tag refers to now.
func TestPushConditions(t *testing.T) {
	one, two := digest.FromBytes([]byte("1")), digest.FromBytes([]byte("2"))
	for _, tt := range []struct {
		name   string
		header []string
		// Whether it holds for a tag that is not there, that refers to one, or to two.
		absent, atOne, atTwo bool
	}{
		{"create only", []string{"If-None-Match: *"}, true, false, false},
		{"not if it is this one", []string{`If-None-Match: "` + one.String() + `"`}, true, false, true},
		{"only if it is this one", []string{`If-Match: "` + one.String() + `"`}, false, true, false},
		{"only if there is one", []string{"If-Match: *"}, false, true, true},
		{"one of a list", []string{`If-Match: "x", "` + two.String() + `" ,"y"`}, false, false, true},
		{"one of several lines", []string{`If-Match: "x"`, `If-Match: "` + two.String() + `"`}, false, false, true},
		{"both", []string{"If-Match: *", `If-None-Match: "` + one.String() + `"`}, false, false, true},
		{"a tag without its quotes is none", []string{"If-Match: " + one.String()}, false, false, false},
		{"an empty list", []string{"If-Match: "}, false, false, false},
	} {
		d := &double{}
		if w := d.send("PUT", "/v2/a/b/manifests/v1", raw, tt.header...); w.Code != 201 || d.push.If == nil {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
			continue
		}
		if got := [...]bool{d.push.If(digest.Digest{}), d.push.If(one), d.push.If(two)}; got != [...]bool{tt.absent, tt.atOne, tt.atTwo} {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
