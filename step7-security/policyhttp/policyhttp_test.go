package policyhttp_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/policyhttp"
	"shibafu.dev/step7-security/quota"
)

var update = flag.Bool("update", false, "write testdata anew")

var quiet = slog.New(slog.DiscardHandler)

// rights is a Decider that gives the same rights everywhere.
type rights policy.Action

func (r rights) Decide(_ context.Context, _ ref.Name, a policy.Action) policy.Decision {
	return policy.Decision{Allowed: policy.Action(r)&a != 0}
}

var all = []policy.Action{policy.Pull, policy.CreateOnly, policy.Push, policy.Delete, policy.Catalog, policy.Admin}

// subset is what a rule with some of the actions allows, and their names.
func subset(t *testing.T, bits int) (policy.Guard, string) {
	t.Helper()
	var names []string
	for i, a := range all {
		if bits&(1<<i) != 0 {
			names = append(names, a.String())
		}
	}
	text := `{}`
	if len(names) > 0 {
		text = `{"rules": [{"subjects": ["anonymous", "authenticated"], "repositories": ["*"], "actions": ["` + strings.Join(names, `", "`) + `"]}]}`
	}
	p, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return policy.Guard{Policy: func() *policy.Policy { return p }, Subject: func(context.Context) policy.Subject { return nil }}, strings.Join(names, "+")
}

// frame is a mux whose handlers all answer 200.
func frame(d policyhttp.Decider, anonymous bool) *api.Mux {
	mux := api.NewMux(quiet)
	mux.Use(policyhttp.Middleware(d, func(context.Context) bool { return anonymous }))
	for e := range endpoint.All() {
		mux.Handle(e, func(w http.ResponseWriter, r *http.Request) error { return nil })
	}
	return mux
}

func status(h http.Handler, method, path string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}

var parts = strings.NewReplacer("{name}", "team/a", "{digest}", digest.FromBytes(nil).String(), "{reference}", "v1",
	"{session}", "00000000-0000-4000-8000-000000000000")

// The whole matrix: each method on each path, for each set of rights, for somebody and
// for nobody. As more rights never allow less, which is checked, the smallest sets
// that are enough say all.
func TestMatrix(t *testing.T) {
	var out strings.Builder
	patterns := map[string]bool{}
	for e := range endpoint.All() {
		if patterns[e.Pattern] {
			continue
		}
		patterns[e.Pattern] = true
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			fmt.Fprintf(&out, "%-7s %-38s %s\n", method, e.Pattern, row(t, method, parts.Replace(e.Pattern)))
		}
	}
	if *update {
		if err := os.WriteFile("testdata/matrix.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func row(t *testing.T, method, path string) string {
	t.Helper()
	var allowed [64]bool
	var enough []string
	refused := map[int]bool{}
	for bits := range allowed {
		g, names := subset(t, bits)
		somebody, nobody := status(frame(g, false), method, path), status(frame(g, true), method, path)
		if somebody == http.StatusMethodNotAllowed && nobody == somebody {
			refused[405] = true
			continue
		}
		if allowed[bits] = somebody == http.StatusOK; allowed[bits] != (nobody == http.StatusOK) {
			t.Errorf("%s %s with %s: %d, and %d to nobody", method, path, names, somebody, nobody)
		}
		smallest := allowed[bits]
		for i := range all {
			if less := bits &^ (1 << i); less != bits && allowed[less] {
				smallest = false
				if !allowed[bits] {
					t.Errorf("%s %s: %s is more than is enough, and refused", method, path, names)
				}
			}
		}
		switch {
		case smallest:
			enough = append(enough, cmp.Or(names, "nothing"))
		case !allowed[bits] && (somebody != http.StatusForbidden || nobody != http.StatusUnauthorized):
			t.Errorf("%s %s with %s: %d, and %d to nobody", method, path, names, somebody, nobody)
		}
	}
	if refused[405] {
		return "405"
	}
	return "with " + strings.Join(enough, " or ")
}

func TestEveryEndpointHasItsRight(t *testing.T) {
	for e := range endpoint.All() {
		if code := status(frame(rights(0xff), false), e.Methods[0], parts.Replace(e.Pattern)); code != http.StatusOK {
			t.Errorf("%s: %d to who has all rights", e.Name, code)
		}
	}
	unknown := policyhttp.Middleware(rights(0xff), func(context.Context) bool { return false })(&endpoint.Endpoint{}, nil)
	if err := unknown(nil, httptest.NewRequest("GET", "/", nil)); err != ocierr.Denied {
		t.Errorf("an endpoint that nobody thought of: %v", err)
	}
}

// registry is a whole one behind the policy, in which base/a:v1 is.
type registry struct {
	*api.Mux
	subject policy.Subject
	t       *testing.T
}

const rules = `{"rules": [
	{"subjects": ["user:pusher"], "repositories": ["*"], "actions": ["pull", "push", "catalog"]},
	{"subjects": ["user:creator"], "repositories": ["team/**"], "actions": ["pull", "create-only"]},
	{"subjects": ["user:creator"], "repositories": ["*"], "actions": ["catalog"]}
], "quotas": [{"name": "little", "repositories": ["little/**"], "tags": 1}]}`

func newRegistry(t *testing.T) *registry {
	t.Helper()
	g := &registry{t: t}
	p, err := policy.Parse("p", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	guard := policy.Guard{
		Policy:  func() *policy.Policy { return p },
		Subject: func(context.Context) policy.Subject { return g.subject },
	}
	bucket := mem.New()
	store := cas.New(bucket, cas.Distribution)
	quotas := quota.New(p.Quotas)
	repos := repo.New(bucket, repo.CASBlobs{Store: store}, repo.Options{CanPull: guard.CanPull, Observer: quotas})
	writes := quota.Writes{Keeper: quotas, Store: repos, Next: repos}
	uploads, err := upload.New(t.Context(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g.Mux = api.NewMux(quiet)
	g.Use(policyhttp.Middleware(guard, func(context.Context) bool { return g.subject == nil }))
	ports := repohttp.Ports{Store: repos}
	pullhttp.RegisterBlobs(g.Mux, ports)
	pullhttp.RegisterManifests(g.Mux, ports)
	uploadhttp.Register(g.Mux, uploads, ports)
	repohttp.RegisterPush(g.Mux, guard.Pusher(writes), manifest.MaxSize)
	repohttp.RegisterLists(g.Mux, guard.Tags(repos), repos, guard.Catalog(repos))
	g.as("pusher")
	g.do("PUT", "/v2/base/a/manifests/v1", index("base")).want(201)
	g.do("POST", "/v2/base/a/blobs/uploads/?digest="+digest.FromBytes([]byte("x")).String(), "x").want(201)
	return g
}

type account string

func (account) Kind() policy.Kind     { return policy.User }
func (a account) Name() string        { return string(a) }
func (account) Groups() []string      { return nil }
func (account) Claim(string) []string { return nil }

func (g *registry) as(name string) {
	if g.subject = account(name); name == "" {
		g.subject = nil
	}
}

func index(note string) string {
	return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"` + note + `"}}`
}

type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (g *registry) do(method, path, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if strings.Contains(path, "/manifests/") {
		r.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return answer{w, g.t}
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("%d %s, want %d", a.Code, a.Body, status)
	}
	return a
}

// A tag that exists stays where it is for who may only create, by whichever way it
// is to be moved.
func TestCreateOnly(t *testing.T) {
	for _, tag := range []string{"latest", "v1", "LATEST"} {
		g := newRegistry(t)
		g.as("creator")
		at := "/v2/team/a/manifests/"
		second := digest.FromBytes([]byte(index("second"))).String()
		g.do("PUT", at+tag, index("first")).want(201)
		g.do("PUT", at+tag, index("first")).want(201)
		moved := g.do("PUT", at+tag, index("second")).want(403)
		if !strings.Contains(moved.Body.String(), "DENIED") || !strings.Contains(moved.Body.String(), "tag exists") {
			t.Errorf("the client is told %s", moved.Body)
		}
		g.do("PUT", at+"new?tag="+tag, index("second")).want(403)
		g.do("PUT", at+second+"?tag="+tag, index("second")).want(403)
		g.do("PUT", at+second, index("second")).want(201)
		if got := g.do("GET", at+tag, "").want(200).Body.String(); got != index("first") {
			t.Errorf("%s is now %s", tag, got)
		}
		g.do("GET", at+"new", "").want(404)
	}
}

// What there is and what there is not look alike to who may not see it.
func TestExistingAndAbsentAreAlike(t *testing.T) {
	g := newRegistry(t)
	x, y := digest.FromBytes([]byte("x")).String(), digest.FromBytes([]byte("y")).String()
	for _, name := range []string{"", "creator"} {
		g.as(name)
		for _, pair := range [][2]string{
			{"/v2/base/a/manifests/v1", "/v2/base/b/manifests/v1"},
			{"/v2/base/a/blobs/" + x, "/v2/base/b/blobs/" + y},
			{"/v2/base/a/tags/list", "/v2/base/b/tags/list"},
			{"/v2/base/a/referrers/" + x, "/v2/base/b/referrers/" + y},
		} {
			there, absent := g.do("GET", pair[0], ""), g.do("GET", pair[1], "")
			if there.Code != absent.Code || there.Body.String() != absent.Body.String() || fmt.Sprint(there.Header()) != fmt.Sprint(absent.Header()) {
				t.Errorf("%q sees a difference: %d %s, %d %s", name, there.Code, there.Body, absent.Code, absent.Body)
			}
		}
	}
}

// A blob of a repository that the caller may not pull from is not mounted, named or
// not.
func TestMount(t *testing.T) {
	g := newRegistry(t)
	x := digest.FromBytes([]byte("x")).String()
	for _, from := range []string{"", "&from=base/a"} {
		g.as("creator")
		g.do("POST", "/v2/team/a/blobs/uploads/?mount="+x+from, "").want(202)
		g.as("pusher")
		g.do("POST", "/v2/team/b/blobs/uploads/?mount="+x+from, "").want(201)
		g.as("creator")
		g.do("POST", "/v2/team/c/blobs/uploads/?mount="+x+"&from=team/b", "").want(201)
		g = newRegistry(t)
	}
}

func TestLists(t *testing.T) {
	g := newRegistry(t)
	g.do("PUT", "/v2/team/a/manifests/v1", index("a")).want(201)
	g.as("creator")
	page := g.do("GET", "/v2/_catalog?n=1", "").want(200)
	if page.Body.String() != `{"repositories":["team/a"]}` || page.Header().Get("Link") != "" {
		t.Errorf("%s, Link %q", page.Body, page.Header().Get("Link"))
	}
	g.as("pusher")
	page = g.do("GET", "/v2/_catalog?n=1", "").want(200)
	if page.Body.String() != `{"repositories":["base/a"]}` || !strings.Contains(page.Header().Get("Link"), "last=base%2Fa") {
		t.Errorf("%s, Link %q", page.Body, page.Header().Get("Link"))
	}
}

func TestOverQuota(t *testing.T) {
	g := newRegistry(t)
	g.do("PUT", "/v2/little/a/manifests/v1", index("a")).want(201)
	body := g.do("PUT", "/v2/little/a/manifests/v2", index("a")).want(403).Body.String()
	if want := `{"errors":[{"code":"DENIED","message":"quota \"little\": 1 tags are used of 1, and this has 1 more"}]}` + "\n"; body != want {
		t.Errorf("the client is told %s", body)
	}
}
