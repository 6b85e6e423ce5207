package endpoint_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
)

// specification is the table of the distribution specification, "Endpoints", as
// it stands there; a location of an upload is written out.
const specification = `
end-1   GET      /v2/                                                      200     404/401
end-2   GET/HEAD /v2/<name>/blobs/<digest>                                 200     404
end-3   GET/HEAD /v2/<name>/manifests/<tag-or-digest>                      200     404
end-4a  POST     /v2/<name>/blobs/uploads/                                 202     404
end-4b  POST     /v2/<name>/blobs/uploads/?digest=<digest>                 201/202 404/400
end-4c  POST     /v2/<name>/blobs/uploads/?digest-algorithm=<algorithm>    201/202 404/400
end-5   PATCH    <blob-push-location>                                      202     404/416
end-6   PUT      <blob-push-location>?digest=<digest>                      201     404/400/416
end-7a  PUT      /v2/<name>/manifests/<tag-or-digest>                      201     404/413
end-7b  PUT      /v2/<name>/manifests/<digest>?tag=1&tag=2&tag=3           201     404/413
end-8a  GET      /v2/<name>/tags/list                                      200     404
end-8b  GET      /v2/<name>/tags/list?n=<integer>&last=<tagname>           200     404
end-9   DELETE   /v2/<name>/manifests/<tag-or-digest>                      202     404/400/405
end-10  DELETE   /v2/<name>/blobs/<digest>                                 202     404/400/405
end-11  POST     /v2/<name>/blobs/uploads/?mount=<digest>&from=<name>      201/202 404
end-12a GET      /v2/<name>/referrers/<digest>                             200     404/400
end-12b GET      /v2/<name>/referrers/<digest>?artifactType=<artifactType> 200     404/400
end-13  GET      <blob-push-location>                                      204     404
end-14  DELETE   <blob-push-location>                                      204     404/400
`

const (
	aDigest  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	aSession = "01234567-89ab-4cde-8f01-23456789abcd"
)

// fill puts values into a path of the specification.
var fill = strings.NewReplacer("<name>", "a/b", "<tag-or-digest>", "latest", "<digest>", aDigest,
	"<blob-push-location>", "/v2/a/b/blobs/uploads/"+aSession,
	"<algorithm>", "sha512", "<integer>", "10", "<tagname>", "v1", "<artifactType>", "a/b")

// Each row of the specification is found by a request of its form, and names the
// statuses that the specification names: more is allowed, less is not.
func TestTableAgreesWithTheSpecification(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(specification)) {
		f := strings.Fields(line)
		id, methods, target := f[0], strings.Split(f[1], "/"), fill.Replace(f[2])
		seen[id] = true
		t.Run(id, func(t *testing.T) {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			p, err := endpoint.ParsePath(u.EscapedPath())
			if err != nil {
				t.Fatalf("ParsePath(%s): %v", target, err)
			}
			for _, method := range methods {
				e := p.Match(method)
				if e == nil {
					t.Fatalf("nothing answers %s %s", method, target)
				}
				v := e.Variant(u.Query())
				if v.ID != id {
					t.Errorf("%s %s is %s", method, target, v.ID)
				}
				for _, code := range strings.Split(f[3], "/") {
					if !slices.Contains(v.Success, number(code)) {
						t.Errorf("success %v lacks %s", v.Success, code)
					}
				}
				for _, code := range strings.Split(f[4], "/") {
					if !slices.Contains(v.Failure, number(code)) {
						t.Errorf("failure %v lacks %s", v.Failure, code)
					}
				}
			}
		})
	}
	ours := map[string]bool{}
	for e := range endpoint.All() {
		for _, v := range e.Variants {
			if ours[v.ID] = true; v.ID != "" && !seen[v.ID] {
				t.Errorf("%s is not in the specification", v.ID)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		if !ours[id] {
			t.Errorf("%s is missing", id)
		}
	}
}

func number(status string) (n int) {
	for _, c := range status {
		n = 10*n + int(c-'0')
	}
	return n
}

// What a client and a document need of every row.
func TestTableIsComplete(t *testing.T) {
	methods := map[string]bool{}
	for e := range endpoint.All() {
		if e.Name == "" || e.Action == "" || len(e.Methods) == 0 || len(e.Variants) == 0 {
			t.Errorf("%+v is not whole", e)
		}
		for _, m := range e.Methods {
			if key := m + " " + e.Pattern; methods[key] {
				t.Errorf("%s stands there twice", key)
			} else {
				methods[key] = true
			}
		}
		for _, v := range e.Variants {
			if v.Role == "" || len(v.Success) == 0 || len(v.Failure) == 0 || (v.Section == "") != (v.ID == "") {
				t.Errorf("%s: %+v is not whole", e.Name, v)
			}
		}
	}
}

func TestVariant(t *testing.T) {
	tests := []struct {
		name     string
		endpoint *endpoint.Endpoint
		query    string
		want     string
		reason   string
	}{
		{"plain upload", endpoint.StartUpload, "", "end-4a", ""},
		{"unknown parameter", endpoint.StartUpload, "ns=docker.io", "end-4a", "mirrors send ns on everything"},
		{"mount before digest", endpoint.StartUpload, "digest=x&mount=y", "end-11", "a mount needs no body, so it is tried first"},
		{"mount without from", endpoint.StartUpload, "mount=y", "end-11", "from MAY be left out"},
		{"from without mount", endpoint.StartUpload, "from=a", "end-4a", "nothing to mount"},
		{"both digest parameters", endpoint.StartUpload, "digest-algorithm=sha512&digest=x", "end-4b", "the digest names its algorithm"},
		{"n alone", endpoint.ListTags, "n=0", "end-8b", ""},
		{"last alone", endpoint.ListTags, "last=a", "end-8b", "n is OPTIONAL then"},
		{"empty value", endpoint.ListReferrers, "artifactType=", "end-12b", "the parameter is there"},
		{"finish without a digest", endpoint.FinishUpload, "", "end-6", "there is no other row; the handler answers DIGEST_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.endpoint.Variant(query).ID; got != tt.want {
				t.Errorf("Variant(%s) = %s, want %s (%s)", tt.query, got, tt.want, tt.reason)
			}
		})
	}
}

// newMux routes every shape of path to one handler. It panics if two patterns
// are in each other's way.
func newMux(handler http.HandlerFunc) *http.ServeMux {
	mux := http.NewServeMux()
	done := map[string]bool{}
	for e := range endpoint.All() {
		if !done[e.Pattern] {
			done[e.Pattern] = true
			mux.HandleFunc(e.Pattern, handler)
		}
	}
	return mux
}
