package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
)

// varying is what is another in each answer.
var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// likeness is all of an answer but what is another in each, with what was asked for
// called by what it stands for.
func (a answer) likeness(names ...string) string {
	h := maps.Clone(a.header)
	h.Del("Date")
	h.Del("X-Request-Id")
	text := fmt.Sprint(a.status, " ", h, "\n", a.body)
	return strings.NewReplacer(names...).Replace(varying.ReplaceAllString(text, "SESSION"))
}

// secret is a registry in which alice has an image in secret/app and an upload under
// way, and bob a repository of his own; sums are of the image's blob and manifest.
type secret struct {
	asker
	url            string
	blob, manifest string
	session        string
}

const jewels = "the crown jewels"

func newSecret(t *testing.T) secret {
	t.Helper()
	s := secret{url: serve(t, options{root: t.TempDir(), rules: file(t,
		"user:alice secret/** pull,push,delete", "user:alice shared/** pull,push",
		"user:bob bob/** pull,push,delete", "authenticated * catalog")})}
	s.asker = at(t, s.url)
	s.blob = digest.FromBytes([]byte(jewels)).String()
	s.answers(http.StatusCreated, "POST", "/v2/secret/app/blobs/uploads/?digest="+s.blob, "alice", jewels)
	m := naming(s.blob, len(jewels))
	s.manifest = digest.FromBytes([]byte(m)).String()
	s.answers(http.StatusCreated, "PUT", "/v2/secret/app/manifests/v1", "alice", m, "Content-Type: "+oci.MediaTypeImageManifest)
	location := s.answers(http.StatusAccepted, "POST", "/v2/secret/app/blobs/uploads/", "alice", "").header.Get("Location")
	s.session = location[strings.LastIndexByte(location, '/')+1:]
	s.answers(http.StatusAccepted, "PATCH", "/v2/secret/app/blobs/uploads/"+s.session, "alice", "hello")
	own := digest.FromBytes([]byte("{}")).String()
	s.answers(http.StatusCreated, "POST", "/v2/bob/app/blobs/uploads/?digest="+own, "bob", "{}")
	return s
}

// naming is a manifest of one blob.
func naming(blob string, size int) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"text/plain","config":{"mediaType":"text/plain","digest":%q,"size":%d},"layers":[]}`, oci.MediaTypeImageManifest, blob, size)
}

// Whoever may not see a repository is answered alike for all that is in it, for what is
// not, and for a repository that is not there: each path with each method.
func TestNothingIsToldOfWhatIsPrivate(t *testing.T) {
	s := newSecret(t)
	for _, as := range []string{"", "bob"} {
		for e := range endpoint.All() {
			if !strings.Contains(e.Pattern, "{name}") {
				continue
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				ask := func(name, reference, blob, session string) string {
					return s.ask(method, pathOf(e, name, reference, blob, session), as, "").likeness(name, "NAME", url.QueryEscape(name), "NAME")
				}
				there := ask("secret/app", "v1", s.blob, s.session)
				for what, other := range map[string]string{
					"nothing in it":        ask("secret/app", "v9", someDigest, someSession),
					"no such repository":   ask("secret/not", "v1", s.blob, s.session),
					"nothing, and nowhere": ask("secret/not", "v9", someDigest, someSession),
				} {
					if other != there {
						t.Errorf("%s %s as %q: %s is answered\n%s\nand what is there\n%s", method, e.Name, as, what, other, there)
					}
				}
			}
		}
	}
}

// What is in a repository of others cannot be had, nor found to be there, through one's
// own: its digest alone opens nothing.
func TestPrivateBlobsStayPrivate(t *testing.T) {
	s := newSecret(t)
	const sum = "DIGEST"
	push := "Content-Type: " + oci.MediaTypeImageManifest
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, sum, len(naming(s.blob, len(jewels))))
	ways := []struct {
		name, method, path, body string
		header                   string
	}{
		{"blob", "GET", "/v2/bob/app/blobs/DIGEST", "", "A: b"},
		{"blob, HEAD", "HEAD", "/v2/bob/app/blobs/DIGEST", "", "A: b"},
		{"a range of it", "GET", "/v2/bob/app/blobs/DIGEST", "", "Range: bytes=0-3"},
		{"if it is another", "GET", "/v2/bob/app/blobs/DIGEST", "", `If-None-Match: "DIGEST"`},
		{"manifest", "GET", "/v2/bob/app/manifests/DIGEST", "", "A: b"},
		{"manifest, HEAD", "HEAD", "/v2/bob/app/manifests/DIGEST", "", "A: b"},
		{"referrers", "GET", "/v2/bob/app/referrers/DIGEST", "", "A: b"},
		{"mount", "POST", "/v2/bob/app/blobs/uploads/?mount=DIGEST&from=secret/app", "", "A: b"},
		{"mount from anywhere", "POST", "/v2/bob/app/blobs/uploads/?mount=DIGEST", "", "A: b"},
		{"mount from one's own", "POST", "/v2/bob/app/blobs/uploads/?mount=DIGEST&from=bob/app", "", "A: b"},
		{"mount from nowhere", "POST", "/v2/bob/app/blobs/uploads/?mount=DIGEST&from=no/where", "", "A: b"},
		{"upload of nothing", "POST", "/v2/bob/app/blobs/uploads/?digest=DIGEST", "", "A: b"},
		{"a manifest that names it", "PUT", "/v2/bob/app/manifests/v1", naming(sum, len(jewels)), push},
		{"with another size", "PUT", "/v2/bob/app/manifests/v1", naming(sum, 1), push},
		{"an index that names it", "PUT", "/v2/bob/app/manifests/v1", index, "Content-Type: " + oci.MediaTypeImageIndex},
		{"a tag on it", "PUT", "/v2/bob/app/manifests/DIGEST?tag=v1", "{}", push},
		{"delete blob", "DELETE", "/v2/bob/app/blobs/DIGEST", "", "A: b"},
		{"delete manifest", "DELETE", "/v2/bob/app/manifests/DIGEST", "", "A: b"},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			a := s
			a.t = t
			ask := func(d string) string {
				put := strings.NewReplacer(sum, d)
				return a.ask(way.method, put.Replace(way.path), "bob", put.Replace(way.body), put.Replace(way.header)).likeness(d, sum)
			}
			absent := ask(someDigest)
			for _, there := range []string{s.blob, s.manifest} {
				if got := ask(there); got != absent || strings.Contains(got, jewels) {
					t.Errorf("what is there\n%s\nwhat is not\n%s", got, absent)
				}
			}
		})
	}
	// And after all that it is where it was.
	if got := s.answers(http.StatusOK, "GET", "/v2/secret/app/blobs/"+s.blob, "alice", ""); got.body != jewels {
		t.Errorf("the blob is %q", got.body)
	}
	s.answers(http.StatusOK, "GET", "/v2/secret/app/manifests/"+s.manifest, "alice", "")
	s.answers(http.StatusNotFound, "GET", "/v2/bob/app/blobs/"+s.blob, "bob", "")
}

// Who may mount is who may pull: the same request, by somebody who may.
func TestMountByWhoMayPull(t *testing.T) {
	s := newSecret(t)
	const target = "/v2/shared/app/blobs/uploads/?mount="
	s.answers(http.StatusCreated, "POST", target+s.blob+"&from=secret/app", "alice", "")
	s.answers(http.StatusForbidden, "POST", target+s.blob+"&from=secret/app", "bob", "")
	// A token that is for the target alone is not for the source.
	narrow := s.token("alice", "repository:shared/two:pull,push")
	s.answers(http.StatusAccepted, "POST", "/v2/shared/two/blobs/uploads/?mount="+s.blob+"&from=secret/app", narrow, "")
}

// A session is of one repository. Through another it is not there, whoever asks, and
// nothing happens to it.
func TestSessionsStayInTheirRepository(t *testing.T) {
	s := newSecret(t)
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		for _, way := range []struct {
			as, repository string
			want           int
			code           string
		}{
			{"bob", "bob/app", http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
			{"bob", "secret/app", http.StatusForbidden, "DENIED"},
			{"", "secret/app", http.StatusUnauthorized, "UNAUTHORIZED"},
			{"alice", "shared/app", http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
		} {
			got := s.ask(method, "/v2/"+way.repository+"/blobs/uploads/"+s.session+"?digest="+s.blob, way.as, "evil")
			if got.status != way.want || !strings.Contains(got.body, way.code) {
				t.Errorf("%s through %s as %q: %d %s", method, way.repository, way.as, got.status, got.body)
			}
		}
		if got := s.ask("GET", "/v2/secret/app/blobs/uploads/"+s.session, "alice", ""); got.status != http.StatusNoContent || got.header.Get("Range") != "0-4" {
			t.Fatalf("after %s: %d, Range %q", method, got.status, got.header.Get("Range"))
		}
	}
	sum := digest.FromBytes([]byte("hello")).String()
	s.answers(http.StatusCreated, "PUT", "/v2/secret/app/blobs/uploads/"+s.session+"?digest="+sum, "alice", "")
}

// Lists show what may be pulled, and nothing of the rest.
func TestCatalogShowsWhatMayBePulled(t *testing.T) {
	s := newSecret(t)
	for as, want := range map[string]string{"alice": `{"repositories":["secret/app"]}`, "bob": `{"repositories":["bob/app"]}`} {
		for _, query := range []string{"", "?n=10", "?n=1"} {
			if got := s.answers(http.StatusOK, "GET", "/v2/_catalog"+query, as, ""); strings.TrimSpace(got.body) != want || got.header.Get("Link") != "" {
				t.Errorf("%s as %s: %s, Link %q", query, as, got.body, got.header.Get("Link"))
			}
		}
	}
	s.answers(http.StatusUnauthorized, "GET", "/v2/_catalog", "", "")
}

// Who may create moves no tag, however it is set.
func TestCreateOnlyMovesNothing(t *testing.T) {
	url := serve(t, options{root: t.TempDir(), rules: file(t, "user:alice drop/** pull,create-only")})
	reg := at(t, url)
	type doc struct{ body, sum string }
	var docs []doc
	for _, content := range []string{"one", "two"} {
		blob := digest.FromBytes([]byte(content)).String()
		reg.answers(http.StatusCreated, "POST", "/v2/drop/app/blobs/uploads/?digest="+blob, "alice", content)
		m := naming(blob, len(content))
		docs = append(docs, doc{m, digest.FromBytes([]byte(m)).String()})
	}
	push := func(d doc, target string) answer {
		return reg.ask("PUT", "/v2/drop/app/manifests/"+target, "alice", d.body, "Content-Type: "+oci.MediaTypeImageManifest)
	}
	for _, tag := range []string{"latest", "v1", "LATEST"} {
		steps := []struct {
			name   string
			doc    doc
			target string
			want   int
		}{
			{"created", docs[0], tag, http.StatusCreated},
			{"moved", docs[1], tag, http.StatusForbidden},
			{"pushed by digest", docs[1], docs[1].sum, http.StatusCreated},
			{"moved with the query", docs[1], docs[1].sum + "?tag=" + tag, http.StatusForbidden},
			{"moved beside another", docs[1], docs[1].sum + "?tag=new-" + tag + "&tag=" + tag, http.StatusForbidden},
			{"the same again", docs[0], tag, http.StatusCreated},
		}
		for _, step := range steps {
			if got := push(step.doc, step.target); got.status != step.want {
				t.Errorf("%s %s: %d %s, want %d", tag, step.name, got.status, got.body, step.want)
			}
			if got := reg.answers(http.StatusOK, "HEAD", "/v2/drop/app/manifests/"+tag, "alice", "").header.Get("Docker-Content-Digest"); got != docs[0].sum {
				t.Fatalf("%s after %s is %s", tag, step.name, got)
			}
		}
		reg.answers(http.StatusNotFound, "HEAD", "/v2/drop/app/manifests/new-"+tag, "alice", "")
		reg.answers(http.StatusForbidden, "DELETE", "/v2/drop/app/manifests/"+tag, "alice", "")
	}
}
