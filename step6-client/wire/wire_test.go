package wire_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/wire"
)

// Over TLS, HTTP/2 is spoken where the registry does.
func TestHTTP2(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		t.Run(fmt.Sprint(enabled), func(t *testing.T) {
			l := &listener{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto)
			}))}
			l.EnableHTTP2 = enabled
			l.StartTLS()
			t.Cleanup(l.Close)
			resp, err := connect(t, l, wire.Options{}).Do(t.Context(), requestTo(l, "/v2/"))
			if err != nil || resp.ProtoMajor == 2 != enabled {
				t.Errorf("%v, %v", resp, err)
			}
			wire.Discard(resp)
		})
	}
}

// A proxy of the environment is used, wherever it is. The environment is read once
// in a process, so the test runs itself in one of its own.
func TestProxyOfEnvironment(t *testing.T) {
	if os.Getenv("HTTP_PROXY") != "" {
		c, err := wire.New("registry.example.com", wire.Options{Scheme: "http", Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		resp, err := c.Do(t.Context(), &wire.Request{Method: "GET", URL: c.URL(endpoint.Path{Pattern: endpoint.Base.Pattern}, nil)})
		if err != nil {
			t.Fatal(err)
		}
		wire.Discard(resp)
		return
	}
	var asked string
	proxy := listen(t, false, func(w http.ResponseWriter, r *http.Request) { asked = r.RequestURI })
	self := exec.Command(os.Args[0], "-test.run=^TestProxyOfEnvironment$")
	self.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL)
	if out, err := self.CombinedOutput(); err != nil || asked != "http://registry.example.com/v2/" {
		t.Errorf("%v, asked %q: %s", err, asked, out)
	}
}

func TestURL(t *testing.T) {
	c, err := wire.New("[::1]:5000", wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := endpoint.Path{Pattern: endpoint.ListTags.Pattern, Name: ref.MustName("a/b")}
	if got, want := c.URL(p, url.Values{"n": {"1"}}).String(), "http://[::1]:5000/v2/a/b/tags/list?n=1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBadCAFile(t *testing.T) {
	for name, path := range map[string]string{"missing": "/nonexistent", "not PEM": "wire_test.go"} {
		if _, err := wire.New("a", wire.Options{CAFile: path}); err == nil || strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
