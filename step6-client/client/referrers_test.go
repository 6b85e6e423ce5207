package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
)

// noReferrers is a registry of before the API for referrers.
func noReferrers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(&withoutSubject{w}, r)
	})
}

type withoutSubject struct{ http.ResponseWriter }

func (w *withoutSubject) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

// noFilter is a registry that does not filter referrers.
func noFilter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Has("artifactType") {
			q.Del("artifactType")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// onePage makes pages of one referrer.
func onePage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); strings.Contains(r.URL.Path, "/referrers/") {
			q.Set("n", "1")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

func TestReferrers(t *testing.T) {
	subject := image("")
	of := func(kind string) repo.Push {
		return image(fmt.Sprintf(`,"artifactType":%q,"subject":{"mediaType":%q,"digest":%q,"size":%d}`, kind, oci.MediaTypeImageManifest, subject.Digest, len(subject.Raw)))
	}
	sig, sbom := of("application/x.signature"), of("application/x.sbom")
	for name, b := range map[string]between{"API": straight, "a tag": noReferrers, "no filter": noFilter, "pages": onePage} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, impatient, func(t *testing.T, c, _ *client.Client) {
				ctx := t.Context()
				all := func(kind string, after digest.Digest, n int) (string, bool) {
					t.Helper()
					list, more, err := c.Referrers(ctx, aName, subject.Digest, kind, after, n, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					var kinds []string
					for _, d := range list {
						kinds = append(kinds, strings.TrimPrefix(d.ArtifactType, "application/x."))
					}
					return strings.Join(kinds, " "), more
				}
				if got, more := all("", digest.Digest{}, 10); got != "" || more {
					t.Errorf("before the push: %s, %t", got, more)
				}
				for _, p := range []repo.Push{sig, sbom, sig} {
					pushManifest(t, c, p)
				}
				first, second := "signature", "sbom"
				if sbom.Digest.String() < sig.Digest.String() {
					first, second = second, first
				}
				if got, more := all("", digest.Digest{}, 10); got != first+" "+second || more {
					t.Errorf("all: %s, %t", got, more)
				}
				if got, more := all("application/x.sbom", digest.Digest{}, 10); got != "sbom" || more {
					t.Errorf("of one type: %s, %t", got, more)
				}
				if got, more := all("", digest.Digest{}, 1); got != first || !more {
					t.Errorf("the first: %s, %t", got, more)
				}
				at := map[string]digest.Digest{"signature": sig.Digest, "sbom": sbom.Digest}[first]
				if got, more := all("", at, 10); got != second || more {
					t.Errorf("after the first: %s, %t", got, more)
				}
				if list, more, err := c.Referrers(ctx, aName, subject.Digest, "", digest.Digest{}, 10, 300); len(list) != 1 || !more || err != nil {
					t.Errorf("in 300 bytes: %d, %t, %v", len(list), more, err)
				}
				for _, step := range []struct {
					gone digest.Digest
					left string
				}{{sig.Digest, "sbom"}, {sbom.Digest, ""}} {
					if err := c.DeleteManifest(ctx, aName, step.gone); err != nil {
						t.Fatal(err)
					}
					if got, more := all("", digest.Digest{}, 10); got != step.left || more {
						t.Errorf("after a deletion: %q, %t; want %q", got, more, step.left)
					}
				}
				pushManifest(t, c, sbom)
				if got, more := all("", digest.Digest{}, 10); got != "sbom" || more {
					t.Errorf("pushed again: %s, %t", got, more)
				}
			})
		})
	}
}

// Two that change the list at once lose nothing where the registry knows conditions.
func TestReferrersAtOnce(t *testing.T) {
	subject := image("")
	var pushes []repo.Push
	for i := range 3 {
		pushes = append(pushes, image(fmt.Sprintf(`,"annotations":{"n":"%d"},"subject":{"mediaType":%q,"digest":%q,"size":%d}`, i, oci.MediaTypeImageManifest, subject.Digest, len(subject.Raw))))
	}
	inBubble(t, noReferrers, impatient, func(t *testing.T, c, _ *client.Client) {
		pushManifest(t, c, pushes[0])
		var all sync.WaitGroup
		all.Go(func() {
			if err := c.DeleteManifest(t.Context(), aName, pushes[0].Digest); err != nil {
				t.Error(err)
			}
		})
		for _, p := range pushes[1:] {
			all.Go(func() { pushManifest(t, c, p) })
		}
		all.Wait()
		list, _, err := c.Referrers(t.Context(), aName, subject.Digest, "", digest.Digest{}, 10, 1<<20)
		if err != nil || len(list) != 2 {
			t.Errorf("%d referrers, %v", len(list), err)
		}
	})
}

func TestReferrersTag(t *testing.T) {
	if got, want := client.ReferrersTag(digestOf("x")).String(), "sha256-"+digestOf("x").Hex(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d := digest.SHA512.FromBytes([]byte("x"))
	if got, want := client.ReferrersTag(d).String(), "sha512-"+d.Hex()[:64]; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
