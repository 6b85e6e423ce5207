package notifyhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/notifyhttp"
	"shibafu.dev/step7-security/outbound"
)

// target is one at that URL, with more fields of its entry in the file.
func target(t *testing.T, url, more string) *notify.Target {
	t.Helper()
	all, err := notify.Parse([]byte(`{"targets": [{"name": "ci", "url": "` + url + `"` + more + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

const local = `, "allow": ["127.0.0.0/8"]`

func newSender(t *testing.T) *notifyhttp.Sender {
	s := notifyhttp.NewSender("shibafu/test")
	t.Cleanup(s.Close)
	return s
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func TestSend(t *testing.T) {
	var got *http.Request
	var body string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		w.WriteHeader(http.StatusAccepted)
	})
	to := target(t, server.URL+"/hook?x=y", local+`, "headers": {"Authorization": "Bearer token", "X-Team": "a"}`)
	if err := newSender(t).Send(t.Context(), notify.Delivery{Target: to, Body: []byte("body"), Signature: "t=1,v1=2"}); err != nil {
		t.Fatal(err)
	}
	line := got.Method + " " + got.RequestURI + " " + body
	if want := "POST /hook?x=y body"; line != want || got.ContentLength != 4 {
		t.Errorf("%s, %d bytes; want %s", line, got.ContentLength, want)
	}
	for name, want := range map[string]string{
		"Content-Type": notify.EventsType, "User-Agent": "shibafu/test", "Shibafu-Signature": "t=1,v1=2", "Authorization": "Bearer token", "X-Team": "a",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
}

// Nothing that a target answers is in what is said of it, nor anything of its URL.
const canary = "CANARY"

func TestAnswers(t *testing.T) {
	tests := []struct {
		name, after string
		status      int
		want        string // "" for nil
		refused     bool
		wait        time.Duration
	}{
		{"200", "", 200, "", false, 0},
		{"204", "", 204, "", false, 0},
		{"a redirect", "", 307, "answers 307, and no redirect is followed", false, 0},
		{"not modified", "", 304, "answers 304, and no redirect is followed", false, 0},
		{"a bad request", "", 400, "answers 400", true, 0},
		{"no credentials", "", 401, "answers 401", false, 0},
		{"not found", "", 404, "answers 404", false, 0},
		{"too large", "", 413, "answers 413", true, 0},
		{"another type", "", 415, "answers 415", true, 0},
		{"not understood", "", 422, "answers 422", true, 0},
		{"too many", "17", 429, "answers 429", false, 17 * time.Second},
		{"no sense", canary, 429, "answers 429", false, 0},
		{"less than nothing", "-5", 429, "answers 429", false, 0},
		{"long ago", "Sun, 06 Nov 1994 08:49:37 GMT", 503, "answers 503", false, 0},
		{"a fault", "", 500, "answers 500", false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", "/"+canary)
				w.Header().Set("X-"+canary, canary)
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
				if tt.status != 204 && tt.status != 304 {
					io.WriteString(w, canary)
				}
			})
			err := newSender(t).Send(t.Context(), notify.Delivery{Target: target(t, server.URL+"/"+canary, local)})
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
			if tt.want == "" {
				if err != nil {
					t.Errorf("%v, want nil", err)
				}
				return
			}
			var e *notify.SendError
			if !errors.As(err, &e) || e.Error() != tt.want || e.Refused != tt.refused || e.After != tt.wait {
				t.Errorf("%#v, want %q", err, tt.want)
			}
		})
	}
}

func TestRetryAfterDate(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	err := newSender(t).Send(t.Context(), notify.Delivery{Target: target(t, server.URL, local)})
	var e *notify.SendError
	if !errors.As(err, &e) || (e.After-time.Hour).Abs() > time.Minute {
		t.Errorf("%#v, want an hour", err)
	}
}

// What is no answer at all: said in our words.
func TestFaults(t *testing.T) {
	// raw answers bytes, and hangs up.
	raw := func(text string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				io.ReadAtLeast(c, make([]byte, 4<<10), 16)
				io.WriteString(c, text)
				c.Close()
			}
		}()
		return "http://" + ln.Addr().String() + "/" + canary
	}
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() })
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0)
	selfSigned.StartTLS()
	t.Cleanup(selfSigned.Close)
	closed := serve(t, nil)
	closed.Close()
	tests := []struct{ name, url, more, want string }{
		{"hangs", hangs.URL + "/" + canary, local, "no answer in time"},
		{"cut", raw(""), local, "the connection was cut"},
		{"no HTTP", raw(canary + "\r\n\r\n"), local, "what it answers is not HTTP, or not TLS"},
		{"a bad header", raw("HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n"), local, "what it answers is not HTTP, or not TLS"},
		{"a bad status", raw("HTTP/1.1 " + canary + "\r\n\r\n"), local, "what it answers is not HTTP, or not TLS"},
		{"no TLS", strings.Replace(raw(canary), "http:", "https:", 1), local, "what it answers is not HTTP, or not TLS"},
		{"self-signed", selfSigned.URL + "/" + canary, local, "its certificate is of an authority that is not known"},
		{"nobody there", closed.URL + "/" + canary, local, "dial: connect: connection refused"},
		{"inside", strings.Replace(selfSigned.URL, "127.0.0.1", "127.0.0.2", 1), `, "allow": ["127.0.0.1/32"]`, outbound.ErrAddress.Error() + ": 127.0.0.2 is loopback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			patience := 30 * time.Second
			if tt.name == "hangs" {
				patience = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := newSender(t).Send(ctx, notify.Delivery{Target: target(t, tt.url, tt.more), Body: []byte("{}")}); fmt.Sprint(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// An answer without end is not read to it, and counts by its status.
func TestEndless(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4<<10)); err != nil {
				return
			}
		}
	})
	if err := newSender(t).Send(t.Context(), notify.Delivery{Target: target(t, server.URL, local)}); err != nil {
		t.Error(err)
	}
}

// What a target may reach is looked at each time: it holds for the target as it is now.
func TestTargetChanges(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	s := newSender(t)
	if err := s.Send(t.Context(), notify.Delivery{Target: target(t, server.URL, local)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), notify.Delivery{Target: target(t, server.URL, `, "allow": ["10.0.0.0/8"]`)}); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("not allowed any more: %v", err)
	}
}

// From a push to a receiver that verifies, over a restart of which it knows nothing.
func TestEndToEnd(t *testing.T) {
	const secret = "0123456789abcdef"
	var up atomic.Bool
	taken := make(chan string, 10)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch err := notify.Verify(r.Header.Get(notify.SignatureHeader), secret, body, time.Now(), time.Minute); {
		case err != nil:
			t.Error(err)
		case !up.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		taken <- string(body)
	})
	to := []*notify.Target{target(t, server.URL, local+`, "secret": "`+secret+`"`)}
	b := mem.New()
	for _, restarted := range []bool{false, true} {
		n, err := notify.Open(t.Context(), notify.Options{Bucket: b, Sender: newSender(t)}, to)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); n.Run(ctx) }()
		if !restarted {
			repos := repo.New(b, repo.CASBlobs{Store: cas.New(b, cas.Distribution)}, repo.Options{Outbox: n, Missing: repo.AllowMissing})
			m, err := manifest.Parse("", []byte(image))
			if err != nil {
				t.Fatal(err)
			}
			p := repo.Push{Digest: digest.FromBytes([]byte(image)), Raw: []byte(image), Manifest: m, Tags: []ref.Tag{ref.MustTag("v1")}}
			if err := repos.PushManifest(t.Context(), ref.MustName("team/app"), p); err != nil {
				t.Fatal(err)
			}
		}
		up.Store(restarted)
		if restarted {
			if body := <-taken; !strings.Contains(body, `"tag":"v1"`) {
				t.Errorf("took %s", body)
			}
		}
		cancel()
		<-ended
		if s := n.Status()[0]; !restarted && s.Queued != 1 {
			t.Errorf("while nobody takes it: %+v", s)
		}
	}
}
