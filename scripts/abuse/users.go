package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// calm and logins are how many users log in before a flood and during it, each for the
// first time: a password that was right is remembered.
const calm, logins = 3, 12

// guarded starts a registry that knows users: alice, bob, and some that log in during
// floods.
func (a *abuse) guarded() (*server, error) {
	root := filepath.Join(a.work, "guarded")
	names := []string{"alice", "bob"}
	for _, flood := range []string{"one", "many"} {
		for i := range calm + logins {
			names = append(names, fmt.Sprintf("%s-%d", flood, i))
		}
	}
	for _, name := range names {
		if err := a.addUser(root, name); err != nil {
			return nil, err
		}
	}
	return a.serve(root)
}

// secret is the password of a user.
func secret(name string) string { return name + " has a secret" }

// addUser adds a user, unless an earlier part did.
func (a *abuse) addUser(root, name string) error {
	if a.users[name] {
		return nil
	}
	add := exec.Command(a.program, "registry", "user", "add", "--root", root, "--password-stdin", name)
	add.Stdin = strings.NewReader(secret(name) + "\n")
	if said, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("user add %s: %w: %s", name, err, said)
	}
	a.users[name] = true
	return nil
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// token gets a token for the repository.
func (s *server) token(name string) (string, error) {
	resp, err := client(here, false).Do(request("GET", s.tokenURL(), basic(name, secret(name))))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("no token for %s: %s, %w", name, resp.Status, err)
	}
	return "Bearer " + answer.Token, nil
}

func (s *server) tokenURL() string {
	return s.url + "/token?service=shibafu&scope=repository:" + repository + ":pull,push"
}

// flood is requests without end.
type flood struct {
	stop   atomic.Bool
	all    sync.WaitGroup
	begin  time.Time
	counts [600]atomic.Int64 // by status
	broken atomic.Int64
}

// flood has n connections from each address make requests, with a pause after each
// answer.
func (s *server) flood(from []netip.Addr, n int, pause time.Duration, next func() *http.Request) *flood {
	f := &flood{begin: time.Now()}
	for _, at := range from {
		for range n {
			f.all.Go(func() {
				c := client(at, true)
				defer c.CloseIdleConnections()
				for !f.stop.Load() {
					if got, err := status(c, next()); err != nil {
						f.broken.Add(1)
					} else {
						f.counts[got].Add(1)
					}
					time.Sleep(pause)
				}
			})
		}
	}
	return f
}

// end stops the flood, and returns how many requests it made a second.
func (f *flood) end() float64 {
	f.stop.Store(true)
	took := time.Since(f.begin)
	f.all.Wait()
	var n int64
	for i := range f.counts {
		n += f.counts[i].Load()
	}
	return float64(n) / took.Seconds()
}

// passwords is wrong passwords from one address, over more connections than may wait.
func (a *abuse) passwords() (string, error) {
	return a.guess("one", []netip.Addr{address(0, 0)}, 150)
}

// morePasswords is wrong passwords from many addresses.
func (a *abuse) morePasswords() (string, error) {
	var from []netip.Addr
	for i := range 50 {
		from = append(from, address(0, i))
	}
	return a.guess("many", from, 2)
}

// guess floods with wrong passwords, of users that there are and of others, while others
// log in.
func (a *abuse) guess(who string, from []netip.Addr, n int) (string, error) {
	s, err := a.guarded()
	if err != nil {
		return "", err
	}
	defer s.stop()
	login := func(i int) (time.Duration, error) {
		begin := time.Now()
		_, err := s.token(fmt.Sprintf("%s-%d", who, i))
		return time.Since(begin), err
	}
	var m must
	var before, took times
	for i := range calm {
		d, err := login(i)
		before = append(before, d)
		m.add(err)
	}
	var i atomic.Int64
	f := s.flood(from, n, 20*time.Millisecond, func() *http.Request {
		n := i.Add(1)
		name := "alice"
		if n%2 == 0 {
			name = fmt.Sprintf("nobody-%d", n)
		}
		return request("GET", s.tokenURL(), basic(name, fmt.Sprint("guess ", n)))
	})
	time.Sleep(time.Second)
	for i := range logins {
		d, err := login(calm + i)
		took = append(took, d)
		m.add(err)
		time.Sleep(50 * time.Millisecond)
	}
	pace := f.end()
	wrong, refused := f.counts[http.StatusUnauthorized].Load(), f.counts[http.StatusTooManyRequests].Load()
	bar := max(loginBar, busy*before.p95())
	m.hold(took.p95() <= bar, "valid logins: %v, want %v at most", took, bar)
	// What an address may guess at once, and then in a second.
	most := int64(len(from)) * int64(10+time.Since(f.begin).Seconds()+1)
	m.hold(wrong > 0 && wrong <= most, "%d wrong passwords were tried, want some and no more than %d", wrong, most)
	m.hold(refused > 0, "nobody was told to come later")
	m.hold(f.broken.Load() == 0, "%d requests had no answer", f.broken.Load())
	m.add(s.stop())
	return fmt.Sprintf("%d addresses, %.0f wrong passwords a second, %d tried, %d told to come later; logins %v", len(from), pace, wrong, refused, took), m.err()
}

// pulls is one user who pulls without end.
func (a *abuse) pulls() (string, error) {
	s, err := a.guarded()
	if err != nil {
		return "", err
	}
	defer s.stop()
	alice, err := s.token("alice")
	if err != nil {
		return "", err
	}
	bob, err := s.token("bob")
	if err != nil {
		return "", err
	}
	blob, err := s.fill(alice)
	if err != nil {
		return "", err
	}
	var m must
	end, err := s.drain(64, fmt.Sprintf("GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: registry\r\nAuthorization: %s\r\n\r\n", repository, blob, alice))
	m.add(err)
	honest := s.visit(bob)
	time.Sleep(4 * time.Second)
	took, err := honest.leave()
	m.add(err)
	pace, err := end()
	m.add(err)
	m.hold(pace > 100, "the flood is of %.0f MiB/s", pace)
	m.add(s.stop())
	return fmt.Sprintf("64 connections of one user pull %.0f MiB/s; HEAD of another %v", pace, took), m.err()
}
