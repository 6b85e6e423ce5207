package adminhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/socket"
)

// overSocket serves the world on a socket, and returns a client of it.
func (w *world) overSocket(t *testing.T) adminhttp.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Changed = func(r *http.Request, action, target string, err error) {
		if peer, ok := socket.From(r.Context()); !ok || peer.UID != uint32(os.Geteuid()) {
			t.Errorf("the peer is %+v, %v", peer, ok)
		}
		w.changed(r, action, target, err)
	}
	server := &http.Server{Handler: w.handler(), ConnContext: socket.ConnContext}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return adminhttp.Client{Transport: adminhttp.OverSocket(path)}
}

// ways are the ways to reach the API, which are alike.
func ways(t *testing.T, test func(t *testing.T, w *world, c adminhttp.Client)) {
	t.Run("in process", func(t *testing.T) {
		w := newWorld(t)
		test(t, w, adminhttp.Client{Transport: adminhttp.InProcess(w.handler())})
	})
	t.Run("over a socket", func(t *testing.T) {
		w := newWorld(t)
		test(t, w, w.overSocket(t))
	})
}

func TestClient(t *testing.T) {
	ways(t, func(t *testing.T, w *world, c adminhttp.Client) {
		ctx := t.Context()
		if err := c.Do(ctx, "POST", "users", admin.NewUser{Name: "alice", Password: secret}, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Do(ctx, "PUT", adminhttp.Path("groups", "team", "members", "oidc$github:acme/app"), nil, nil); err != nil {
			t.Fatal(err)
		}
		var groups adminhttp.Groups
		if err := c.Do(ctx, "GET", "groups", nil, &groups); err != nil || len(groups.Groups) != 1 || groups.Groups[0].Members[0] != "oidc$github:acme/app" {
			t.Errorf("groups %+v, %v", groups, err)
		}
		err := c.Do(ctx, "DELETE", adminhttp.Path("users", "bob"), nil, nil)
		var e *ocierr.Error
		if !errors.As(err, &e) || e.Status != 404 || e.Code != "UNKNOWN" || e.Message != "there is none of this name" {
			t.Errorf("the error is %#v", err)
		}
		first, err := c.ReplaceRules(ctx, []byte(usersMayPull), "")
		if err != nil || !first.InForce {
			t.Fatalf("ReplaceRules = %+v, %v", first, err)
		}
		if _, err := c.ReplaceRules(ctx, []byte(teamMayPush), first.Hash); err != nil {
			t.Error(err)
		}
		if _, err := c.ReplaceRules(ctx, []byte(usersMayPull), first.Hash); !errors.Is(err, ocierr.Code("CHANGED")) {
			t.Errorf("replaced again: %v", err)
		}
		if w.verify("alice", secret) == false {
			t.Error("alice is not let in")
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := c.Do(ended, "GET", "users", nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestNobodyListens(t *testing.T) {
	c := adminhttp.Client{Transport: adminhttp.OverSocket(filepath.Join(t.TempDir(), "socket"))}
	if err := c.Do(t.Context(), "GET", "users", nil, nil); !errors.Is(err, socket.ErrNobody) {
		t.Errorf("the error is %v", err)
	}
}

// A server and commands without one that change the same files at once lose nothing.
func TestChangesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.ports.Rules.Reload = func() error { return nil }
	offline, err := adminhttp.New(adminhttp.Ports{
		Directory: &admin.Directory{File: w.file("users.json"), Accounts: w.accounts},
		Rules:     &admin.Rules{File: w.file("policy.json"), Reload: w.ports.Rules.Reload, Fault: func() error { return nil }},
	}, adminhttp.Options{Trusted: true})
	if err != nil {
		t.Fatal(err)
	}
	clients := []adminhttp.Client{w.overSocket(t), {Transport: adminhttp.InProcess(offline)}}
	text, err := w.ports.Rules.Text()
	if err != nil {
		t.Fatal(err)
	}
	const each = 8
	joined, replaced := make(chan error), make(chan error)
	for i := range each {
		for j, c := range clients {
			go func() {
				joined <- c.Do(t.Context(), "PUT", adminhttp.Path("groups", "all", "members", fmt.Sprintf("user%d.%d", i, j)), nil, nil)
			}()
			go func() {
				_, err := c.ReplaceRules(t.Context(), fmt.Appendf(nil, `{"rules": [], "quotas": [{"name": "%d%d", "repositories": ["*"], "tags": 1}]}`, i, j), text.Hash)
				replaced <- err
			}()
		}
	}
	won := 0
	for range each * len(clients) {
		if err := <-joined; err != nil {
			t.Error(err)
		}
		if err := <-replaced; err == nil {
			won++
		} else if !errors.Is(err, ocierr.Code("CHANGED")) {
			t.Error(err)
		}
	}
	groups, err := w.ports.Directory.Groups()
	if err != nil || len(groups[0].Members) != each*len(clients) {
		t.Errorf("groups %+v, %v", groups, err)
	}
	if won != 1 {
		t.Errorf("%d have replaced the same policy", won)
	}
}
