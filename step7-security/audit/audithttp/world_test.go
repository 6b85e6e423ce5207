package audithttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/audit/audithttp"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/keys"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/ratelimithttp"
)

// rules let alice do everything, and bob pull.
type rules struct{}

func (rules) Allowed(_ context.Context, id auth.Identity, _ ref.Name, action endpoint.Action) bool {
	return id.Name == "alice" || id.Name == "bob" && action == endpoint.Pull
}

// world is a registry with all that logs in it.
type world struct {
	t testing.TB
	http.Handler
	file    string // of the audit log
	log     bytes.Buffer
	metrics metrics.Registry
	said    []string // error texts that clients got
}

func newWorld(t testing.TB, secret string, o ratelimit.Limits) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "audit.log")}
	log := slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	audits, err := audit.Open(audit.Options{File: w.file, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { audits.Close() })
	recorder := audithttp.New(audits, address)
	observer := observe.New(observe.Options{Log: log, Metrics: &w.metrics, Done: recorder.Request})
	guard := newGuard(t, secret, recorder, log)
	limiter := ratelimit.New(o, 100)
	mux := api.NewMux(log)
	mux.RequestID = observe.RequestID
	mux.Use(observer.Middleware, guard.Middleware, ratelimithttp.Middleware(ratelimithttp.Sources{
		Identity: func(ctx context.Context) string { return auth.CallerOf(ctx).Identity.Name }, Identities: limiter, Address: address, Addresses: limiter,
	}))
	register(t, mux, guard)
	root := http.NewServeMux()
	root.Handle("/v2/", mux)
	root.Handle(authhttp.TokenPath, observe.Named("token", guard.Tokens()))
	w.Handler = observer.Handler(root)
	return w
}

func address(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() }

// newGuard knows alice and bob, by the same secret.
func newGuard(t testing.TB, secret string, recorder *audithttp.Recorder, log *slog.Logger) *authhttp.Guard {
	t.Helper()
	folder := t.TempDir()
	hash, err := password.Make(secret, 1000)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(folder, "users.json")
	for _, name := range []string{"alice", "bob"} {
		if err := auth.Edit(users, func(d *auth.Directory) error { return d.SetUser(name, hash) }); err != nil {
			t.Fatal(err)
		}
	}
	accounts, err := auth.Open(auth.Options{File: users, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	signing, err := keys.Open(filepath.Join(folder, "keys"), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := auth.NewTokens(signing, accounts, rules{}, auth.TokenOptions{Issuer: "reg", Service: "reg"})
	guard, err := authhttp.New(&auth.Gate{Accounts: accounts, Tokens: tokens}, rules{}, authhttp.Options{
		Log: log,
		Seen: func(r *http.Request, caller auth.Caller, err error) {
			id := caller.Identity
			observe.Identify(r.Context(), observe.Caller{Name: id.Name, Kind: string(id.Kind), Result: authhttp.Result(err)})
		},
		Issued: func(r *http.Request, id auth.Identity, asked auth.Request) {
			if asked.Offline && id.Kind != auth.Anonymous {
				recorder.Login(r, id.Name, string(id.Kind))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func register(t testing.TB, mux *api.Mux, guard *authhttp.Guard) {
	t.Helper()
	files := mem.New()
	store := cas.New(files, cas.Distribution)
	repos := repo.New(files, repo.CASBlobs{Store: store}, repo.Options{CanPull: guard.CanPull, Observer: faulty{}})
	uploads, err := upload.New(t.Context(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	ports := repohttp.Ports{Store: repos}
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, 1<<20)
	repohttp.RegisterDelete(mux, repos)
	repohttp.RegisterLists(mux, repos, repos, repos)
}

// faulty fails for the repository "broken".
type faulty struct{}

func (faulty) Observe(_ context.Context, e repo.Event) error {
	if e.Name.String() == "broken" {
		return os.ErrPermission
	}
	return nil
}

// ask sends a request; headers are pairs.
func (w *world) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	if answer.Code >= http.StatusBadRequest {
		w.said = append(w.said, answer.Body.String())
	}
	var headers bytes.Buffer
	answer.Header().Write(&headers)
	w.said = append(w.said, headers.String())
	return answer
}

// events are those that the audit log has.
func (w *world) events() (all []audit.Event) {
	w.t.Helper()
	raw, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var e audit.Event
		if err := json.Unmarshal(line, &e); err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// pushAll pushes an artifact of alice's, tagged v1 and v2, and returns its digest.
func (w *world) pushAll(secret string) (manifest digest.Digest) {
	w.t.Helper()
	as := []string{"Authorization", basic("alice", secret)}
	blob := "{}"
	d := digest.FromBytes([]byte(blob))
	steps := []struct{ method, target, body string }{
		{"POST", "/v2/team/app/blobs/uploads/?digest=" + d.String(), blob},
		{"POST", "/v2/team/copy/blobs/uploads/?from=team/app&mount=" + d.String(), ""},
	}
	for _, s := range steps {
		if got := w.ask(s.method, s.target, s.body, as...); got.Code != http.StatusCreated {
			w.t.Fatalf("%s %s: %d %s", s.method, s.target, got.Code, got.Body)
		}
	}
	raw := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","artifactType":"text/plain","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + d.String() + `","size":2},"layers":[]}`
	manifest = digest.FromBytes([]byte(raw))
	as = append(slices.Clone(as), "Content-Type", oci.MediaTypeImageManifest)
	if got := w.ask("PUT", "/v2/team/app/manifests/"+manifest.String()+"?tag=v1&tag=v2", raw, as...); got.Code != http.StatusCreated {
		w.t.Fatalf("%d %s", got.Code, got.Body)
	}
	return manifest
}

// everything is all that was logged, counted and answered.
func (w *world) everything() map[string]string {
	w.t.Helper()
	audits, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	var figures bytes.Buffer
	if err := w.metrics.Write(&figures); err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{"the logs": w.log.String(), "the audit log": string(audits), "the figures": figures.String(), "what clients were told": strings.Join(w.said, "\n")}
}
