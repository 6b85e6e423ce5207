package main

import (
	"context"
	"errors"
	"fmt"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

// pull copies an image from a registry into the local store, under its full name.
func (p *program) pull(ctx context.Context, args []string) (err error) {
	from, err := p.registry(args[0])
	if err != nil {
		return err
	}
	defer from.close()
	store, err := layout.CreateFolder(ctx, p.store, p.report.waiting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return p.move(ctx, target{store, from.name, from.name}, from.source, transfer.Host().String())
}

// push copies an image of the local store to the registry that its name says.
func (p *program) push(ctx context.Context, args []string) error {
	to, err := p.registry(args[0])
	if err != nil {
		return err
	}
	defer to.close()
	store, err := layout.OpenFolder(ctx, p.store)
	if err != nil {
		return fmt.Errorf("local store %s: %w", p.store, err)
	}
	defer store.Close()
	return p.move(ctx, target{to.Repository, to.reference, to.name}, source{store, to.name, to.name}, "all")
}

// copy copies from anywhere to anywhere.
func (p *program) copy(ctx context.Context, args []string) (err error) {
	from, closeFrom, err := p.openSource(ctx, args[0])
	if err != nil {
		return err
	}
	defer closeFrom()
	to, finish, err := p.openTarget(ctx, args[1], from)
	if err != nil {
		return err
	}
	return finish(p.move(ctx, to, from, "all"))
}

// move does what all three are.
func (p *program) move(ctx context.Context, to target, from source, platform string) error {
	opts, err := p.transferOptions(platform)
	if err != nil {
		return err
	}
	d, err := transfer.Copy(ctx, to.Target, to.reference, from.Source, from.reference, opts)
	if err != nil {
		return fmt.Errorf("%s: %w", from.name, err)
	}
	return p.show(to.name, d.Digest)
}

// tags lists the tags of a repository.
func (p *program) tags(ctx context.Context, args []string) error {
	const page = 1_000
	from, err := p.registry(args[0])
	if err != nil {
		return err
	}
	defer from.close()
	for after, more := "", true; more; {
		var tags []string
		if tags, more, err = from.client.Tags(ctx, from.repository, after, page); err != nil {
			return err
		}
		for _, tag := range tags {
			if _, err := fmt.Fprintln(p.out, tag); err != nil {
				return err
			}
			after = tag
		}
		more = more && len(tags) > 0
	}
	return nil
}

// digest says what a reference leads to, for a platform if one is named.
func (p *program) digest(ctx context.Context, args []string) error {
	from, closeFrom, err := p.openSource(ctx, args[0])
	if err != nil {
		return err
	}
	defer closeFrom()
	opts, err := p.transferOptions("all")
	if err != nil {
		return err
	}
	var d oci.Descriptor
	if d, err = from.Resolve(ctx, from.reference); err == nil && opts.Platform != nil {
		d, err = transfer.Select(ctx, from.Source, d, *opts.Platform)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from.name, err)
	}
	_, err = fmt.Fprintln(p.out, d.Digest)
	return err
}
