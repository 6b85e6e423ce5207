package client_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
)

// damages are what can be done to the body of an answer. other is that of another
// answer.
func damages(size int) map[string]func(body, other []byte) []byte {
	all := map[string]func(body, other []byte) []byte{
		"longer":  func(body, _ []byte) []byte { return append(body, 'x') },
		"doubled": func(body, _ []byte) []byte { return append(body, body...) },
		"swapped": func(_, other []byte) []byte { return other },
		"empty":   func(_, _ []byte) []byte { return nil },
		"endless": func(body, _ []byte) []byte { return append(body, make([]byte, 20*mib)...) },
	}
	for i := range 16 {
		at := i * (size - 1) / 15
		all[fmt.Sprint("bit at ", at)] = func(body, _ []byte) []byte { body[at] ^= 1 << (i % 8); return body }
		all[fmt.Sprint("cut at ", at)] = func(body, _ []byte) []byte { return body[:at] }
	}
	return all
}

// GHSA-qv35: an image that is pulled by its digest is that image or none, whatever is
// done to any of the answers by which it comes, with a right Content-Length or
// without one. What is in the store afterwards is what its name says.
func TestEveryAnswerDamaged(t *testing.T) {
	layer, config := content(5000), []byte("{}")
	for _, chunked := range []bool{false, true} {
		for n := range int64(3) { // the manifest, the config, the layer
			t.Run(fmt.Sprintf("answer %d, chunked %t", n, chunked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					whole := registry(t)
					direct := startBubble(t, whole, impatient)
					p := layered(blobOf(layer))
					push(t, direct, aName, layer)
					pushManifest(t, direct, tagged(p, "a"))
					size := []int{len(p.Raw), len(config), len(layer)}[n]
					for name, damage := range damages(size) {
						c := startBubble(t, damaged(whole, n, chunked, damage), impatient)
						store := cas.New(mem.New(), cas.OCI)
						err := pullImage(t, c, p.Digest, store)
						for d := range store.All(t.Context()) {
							if bad := store.VerifyOne(t.Context(), d); bad != nil {
								t.Errorf("%s: there is a wrong %s", name, d)
							}
						}
						_, lacking := store.Stat(t.Context(), digest.FromBytes(layer))
						if err == nil && lacking != nil {
							t.Errorf("%s: said to be pulled, but is not there", name)
						}
						// Bytes behind a blob that do not change the length that it is said to have are not read.
						if err == nil && (n == 0 || !chunked || name != "longer" && name != "doubled" && name != "endless") {
							t.Errorf("%s: nobody noticed", name)
						}
					}
				})
			})
		}
	}
}

// layered is an image of the config {} and one layer.
func layered(layer oci.Descriptor) (p repo.Push) {
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		oci.MediaTypeImageManifest, oci.MediaTypeEmptyJSON, digestOf("{}"), oci.MediaTypeImageLayer, layer.Digest, layer.Size)
	m, err := manifest.Parse("", raw)
	if err != nil {
		panic(err)
	}
	return repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m}
}

// damaged passes requests on, and damages the body of the n-th answer to a GET.
func damaged(next http.Handler, n int64, chunked bool, damage func(body, other []byte) []byte) http.Handler {
	var seen atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || seen.Add(1)-1 != n {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := damage(bytes.Clone(answer.Body.Bytes()), []byte(`{"schemaVersion":2,"manifests":[]}`))
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if chunked {
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(answer.Code)
		if chunked {
			http.NewResponseController(w).Flush()
		}
		io.Copy(w, bytes.NewReader(body))
	})
}

// pullImage pulls an image by its digest into a store: the blobs, then the manifest.
func pullImage(t *testing.T, c *client.Client, d digest.Digest, to *cas.Store) error {
	ctx := t.Context()
	desc, raw, err := c.Manifest(ctx, aName, ref.ByDigest(d))
	if err != nil {
		return err
	}
	m, err := manifest.Parse(desc.MediaType, raw)
	if err != nil {
		return err
	}
	for child := range m.Children() {
		if err := c.PullBlob(ctx, aName, child, to); err != nil {
			return err
		}
	}
	return to.PutBytes(ctx, d, raw)
}
