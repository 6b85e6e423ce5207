package repohttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

const referrers = "/v2/a/b/referrers/"

func TestPageSize(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		n           int // -1 where it is refused
	}{
		{"not said", "", 10_000},
		{"zero", "?n=0", 0},
		{"one", "?n=1", 1},
		{"zeros in front", "?n=007", 7},
		{"as much as there is", "?n=10000", 10_000},
		{"more", "?n=10001", 10_000},
		{"more than an int32", "?n=2147483648", 10_000},
		{"more than an int64", "?n=9223372036854775808", 10_000},
		{"more than anything", "?n=" + strings.Repeat("9", 1000), 10_000},
		{"the first counts", "?n=3&n=x", 3},
		{"negative", "?n=-1", -1},
		{"with a plus", "?n=%2B1", -1},
		{"empty", "?n=", -1},
		{"a word", "?n=abc", -1},
		{"1e30", "?n=1e30", -1},
		{"hexadecimal", "?n=0x10", -1},
		{"with a space", "?n=1%20", -1},
		{"other digits", "?n=%D9%A1", -1},
	} {
		for target, most := range map[string]int{"/v2/a/b/tags/list": 10_000, "/v2/_catalog": 10_000, referrers + sum.String(): 1_000} {
			d := &double{}
			w := d.send("GET", target+tt.query, "")
			if tt.n < 0 {
				if wantError(t, w, 400, ocierr.Unsupported); d.asked != "" {
					t.Errorf("%s: %s was asked", tt.name, target)
				}
				continue
			}
			if want := fmt.Sprint(min(tt.n, most)); w.Code != 200 || !strings.HasSuffix(strings.ReplaceAll(d.asked, "n=", " "), " "+want) {
				t.Errorf("%s: %s: %d, asked %q; want %s", tt.name, target, w.Code, d.asked, want)
			}
		}
	}
}

// next is where the Link of a response leads, "" if there is none.
func next(t *testing.T, h http.Header) string {
	t.Helper()
	link := h.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutPrefix(link, "<")
	target, ok2 := strings.CutSuffix(target, `>; rel="next"`)
	if !ok || !ok2 || !strings.HasPrefix(target, "/v2/") || len(h.Values("Link")) != 1 {
		t.Errorf("Link: %q", h.Values("Link"))
	}
	return target
}

// Who follows the links sees everything, once.
func TestLinks(t *testing.T) {
	names := []string{"1.10", "1.9", "a", "a-b", "b", "c", "z"}
	for _, tt := range []struct{ target, field string }{
		{"/v2/a/b/tags/list", "tags"}, {"/v2/_catalog", "repositories"},
	} {
		for n := 1; n <= len(names)+1; n++ {
			var all []string
			pages := 0
			for target := fmt.Sprintf("%s?n=%d", tt.target, n); target != ""; pages++ {
				w := (&double{names: names}).send("GET", target, "")
				var body map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &body); w.Code != 200 || err != nil || w.Header().Get("Content-Type") != "application/json" {
					t.Fatalf("%s: %d %s", target, w.Code, w.Body)
				}
				for _, name := range body[tt.field].([]any) {
					all = append(all, name.(string))
				}
				target = next(t, w.Header())
			}
			if want := (len(names) + n - 1) / n; !slices.Equal(all, names) || pages != want {
				t.Errorf("%s by %d: %v on %d pages; want %d", tt.target, n, all, pages, want)
			}
		}
	}
}

func TestListBodies(t *testing.T) {
	for _, tt := range []struct {
		name, target string
		names        []string
		want         string
	}{
		{"tags", "/v2/a/b/tags/list", []string{"v1", "v2"}, `{"name":"a/b","tags":["v1","v2"]}`},
		{"no tags: never null", "/v2/a/b/tags/list", nil, `{"name":"a/b","tags":[]}`},
		{"n=0", "/v2/a/b/tags/list?n=0", []string{"v1"}, `{"name":"a/b","tags":[]}`},
		{"after a cursor that is not there", "/v2/a/b/tags/list?last=v10", []string{"v1", "v2"}, `{"name":"a/b","tags":["v2"]}`},
		{"after the end", "/v2/a/b/tags/list?last=zz", []string{"v1"}, `{"name":"a/b","tags":[]}`},
		{"catalog", "/v2/_catalog?last=a&n=5", []string{"a", "b/c"}, `{"repositories":["b/c"]}`},
		{"empty catalog", "/v2/_catalog", nil, `{"repositories":[]}`},
		{"no referrers", referrers + sum.String(), nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`},
	} {
		w := (&double{names: tt.names}).send("GET", tt.target, "")
		if w.Code != 200 || w.Body.String() != tt.want || w.Header().Get("Link") != "" {
			t.Errorf("%s: %d %s %v; want %s", tt.name, w.Code, w.Body, w.Header(), tt.want)
		}
	}
}

func TestReferrers(t *testing.T) {
	var found []oci.Descriptor
	for i := range 5 {
		found = append(found, oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: digest.FromBytes([]byte{byte(i)}), Size: 1,
			ArtifactType: []string{"application/vnd.a+json", "application/b"}[i%2]})
	}
	slices.SortFunc(found, func(a, b oci.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	for _, tt := range []struct {
		name, query, applied string
		count                int
	}{
		{"all", "n=2", "", 5},
		{"one type, whose plus stays one from page to page", "n=1&artifactType=application/vnd.a%2Bjson", "artifactType", 3},
		{"an empty type is no filter", "artifactType=", "", 5},
		{"a type that nobody has", "artifactType=application/c", "artifactType", 0},
	} {
		count := 0
		for target := referrers + sum.String() + "?" + tt.query; target != ""; {
			w := (&double{found: found}).send("GET", target, "")
			var x oci.Index
			if err := json.Unmarshal(w.Body.Bytes(), &x); w.Code != 200 || err != nil || w.Header().Get("Content-Type") != oci.MediaTypeImageIndex {
				t.Fatalf("%s: %s: %d %s", tt.name, target, w.Code, w.Body)
			}
			if got := w.Header().Get("OCI-Filters-Applied"); got != tt.applied {
				t.Errorf("%s: OCI-Filters-Applied %q", tt.name, got)
			}
			count += len(x.Manifests)
			target = next(t, w.Header())
		}
		if count != tt.count {
			t.Errorf("%s: %d; want %d", tt.name, count, tt.count)
		}
	}
	wantError(t, (&double{}).send("GET", referrers+sum.String()+"?last=x", ""), 400, ocierr.DigestInvalid)
	wantError(t, (&double{}).send("GET", referrers+"sha256:x", ""), 400, ocierr.DigestInvalid)
}
