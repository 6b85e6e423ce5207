package place

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/journal"
	"shibafu.dev/step6-client/transfer"
	"shibafu.dev/step6-client/wire"
)

// Access is how registries are reached. The zero value is usable.
type Access struct {
	// Plain says who is spoken to by http.
	Plain Plain
	// CAFile is a PEM file of certificates to trust besides the system's.
	CAFile string
	// SkipVerify takes any certificate.
	SkipVerify bool
	// TokenServers are hosts that get the credentials too, as in wire.Options.
	TokenServers []string
	// Credentials are those to show. Without it they come from the file that docker
	// uses.
	Credentials wire.Credentials
	// Progress, if it is set, is told how many bytes of a blob have come of a registry.
	Progress func(d digest.Digest, done, size int64)
}

// Plain is who is spoken to by http: registries on this machine, unless it says
// something else, or Access has something about certificates.
type Plain struct {
	All, None bool
	// Hosts are those that are, whatever holds for others.
	Hosts []string
}

// Set implements flag.Value: "true", "false" or a host.
func (p *Plain) Set(text string) error {
	if on, err := strconv.ParseBool(text); err == nil {
		p.All, p.None = on, !on
		return nil
	}
	if r, err := ref.ParseReference(text + "/x"); err != nil || r.Host != text {
		return fmt.Errorf("%q is no host", text)
	}
	p.Hosts = append(p.Hosts, text)
	return nil
}

// String implements flag.Value.
func (p *Plain) String() string { return strings.Join(p.Hosts, ",") }

// IsBoolFlag has the flag stand alone.
func (*Plain) IsBoolFlag() bool { return true }

// Flags defines the flags that set a.
func (a *Access) Flags(flags *flag.FlagSet) {
	flags.Var(&a.Plain, "plain-http", "speak http to registries, or with =`host` to that one, and may be given again; to those on this machine it is so unless a certificate is spoken of, or with =false")
	flags.StringVar(&a.CAFile, "ca", "", "PEM `file` of certificates to trust besides the system's")
	flags.BoolVar(&a.SkipVerify, "insecure-skip-verify", false, "take any certificate")
	flags.Func("token-server", "`host` that gets the credentials too if a registry says that it gives out its tokens; may be given again", func(s string) error {
		a.TokenServers = append(a.TokenServers, s)
		return nil
	})
}

// Client is the registry at host. Nothing is sent yet. The caller closes it.
func (a Access) Client(host string) (*client.Client, error) {
	opts := client.Options{Options: wire.Options{CAFile: a.CAFile, SkipVerify: a.SkipVerify, TokenServers: a.TokenServers}, Progress: a.Progress}
	switch secured := a.CAFile != "" || a.SkipVerify; {
	case slices.Contains(a.Plain.Hosts, host):
		opts.Scheme = "http"
	case a.Plain.All && secured:
		return nil, fmt.Errorf("%w: --plain-http has no certificates to look at; --plain-http=HOST is for one registry", ErrPlace)
	case a.Plain.All:
		opts.Scheme = "http"
	case secured, a.Plain.None:
		opts.Scheme = "https" // on this machine too
	}
	opts.Credentials = a.Credentials
	if a.Credentials == nil {
		file, err := credential.Default()
		if err != nil {
			return nil, err
		}
		opts.Credentials = file
	}
	folder, err := journal.DefaultFolder()
	if err == nil {
		opts.Journal, err = journal.Open(folder)
	}
	if err != nil {
		return nil, err
	}
	return client.New(host, opts)
}

// Registry is an image in a registry.
type Registry struct {
	*transfer.Repository
	Client *client.Client
	// Reference is complete: with a host, and a tag or digest.
	Reference ref.Reference
}

// Registry is the place that a reference says. Nothing is sent yet. The caller closes
// it. ref.ErrReference, ErrPlace.
func (a Access) Registry(text string) (*Registry, error) {
	r, err := Complete(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	c, err := a.Client(r.Host)
	if err != nil {
		return nil, err
	}
	return &Registry{transfer.NewRepository(c, r.Name), c, r}, nil
}

// Close lets go of connections.
func (r *Registry) Close() error {
	r.Client.Close()
	return nil
}

// At is what the registry calls the image: its digest if there is one, else the tag.
func (r *Registry) At() string {
	at, _ := r.Reference.TagOrDigest()
	return at.String()
}

// Name is the whole reference.
func (r *Registry) Name() string { return r.Reference.String() }
