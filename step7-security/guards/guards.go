// Package guards puts together what stands between a client and a registry: who somebody
// is, what they may do, how much of it, and what is told of it. It is the one place that
// knows these packages; the registry, and the program around it, know this one.
//
// Reading order: guards.go (what there is), rules.go (the policy in force), subject.go
// (an identity as rules name it), chain.go (the order in which requests meet them),
// admins.go (who looks after the registry), looked.go (what they look after).
package guards

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/issuer"
	"shibafu.dev/step7-security/auth/keys"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/ratelimithttp"
)

// The names of files in Options.Folder.
const (
	UsersFile  = "users.json"
	PolicyFile = "policy.json"
)

// Options say what guards a registry.
type Options struct {
	// Folder holds what is the registry's own: users, keys, and a policy unless Policy
	// names another file. It is made if need be, for nobody else to read.
	Folder string
	// Policy, Htpasswd and Issuers are files; "" where there is none.
	Policy, Htpasswd, Issuers string
	// Ask has everybody asked who they are even if nothing in Folder or of these files
	// says that there are users: where client certificates name them.
	Ask bool
	// PublicURL is where clients find the registry; "" sends them where they asked.
	PublicURL string
	// TokenLifetime is that of access tokens; 0 stands for the default.
	TokenLifetime time.Duration
	Trust         forwarded.Trust
	// Limits are those of each source. Nobody's requests from this machine have none, as
	// their address tells nothing.
	Limits ratelimit.Limits
	// Fetch gets the keys of issuers.
	Fetch issuer.Fetcher
	// Access gets the access log, nil for none; of reads that went well, one of so many
	// as Every.
	Access  *slog.Logger
	Every   uint64
	Metrics *metrics.Registry
	// Seen is told who makes each request, and why it was not let in, as
	// authhttp.Options.Seen. It may be nil.
	Seen func(r *http.Request, caller auth.Caller, err error)
	// Issued is told of each token that was given out, as authhttp.Options.Issued, and Done
	// of each request once it was answered, as observe.Options.Done. Both may be nil.
	Issued func(r *http.Request, id auth.Identity, asked auth.Request)
	Done   func(*observe.Request)
	Log    *slog.Logger
}

// What one address may do: guess a password now and then.
var attempts = ratelimit.Rate{PerSecond: 1, Burst: 10}

// sources is how many are remembered.
const sources = 100_000

// Guards are what stands between clients and a registry.
type Guards struct {
	opts     Options
	asks     atomic.Bool
	accounts *auth.Accounts
	issuers  *issuer.File // nil if nobody else's tokens count
	signing  signing
	rules    *rules
	who      *authhttp.Guard
	// May decides, for whoever a context acts for.
	May     policy.Guard
	limits  ratelimithttp.Sources
	observe *observe.Observer
	look    chan struct{} // asks Run to look at once
}

// New opens the files. Whoever calls it calls Run.
func New(o Options) (*Guards, error) {
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, err
	}
	g, err := Look(o)
	if err != nil {
		return nil, err
	}
	g.limits = ratelimithttp.Sources{
		Identity:   func(ctx context.Context) string { return auth.CallerOf(ctx).Identity.Name },
		Identities: ratelimit.New(o.Limits, sources),
		Address:    ClientOf,
		Addresses:  ratelimit.New(o.Limits, sources), // not those: a user may be called like an address
	}
	g.observe = observe.New(observe.Options{Log: o.Access, Every: o.Every, Metrics: o.Metrics, Client: ClientOf, Done: o.Done})
	g.signing.wanted = true
	if !g.Asks() {
		return g, nil
	}
	return g, g.signing.open()
}

// Look opens the files for who looks after a registry that is not served: nothing is
// made before something is changed, and nothing is guarded.
func Look(o Options) (*Guards, error) {
	g := &Guards{opts: o, signing: signing{folder: filepath.Join(o.Folder, "keys")}, look: make(chan struct{}, 1)}
	var err error
	if g.rules, err = openRules(cmp.Or(o.Policy, filepath.Join(o.Folder, PolicyFile)), o.Policy != ""); err != nil {
		return nil, err
	}
	g.May = policy.Guard{Policy: g.Policy, Subject: func(ctx context.Context) policy.Subject { return subject{auth.CallerOf(ctx).Identity} }}
	if err := g.openGate(); err != nil {
		return nil, err
	}
	g.asks.Store(g.named())
	return g, nil
}

// openGate opens the users and the keys for their tokens.
func (g *Guards) openGate() (err error) {
	o := g.opts
	g.accounts, err = auth.Open(auth.Options{
		File: filepath.Join(o.Folder, UsersFile), UseFile: filepath.Join(o.Folder, "uses.json"), Htpasswd: o.Htpasswd, Log: o.Log,
		Source:   func(ctx context.Context) string { return ratelimit.AddressKey(addressOf(ctx)) },
		Attempts: ratelimithttp.Attempts{Failures: ratelimit.NewFailures(attempts, 100, 5*time.Second, sources), Address: addressOf},
	})
	if err != nil {
		return err
	}
	gate := &auth.Gate{Accounts: g.accounts}
	if o.Issuers != "" {
		if g.issuers, err = issuer.Open(o.Issuers, o.Fetch); err != nil {
			return err
		}
		gate.Issuers = g.issuers
	}
	decides := decider(g.Policy)
	gate.Tokens = auth.NewTokens(&g.signing, g.accounts, decides, auth.TokenOptions{Issuer: "shibafu", Service: "shibafu", Access: o.TokenLifetime})
	g.who, err = authhttp.New(gate, decides, authhttp.Options{
		PublicURL: o.PublicURL,
		Log:       o.Log,
		Origin: func(r *http.Request) (scheme, host string) {
			from := forwardedhttp.Origin(r.Context())
			return from.Scheme, from.Host
		},
		Seen: func(r *http.Request, caller auth.Caller, err error) {
			identify(r, caller, err)
			if o.Seen != nil {
				o.Seen(r, caller, err)
			}
		},
		Issued: o.Issued,
	})
	return err
}

// Asks tells whether everybody is asked who they are. Where nothing names a user nobody
// is, and all may pull, push and delete; once something does, it stays so.
func (g *Guards) Asks() bool { return g.asks.Load() }

// notice sees whether there are users by now.
func (g *Guards) notice() {
	if g.named() && !g.asks.Swap(true) {
		g.opts.Log.Info("there are users: everybody is asked who they are from now on")
	}
}

// named tells whether something names users.
func (g *Guards) named() bool {
	o := g.opts
	return o.Ask || o.Policy != "" || o.Htpasswd != "" || o.Issuers != "" || g.rules.some() || exists(filepath.Join(o.Folder, UsersFile))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Policy is what is in force now.
func (g *Guards) Policy() *policy.Policy {
	if !g.asks.Load() {
		return g.rules.everybody
	}
	return g.rules.current()
}

// Accounts are the users, robots and groups.
func (g *Guards) Accounts() *auth.Accounts { return g.accounts }

// Keys are those that tokens are signed with; nil as long as there are none.
func (g *Guards) Keys() *keys.Store { return g.signing.store.Load() }

// Limits are the counts of what limits do, by what their sources are told apart by.
func (g *Guards) Limits() map[string]func() ratelimit.Stats {
	return map[string]func() ratelimit.Stats{"identity": g.limits.Identities.Stats, "address": g.limits.Addresses.Stats}
}

// Files are what tells why a file is not in force as it is now, nil if it is, by what it
// holds.
func (g *Guards) Files() map[string]func() error {
	files := map[string]func() error{"users": g.accounts.Err, "policy": g.rules.err}
	if g.issuers != nil {
		files["issuers"] = g.issuers.Err
	}
	return files
}

// CanPull tells whether a context's caller may pull from a repository: for
// repo.Options.CanPull.
func (g *Guards) CanPull(ctx context.Context, name ref.Name) bool {
	return !g.asks.Load() || g.who.CanPull(ctx, name)
}

// Caller names who a context acts for: for repo.Options.Caller and upload.Manager.Owner.
func Caller(ctx context.Context) string { return auth.CallerOf(ctx).Identity.Name }

// Reload reads all files again. What is bad is not taken over.
func (g *Guards) Reload() error {
	err := errors.Join(g.accounts.Poll(), g.rules.reload())
	if g.issuers != nil {
		err = errors.Join(err, g.issuers.Reload())
	}
	g.changed()
	return err
}

// changed lets what was changed count at once, as far as it does not by itself.
func (g *Guards) changed() {
	g.notice()
	if g.Asks() && g.signing.wanted {
		g.pollKeys(g.signing.open)
	}
	select {
	case g.look <- struct{}{}:
	default: // Run is about to look
	}
}

// pollKeys tells the log if there are no keys, or none that can be read.
func (g *Guards) pollKeys(poll func() error) {
	if err := poll(); err != nil {
		g.opts.Log.Error("signing keys could not be read; those known before go on to count", "cause", err)
	}
}

// Run keeps everything up to date until ctx ends. changed is called after the policy
// in force has changed.
func (g *Guards) Run(ctx context.Context, changed func()) {
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { g.accounts.Watch(ctx, 0) })
	if g.issuers != nil {
		others.Go(func() { g.issuers.Run(ctx, auth.DefaultInterval, g.opts.Log) })
	}
	ticker := time.NewTicker(auth.DefaultInterval)
	defer ticker.Stop()
	for before := g.Policy(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-g.look:
		}
		g.rules.poll(g.opts.Log)
		g.notice()
		if now := g.Policy(); now != before {
			before = now
			changed()
		}
		if g.Asks() {
			g.pollKeys(g.signing.poll)
		}
	}
}
