package main

import (
	"context"
	"fmt"
	"io"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"
)

// pull copies an image from a registry into the local store, under its full name.
func (p *program) pull(ctx context.Context, args []string) error {
	from, err := p.access.Registry(args[0])
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := p.places().TargetIn(ctx, p.store, from.Name())
	if err != nil {
		return err
	}
	return to.Finish(p.move(ctx, to, from.Source(), transfer.Host().String()))
}

// push copies an image of the local store to the registry that its name says.
func (p *program) push(ctx context.Context, args []string) error {
	to, err := p.access.Registry(args[0])
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := p.places().SourceIn(ctx, p.store, to.Name())
	if err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	defer from.Close()
	return p.move(ctx, to.Target(), from, "all")
}

// copy copies from anywhere to anywhere.
func (p *program) copy(ctx context.Context, args []string) error {
	from, err := p.places().Source(ctx, args[0])
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := p.places().Target(ctx, args[1], from.Name)
	if err != nil {
		return err
	}
	if to.Stdout {
		p.out = io.Discard // nothing else goes there
	}
	return to.Finish(p.move(ctx, to, from, "all"))
}

// move does what all three are.
func (p *program) move(ctx context.Context, to *place.Target, from *place.Source, platform string) error {
	opts, err := p.transferOptions(platform)
	if err != nil {
		return err
	}
	d, err := transfer.Copy(ctx, to.Target, to.Reference, from.Source, from.Reference, opts)
	if err != nil {
		return fmt.Errorf("%s: %w", from.Name, err)
	}
	return p.show(to.Name, d.Digest)
}

// tags lists the tags of a repository.
func (p *program) tags(ctx context.Context, args []string) error {
	const page = 1_000
	from, err := p.access.Registry(args[0])
	if err != nil {
		return err
	}
	defer from.Close()
	for after, more := "", true; more; {
		var tags []string
		if tags, more, err = from.Client.Tags(ctx, from.Reference.Name, after, page); err != nil {
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
	from, err := p.places().Source(ctx, args[0])
	if err != nil {
		return err
	}
	defer from.Close()
	opts, err := p.transferOptions("all")
	if err != nil {
		return err
	}
	var d oci.Descriptor
	if d, err = from.Resolve(ctx, from.Reference); err == nil && opts.Platform != nil {
		d, err = transfer.Select(ctx, from.Source, d, *opts.Platform)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from.Name, err)
	}
	_, err = fmt.Fprintln(p.out, d.Digest)
	return err
}
