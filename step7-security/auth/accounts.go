package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shibafu.dev/step7-security/auth/password"
)

// What Options are where they are not set.
const (
	DefaultWaiting  = 200
	DefaultPatience = 5 * time.Second
	DefaultRemember = 5 * time.Minute
	DefaultInterval = 5 * time.Second
)

// Options say where accounts are and how secrets are verified.
type Options struct {
	// File is the file of users (Directory); it need not exist when the accounts are
	// opened. Htpasswd is a file of Apache's; "" if there is none. Of a name that is in
	// both, File counts.
	File, Htpasswd string
	// UseFile is where the last uses of robots are kept, "" if they are not.
	UseFile string
	// Concurrent is how many passwords are verified at once: each is a processor's work
	// for a tenth of a second. 0 stands for half of the processors. One more may be of a
	// source whose last password was right. Waiting is how many more may wait of such, of
	// those of which nothing is known, and of those whose last one was wrong; half of them
	// from one Source, each for as long as Patience; 0 stands for the default.
	Concurrent, Waiting int
	Patience            time.Duration
	// Source is where a context's request comes from: an address, or the network that it is
	// in. Sources take turns, so one that tries many passwords makes itself wait, and not
	// the others. nil stands for one source.
	Source func(ctx context.Context) string
	// Remember is how long a password that was right is not tried again; 0 stands for
	// the default. It is forgotten at once if the user changes.
	Remember time.Duration
	// Attempts slow down who guesses; nil if nothing does.
	Attempts Attempts
	// Log is told of files that changed, for the better or the worse.
	Log *slog.Logger

	// Matches is password.Hash.Matches, but for tests that count the work.
	Matches func(h password.Hash, secret string) bool
}

// Attempts slow down the source of wrong passwords, which they find in the context.
type Attempts interface {
	// Attempt is called before a secret is tried, and done once afterwards: it succeeded
	// if it was not wrong. Until then it counts as wrong, or many at once would all be
	// free. Its error, if any, ends the attempt, and goes to the client if it is one of
	// ocierr.
	Attempt(ctx context.Context) (done func(succeeded bool), err error)
}

// Accounts are the users, robots and groups of the files. Its methods may be called at
// the same time.
type Accounts struct {
	opts  Options
	now   atomic.Pointer[snapshot]
	good  memory[string] // versions of users, by name and password
	slots *slots
	uses  uses
	salt  [sha256.Size]byte // of this process alone

	mu    sync.Mutex // held to read the files
	files [2]source  // File, Htpasswd
	fault error
}

// snapshot is what the files said at one time.
type snapshot struct {
	users  map[string]account
	robots map[string]RobotEntry
	groups map[string][]string // by member
	hashes []password.Hash     // of all users, in the order of their names
}

// account is a user.
type account struct {
	hash     password.Hash
	disabled bool
	htpasswd bool // where it stands
	version  string
}

// Open reads the files. Its errors are ErrDirectory, password.ErrHtpasswd and those of the
// disk.
func Open(opts Options) (*Accounts, error) {
	opts.Concurrent = cmp.Or(opts.Concurrent, max(1, runtime.GOMAXPROCS(0)/2))
	opts.Waiting = cmp.Or(opts.Waiting, DefaultWaiting)
	opts.Patience = cmp.Or(opts.Patience, DefaultPatience)
	opts.Remember = cmp.Or(opts.Remember, DefaultRemember)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Source == nil {
		opts.Source = func(context.Context) string { return "" }
	}
	if opts.Matches == nil {
		opts.Matches = password.Hash.Matches
	}
	a := &Accounts{opts: opts}
	rand.Read(a.salt[:])
	a.slots = newSlots(opts.Concurrent, opts.Waiting, opts.Patience)
	a.files = [2]source{{path: opts.File}, {path: opts.Htpasswd, required: true}}
	if err := a.Poll(); err != nil {
		return nil, err
	}
	if err := a.uses.load(opts.UseFile); err != nil { // worth a line in the log, and no more
		opts.Log.Error("the last uses of robots are not known", "cause", err)
	}
	return a, nil
}

// Watch polls until ctx ends, each interval (0 stands for DefaultInterval), and keeps the
// last uses of robots. What is wrong goes to the log, once.
func (a *Accounts) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(cmp.Or(interval, DefaultInterval))
	defer ticker.Stop()
	defer func() { a.logUses(a.SaveUses()) }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.Poll()
		a.logUses(a.SaveUses())
	}
}

func (a *Accounts) logUses(err error) {
	if err != nil {
		a.opts.Log.Error("the last uses of robots are not kept", "cause", err)
	}
}

// Poll reads the files again if they have changed. If one is bad, what was read last goes
// on to count, and the error is returned by each Poll until it is mended.
func (a *Accounts) Poll() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	files, changed := a.files, false
	for i := range files {
		anew, err := files[i].read()
		if err != nil {
			return a.bad(err)
		}
		changed = changed || anew
	}
	first := a.now.Load() == nil
	if changed || first {
		s, err := a.snapshot(files)
		if err != nil {
			a.files = files // bad ones are not parsed again
			return a.bad(err)
		}
		a.now.Store(s)
		a.fault = nil
		if !first {
			a.opts.Log.Info("users were read again", "users", len(s.users), "robots", len(s.robots))
		}
	}
	a.files = files
	return a.fault
}

func (a *Accounts) bad(err error) error {
	if a.fault == nil || a.fault.Error() != err.Error() {
		a.opts.Log.Error("users could not be read; those known before go on to count", "cause", err)
	}
	a.fault = err
	return err
}

func (a *Accounts) snapshot(files [2]source) (*snapshot, error) {
	s := &snapshot{users: map[string]account{}, groups: map[string][]string{}}
	if files[1].raw != nil {
		hashes, err := password.ParseHtpasswd(files[1].raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[1].path, err)
		}
		for name, h := range hashes {
			if err := CheckName(name); err != nil {
				return nil, fmt.Errorf("%s: %w: user %q: %w", files[1].path, password.ErrHtpasswd, name, err)
			}
			s.users[name] = newAccount(h, false, true)
		}
	}
	if files[0].raw != nil {
		d, err := ParseDirectory(files[0].raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[0].path, err)
		}
		if err := s.add(d); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		s.hashes = append(s.hashes, s.users[name].hash)
	}
	return s, nil
}

func (s *snapshot) add(d *Directory) error {
	for name, entry := range d.Users {
		h, err := password.Parse(entry.Password)
		if err != nil {
			return err
		}
		s.users[name] = newAccount(h, entry.Disabled, false)
	}
	s.robots = d.Robots
	for group, list := range d.Groups {
		for _, m := range list {
			s.groups[m] = append(s.groups[m], group)
		}
	}
	for m := range s.groups {
		slices.Sort(s.groups[m])
		s.groups[m] = slices.Compact(s.groups[m])
	}
	return nil
}

func newAccount(h password.Hash, disabled, htpasswd bool) account {
	return account{h, disabled, htpasswd, versionOf(h.String())}
}

// versionOf names a secret's hash without telling it.
func versionOf(hash string) string {
	sum := sha256.Sum256([]byte("version of " + hash))
	return hex.EncodeToString(sum[:8])
}

// HtpasswdUsers are the users that only the htpasswd file has, sorted.
func (a *Accounts) HtpasswdUsers() []string {
	names := []string{}
	for name, user := range a.now.Load().users {
		if user.htpasswd {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// GroupsOf are the groups in which a name stands, whoever vouches for it.
func (a *Accounts) GroupsOf(name string) []string {
	return slices.Clone(a.now.Load().groups[name])
}

// groupsWith are those groups and the ones that others vouch for.
func (a *Accounts) groupsWith(name string, vouched []string) []string {
	all := append(a.GroupsOf(name), vouched...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Certificate is the identity of who has a certificate of this name (CertificateName).
func (a *Accounts) Certificate(name string) Identity {
	return Identity{Name: name, Kind: Certificate, Groups: a.GroupsOf(name)}
}

// current is the identity of a user or a robot as the files are now; ok is false if it
// has been removed or disabled, or has expired.
func (a *Accounts) current(name string) (id Identity, ok bool) {
	s := a.now.Load()
	if robot, is := RobotName(name); is {
		r, known := s.robots[robot]
		if !known || !r.valid() {
			return Identity{}, false
		}
		return Identity{Name: name, Kind: Robot, Groups: s.groups[name], Expires: r.Expires, version: versionOf(r.Secret)}, true
	}
	u, known := s.users[name]
	if !known || u.disabled {
		return Identity{}, false
	}
	return Identity{Name: name, Kind: User, Groups: s.groups[name], version: u.version}, true
}

func (r RobotEntry) valid() bool {
	return !r.Disabled && (r.Expires.IsZero() || time.Now().Before(r.Expires))
}
