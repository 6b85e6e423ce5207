package socket_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step7-security/socket"
)

func listen(t *testing.T, path string) *socket.Listener {
	t.Helper()
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// echo answers who is there to each that connects, until ln is closed.
func echo(t *testing.T, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		peer, err := socket.PeerOf(conn.(*net.UnixConn))
		if err != nil || peer.UID != uint32(os.Geteuid()) || peer.PID != int32(os.Getpid()) {
			t.Errorf("peer %+v, %v", peer, err)
		}
		if known, ok := socket.From(socket.ConnContext(t.Context(), conn)); !ok || known != peer {
			t.Errorf("the context's peer is %+v, %v", known, ok)
		}
		io.WriteString(conn, "here")
		conn.Close()
	}
}

func answers(t *testing.T, path string) {
	t.Helper()
	conn, err := socket.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); err != nil || string(said) != "here" {
		t.Errorf("it says %q, %v", said, err)
	}
}

func TestListen(t *testing.T) {
	for _, tt := range []struct{ name, folder string }{
		{"short path", "a"},
		{"path longer than an address", strings.Repeat("a", 200)},
		{"path of the greatest length that fits, and around it", strings.Repeat("b", 100)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), tt.folder)
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "socket")
			ln := listen(t, path)
			var done sync.WaitGroup
			done.Go(func() { echo(t, ln) })
			answers(t, path)
			if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if ln.Addr().String() != path {
				t.Errorf("it listens on %s", ln.Addr())
			}
			if _, err := socket.Listen(path); !errors.Is(err, socket.ErrInUse) {
				t.Errorf("a second one: %v", err)
			}
			answers(t, path)
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			done.Wait()
			wantNames(t, folder, "socket.lock")
			if _, err := socket.Dial(t.Context(), path); !errors.Is(err, socket.ErrNobody) {
				t.Errorf("Dial = %v", err)
			}
		})
	}
}

func wantNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the folder has %q, want %q", names, want)
	}
}

// stale leaves what a killed process leaves.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	stale(t, path)
	if _, err := socket.Dial(t.Context(), path); !errors.Is(err, socket.ErrNobody) {
		t.Fatalf("Dial = %v", err)
	}
	ln := listen(t, path)
	go echo(t, ln)
	answers(t, path)
}

// Of several that start at once one listens.
func TestListenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	stale(t, path)
	results := make(chan error, 8)
	for range 8 {
		go func() {
			ln, err := socket.Listen(path)
			if err == nil {
				t.Cleanup(func() { ln.Close() })
				go echo(t, ln)
			}
			results <- err
		}()
	}
	listening := 0
	for range 8 {
		if err := <-results; err == nil {
			listening++
		} else if !errors.Is(err, socket.ErrInUse) {
			t.Error(err)
		}
	}
	if listening != 1 {
		t.Errorf("%d listen", listening)
	}
	answers(t, path)
}

// What is no socket stays.
func TestSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Listen(path); !errors.Is(err, socket.ErrInUse) {
		t.Errorf("Listen = %v", err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "mine" {
		t.Errorf("the file is %q, %v", raw, err)
	}
}

// The socket of a later process is not removed by an earlier one.
func TestCloseLeavesAnothers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	first := listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := listen(t, path)
	go echo(t, second)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	answers(t, path)
}

func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("none", 40), "socket")
	if _, err := socket.Listen(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Listen = %v", err)
	}
	if _, err := socket.Dial(t.Context(), path); !errors.Is(err, socket.ErrNobody) {
		t.Errorf("Dial = %v", err)
	}
}
