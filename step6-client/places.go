package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/archive"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/journal"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
	"shibafu.dev/step6-client/wire"
)

// source and target are places with an image in them: what it is called there, and
// what it is called everywhere.
type source struct {
	transfer.Source
	reference, name string
}

type target struct {
	transfer.Target
	reference, name string
}

// registryPlace is an image in a registry.
type registryPlace struct {
	*transfer.Repository
	source
	client     *client.Client
	repository ref.Name
}

func (r *registryPlace) close() { r.client.Close() }

// complete adds what a reference leaves out, as all programs do: the host is Docker
// Hub's, whose own images are under library/, and the tag is latest.
func complete(text string) (ref.Reference, error) {
	r, err := ref.ParseReference(text)
	if err != nil {
		return r, err
	}
	if r.Host == "" || r.Host == "index.docker.io" {
		r.Host = "docker.io"
	}
	if r.Host == "docker.io" && !strings.Contains(r.Name.String(), "/") {
		if r.Name, err = ref.ParseName("library/" + r.Name.String()); err != nil {
			return r, err
		}
	}
	if _, ok := r.TagOrDigest(); !ok {
		r.Tag = ref.MustTag("latest")
	}
	return r, nil
}

// registry is the place that a reference says. Nothing is sent yet.
func (p *program) registry(text string) (*registryPlace, error) {
	r, err := complete(strings.TrimPrefix(text, "docker://"))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	opts := client.Options{Options: wire.Options{CAFile: p.ca, SkipVerify: p.skipVerify}}
	switch secured := p.ca != "" || p.skipVerify; {
	case p.plainHTTP && secured:
		return nil, fmt.Errorf("%w: --plain-http has no certificates to look at", errUsage)
	case p.plainHTTP:
		opts.Scheme = "http"
	case secured:
		opts.Scheme = "https" // on this machine too
	}
	if opts.Credentials, err = credential.Default(); err != nil {
		return nil, err
	}
	folder, err := journal.DefaultFolder()
	if err == nil {
		opts.Journal, err = journal.Open(folder)
	}
	if err != nil {
		return nil, err
	}
	c, err := client.New(r.Host, opts)
	if err != nil {
		return nil, err
	}
	at, _ := r.TagOrDigest()
	repository := transfer.NewRepository(c, r.Name)
	return &registryPlace{repository, source{repository, at.String(), r.String()}, c, r.Name}, nil
}

// split takes apart "oci:PATH[:NAME]" and its like. rest is empty for a reference.
func split(text string) (kind, path, name string) {
	for _, kind := range []string{"oci", "docker-archive", "oci-archive"} {
		if rest, ok := strings.CutPrefix(text, kind+":"); ok {
			path, name, _ = strings.Cut(rest, ":")
			return kind, path, name
		}
	}
	return "docker", "", ""
}

// openSource opens what a command names first. The caller closes it.
func (p *program) openSource(ctx context.Context, text string) (source, func() error, error) {
	kind, path, name := split(text)
	switch kind {
	case "docker":
		r, err := p.registry(text)
		if err != nil {
			return source{}, nil, err
		}
		return r.source, func() error { r.close(); return nil }, nil
	case "oci":
		f, err := layout.OpenFolder(ctx, path)
		if err != nil {
			return source{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		entries, err := f.Entries(ctx)
		if err != nil {
			return source{}, nil, errors.Join(err, f.Close())
		}
		return chosen(f, name, entries, f.Close)
	}
	open := func() (*archive.File, error) { return archive.OpenFile(path) }
	if path == "-" {
		open = func() (*archive.File, error) { return archive.Spool(p.in) }
	}
	f, err := open()
	if err != nil {
		return source{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return chosen(f, name, f.Entries(), f.Close)
}

// chosen is the image of that name in a place, or the only one where that is "".
func chosen(from transfer.Source, name string, entries []layout.Entry, end func() error) (source, func() error, error) {
	if err := oneOf(name, entries); err != nil {
		return source{}, nil, errors.Join(err, end())
	}
	full := name
	if name == "" && len(entries) == 1 {
		full = entries[0].Name
	}
	return source{from, name, full}, end, nil
}

// oneOf says what there is to choose from where nothing was chosen.
func oneOf(name string, entries []layout.Entry) error {
	const most = 10
	if name != "" || len(entries) < 2 {
		return nil
	}
	var names []string
	for _, e := range entries[:min(most, len(entries))] {
		if e.Name == "" {
			e.Name = e.Descriptor.Digest.String()
		}
		names = append(names, e.Name)
	}
	if len(entries) > most {
		names = append(names, "…")
	}
	return fmt.Errorf("%w: %w; add the name of one of them behind a colon: %s", errUsage, layout.ErrAmbiguous, strings.Join(names, " "))
}

// openTarget opens what a command names second. finish ends it, with or without
// success.
func (p *program) openTarget(ctx context.Context, text string, from source) (to target, finish func(error) error, err error) {
	kind, path, name := split(text)
	if name == "" {
		name = from.name
	}
	if name == "" && kind != "docker" {
		return target{}, nil, fmt.Errorf("%w: the image has no name yet, so give it one: %s:NAME", errUsage, text)
	}
	switch kind {
	case "docker":
		r, err := p.registry(text)
		if err != nil {
			return target{}, nil, err
		}
		return target{r.Repository, r.reference, r.name}, func(err error) error { r.close(); return err }, nil
	case "oci":
		if err := layout.CheckName(name); err != nil {
			return target{}, nil, err
		}
		f, err := layout.CreateFolder(ctx, path, p.report.waiting)
		if err != nil {
			return target{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		return target{f, name, name}, func(err error) error { return errors.Join(err, f.Close()) }, nil
	}
	if err := layout.CheckName(name); err != nil {
		return target{}, nil, err
	}
	if path == "-" {
		w := archive.NewWriter(p.out, transfer.Host())
		p.out = io.Discard // nothing else goes there
		return target{w, name, name}, func(err error) error { return closed(err, w) }, nil
	}
	return newArchive(path, name)
}

func closed(err error, w *archive.Writer) error {
	if err != nil {
		return err
	}
	return w.Close()
}

// newArchive is a file that is there when it is whole, and not before.
func newArchive(path, name string) (target, func(error) error, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return target{}, nil, err
	}
	w := archive.NewWriter(f, transfer.Host())
	finish := func(err error) error {
		defer os.Remove(f.Name()) // after the rename there is nothing
		if err = closed(err, w); err == nil {
			err = errors.Join(f.Chmod(0o644), f.Sync())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return os.Rename(f.Name(), path)
	}
	return target{w, name, name}, finish, nil
}
