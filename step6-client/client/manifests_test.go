package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
)

// image is a manifest of one config, with more fields, led by a comma.
func image(more string) repo.Push {
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]%s}`,
		oci.MediaTypeImageManifest, oci.MediaTypeEmptyJSON, digestOf("{}"), more)
	m, err := manifest.Parse(oci.MediaTypeImageManifest, raw)
	if err != nil {
		panic(err)
	}
	return repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m}
}

func note(text string) string { return fmt.Sprintf(`,"annotations":{"note":%q}`, text) }

// tagged is p with tags.
func tagged(p repo.Push, tags ...string) repo.Push {
	for _, tag := range tags {
		p.Tags = append(p.Tags, ref.MustTag(tag))
	}
	return p
}

func tag(s string) ref.TagOrDigest { return ref.ByTag(ref.MustTag(s)) }

func pushManifest(t *testing.T, c *client.Client, p repo.Push) {
	t.Helper()
	push(t, c, aName, []byte("{}"))
	if err := c.PushManifest(t.Context(), aName, p); err != nil {
		t.Fatal(err)
	}
}

func wantTags(t *testing.T, c *client.Client, want ...string) {
	t.Helper()
	if tags, _, err := c.Tags(t.Context(), aName, "", client.All); err != nil || strings.Join(tags, " ") != strings.Join(want, " ") {
		t.Errorf("tags %v, want %v; %v", tags, want, err)
	}
}

func manifests(m string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m && strings.Contains(r.URL.Path, "/manifests/") }
}

// noTagQuery is a registry that does not know ?tag=.
func noTagQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if manifests("PUT")(r) {
			r.URL.RawQuery = ""
		}
		next.ServeHTTP(w, r)
	})
}

func TestPushManifest(t *testing.T) {
	for name, b := range map[string]between{"all known": straight, "no tags in the query": noTagQuery, "no HEAD": instead(1, manifests("HEAD"), status(405))} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, impatient, func(t *testing.T, c, direct *client.Client) {
				p := tagged(image(""), "a", "b", "c")
				pushManifest(t, c, p)
				wantTags(t, direct, "a", "b", "c")
				one := tagged(image(note("1")), "a")
				pushManifest(t, c, one)
				pushManifest(t, c, image(note("none")))
				wantTags(t, direct, "a", "b", "c")
				desc, err := c.Resolve(t.Context(), aName, tag("a"))
				want := oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: one.Digest, Size: int64(len(one.Raw))}
				if fmt.Sprint(desc) != fmt.Sprint(want) || err != nil {
					t.Errorf("Resolve: %v, %v", desc, err)
				}
				desc, raw, err := c.Manifest(t.Context(), aName, ref.ByDigest(one.Digest))
				if fmt.Sprint(desc) != fmt.Sprint(want) || !bytes.Equal(raw, one.Raw) || err != nil {
					t.Errorf("Manifest: %v, %v", desc, err)
				}
			})
		})
	}
}

func TestManifestErrors(t *testing.T) {
	inBubble(t, straight, impatient, func(t *testing.T, c, _ *client.Client) {
		pushManifest(t, c, tagged(image(""), "a"))
		ctx := t.Context()
		lacking := image(note("x"))
		lacking.Raw = bytes.Replace(lacking.Raw, []byte(digestOf("{}").String()), []byte(digestOf("[]").String()), 1)
		lacking.Digest = digest.FromBytes(lacking.Raw)
		_, _, unknown := c.Manifest(ctx, aName, tag("x"))
		_, _, nowhere := c.Manifest(ctx, otherName, tag("x"))
		_, resolved := c.Resolve(ctx, aName, tag("x"))
		_, _, tags := c.Tags(ctx, otherName, "", 1)
		for name, e := range map[string]struct{ got, want error }{
			"unknown": {unknown, ocierr.ManifestUnknown}, "unknown name": {nowhere, ocierr.NameUnknown}, "unknown, resolved": {resolved, ocierr.ManifestUnknown},
			"child missing":  {c.PushManifest(ctx, aName, lacking), ocierr.ManifestBlobUnknown},
			"delete":         {c.DeleteManifest(ctx, aName, lacking.Digest), ocierr.ManifestUnknown},
			"delete tag":     {c.DeleteTag(ctx, aName, ref.MustTag("x")), ocierr.ManifestUnknown},
			"delete blob":    {c.DeleteBlob(ctx, aName, lacking.Digest), ocierr.BlobUnknown},
			"tags of nobody": {tags, ocierr.NameUnknown},
			"tag deleted":    {c.DeleteTag(ctx, aName, ref.MustTag("a")), nil},
			"blob deleted":   {c.DeleteBlob(ctx, aName, digestOf("{}")), nil},
			"all deleted":    {c.DeleteManifest(ctx, aName, image("").Digest), nil},
		} {
			if !errors.Is(e.got, e.want) {
				t.Errorf("%s: %v, want %v", name, e.got, e.want)
			}
		}
	})
}

// Conditions go over the wire, and hold where the tag is written.
func TestConditions(t *testing.T) {
	first, second := image(note("1")), image(note("2"))
	absent := func(d digest.Digest) bool { return d.IsZero() }
	is := func(p repo.Push) repo.Condition { return func(d digest.Digest) bool { return d == p.Digest } }
	never := func(digest.Digest) bool { return false }
	any := func(digest.Digest) bool { return true }
	for _, tt := range []struct {
		name string
		push repo.Push
		when repo.Condition
		want bool
	}{
		{"create what is there", tagged(second, "a"), absent, false},
		{"create", tagged(second, "new"), absent, true},
		{"create several", tagged(second, "new", "newer"), absent, true},
		{"create several of which one is there", tagged(second, "new", "a"), absent, false},
		{"replace", tagged(second, "a"), is(first), true},
		{"replace several", tagged(second, "a", "b"), is(first), true},
		{"replace another", tagged(second, "a"), is(second), false},
		{"never", tagged(second, "a"), never, false},
		{"some there and some not, whatever", tagged(second, "a", "new"), any, false},
		{"a manifest that is not there", second, absent, true},
		{"a manifest that is there", first, absent, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, straight, impatient, func(t *testing.T, c, _ *client.Client) {
				pushManifest(t, c, tagged(first, "a", "b"))
				p := tt.push
				p.If = tt.when
				err := c.PushManifest(t.Context(), aName, p)
				if e, _ := ocierr.From(err); tt.want != (err == nil) || err != nil && e.Status != 412 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// Between the look at a tag and the write somebody else may write: the registry
// sees it, be it the same that they write.
func TestConditionRace(t *testing.T) {
	first, mine, theirs := tagged(image(note("1")), "a"), tagged(image(note("2")), "a"), tagged(image(note("3")), "a")
	for name, between := range map[string]repo.Push{"another": theirs, "the same": mine} {
		t.Run(name, func(t *testing.T) {
			var meanwhile func()
			race := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if manifests("PUT")(r) && meanwhile != nil {
						meanwhile()
					}
					next.ServeHTTP(w, r)
				})
			}
			inBubble(t, race, impatient, func(t *testing.T, c, direct *client.Client) {
				pushManifest(t, direct, first)
				meanwhile = func() { pushManifest(t, direct, between) }
				p := mine
				p.If = func(d digest.Digest) bool { return d == first.Digest }
				err := c.PushManifest(t.Context(), aName, p)
				if e, _ := ocierr.From(err); e.Status != 412 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A write whose answer was lost is not taken for somebody else's when it is
// repeated; nor is a deletion.
func TestLostAnswers(t *testing.T) {
	p := tagged(image(""), "a", "b")
	p.If = func(d digest.Digest) bool { return d.IsZero() }
	lost := func(next http.Handler) http.Handler {
		var puts, deletes atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if manifests("PUT")(r) && puts.Add(1) == 1 || manifests("DELETE")(r) && deletes.Add(1) == 1 {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
	inBubble(t, lost, client.Options{}, func(t *testing.T, c, direct *client.Client) {
		pushManifest(t, c, p)
		wantTags(t, direct, "a", "b")
		if err := c.DeleteTag(t.Context(), aName, ref.MustTag("a")); err != nil {
			t.Error(err)
		}
		wantTags(t, direct, "b")
		if err := c.DeleteTag(t.Context(), aName, ref.MustTag("a")); !errors.Is(err, ocierr.ManifestUnknown) {
			t.Errorf("deleted again: %v", err)
		}
	})
}

// A manifest that is not what was asked for is none, whoever changed it on its way.
func TestWrongManifests(t *testing.T) {
	good, other := tagged(image(""), "a"), image(note("other"))
	byTag, byDigest := tag("a"), ref.ByDigest(good.Digest)
	answer := func(contentType, sum string, raw []byte) between {
		return answered(manifests("GET"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if sum != "" {
				w.Header().Set("Docker-Content-Digest", sum)
			}
			w.Write(raw)
		})
	}
	flip := bytes.Clone(good.Raw)
	flip[len(flip)/2] ^= 1
	index := []byte(`{"schemaVersion":2,"manifests":[]}`)
	both := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"a/b","digest":"` + digestOf("{}").String() + `","size":2},"layers":[],"manifests":[]}`)
	const kind = oci.MediaTypeImageManifest
	for _, tt := range []struct {
		name      string
		between   between
		reference ref.TagOrDigest
		want      error
	}{
		{"another one for a digest", answer(kind, "", other.Raw), byDigest, digest.ErrMismatch},
		{"another one for a digest, and said so", answer(kind, other.Digest.String(), other.Raw), byDigest, digest.ErrMismatch},
		{"a bit flipped", answer(kind, "", flip), byDigest, digest.ErrMismatch},
		{"a bit flipped, by tag", answer(kind, good.Digest.String(), flip), byTag, digest.ErrMismatch},
		{"cut", answer(kind, "", good.Raw[:20]), byDigest, digest.ErrMismatch},
		{"longer", answer(kind, "", append(bytes.Clone(good.Raw), ' ')), byDigest, digest.ErrMismatch},
		{"longer, by tag", answer(kind, "", append(bytes.Clone(good.Raw), "{}"...)), byTag, manifest.ErrInvalid},
		{"a digest that is none", answer(kind, "sha256:zz", good.Raw), byTag, client.ErrAnswer},
		{"an index as an image", answer(kind, "", index), byTag, manifest.ErrInvalid},
		{"an image and an index", answer(kind, "", both), byTag, manifest.ErrInvalid},
		{"a page for people", answer("text/html", "", []byte("<html>")), byTag, manifest.ErrInvalid},
		{"too large", answer(kind, "", bytes.Repeat([]byte(" "), 4<<20+1)), byTag, client.ErrTooLarge},
		{"without end", answered(manifests("GET"), forever), byTag, client.ErrTooLarge},
		{"encoded", answered(manifests("GET"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(good.Raw)
		}), byTag, client.ErrAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.between, impatient, func(t *testing.T, c, direct *client.Client) {
				pushManifest(t, direct, good)
				if desc, raw, err := c.Manifest(t.Context(), aName, tt.reference); !errors.Is(err, tt.want) || raw != nil || !desc.Digest.IsZero() {
					t.Errorf("%v, %v; want %v", desc, err, tt.want)
				}
			})
		})
	}
}

// answered answers all requests that which picks.
func answered(which func(*http.Request) bool, answer http.HandlerFunc) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) {
				answer(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func forever(w http.ResponseWriter, r *http.Request) {
	for some := bytes.Repeat([]byte(" "), 64<<10); ; {
		if _, err := w.Write(some); err != nil {
			return
		}
	}
}
