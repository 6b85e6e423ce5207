package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/report"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/store"
)

// pruner removes what nobody needs any more, of one kind.
type pruner struct {
	what  string
	prune func(ctx context.Context, p *pruning) (store.Pruned, error)
}

// pruners are all kinds, in the order in which they are removed: what holds on to
// something before what it holds on to.
func pruners() []pruner {
	return []pruner{
		{"unpacked layers", pruneUnpacked},
		{"unfinished downloads", prunePartial},
		{"blobs", pruneBlobs},
	}
}

// pruning is one call of "prune".
type pruning struct {
	storeFlag
	state      stateFlag
	dry        bool
	partialAge time.Duration
	waiting    func(error)
}

// prune is "prune".
func prune(fs *flag.FlagSet) action {
	var p pruning
	p.storeFlag.define(fs)
	p.state.define(fs)
	fs.BoolVar(&p.dry, "dry-run", false, "say what would go, and leave it")
	fs.DurationVar(&p.partialAge, "partial-age", 24*time.Hour, "how long nobody has gone on with an unfinished download that goes")
	return func(ctx context.Context, _ []string, s Streams) error {
		p.waiting = waitingOn(s)
		for _, each := range pruners() {
			gone, err := each.prune(ctx, &p)
			if err != nil {
				return err
			}
			verb := "removed"
			if p.dry {
				verb = "to remove"
			}
			fmt.Fprintf(s.Out, "%s %d %s, %s\n", verb, gone.Count, each.what, report.Size(gone.Bytes))
		}
		return nil
	}
}

func prunePartial(ctx context.Context, p *pruning) (store.Pruned, error) {
	local, err := p.create(ctx, p.waiting)
	if err != nil {
		return store.Pruned{}, err
	}
	gone, err := local.Partial(ctx, p.partialAge)
	if err == nil && !p.dry {
		err = client.DropPartial(ctx, local.Blobs(), p.partialAge)
	}
	return gone, errors.Join(err, local.Close())
}

func pruneBlobs(ctx context.Context, p *pruning) (store.Pruned, error) {
	path, err := p.path()
	if err != nil {
		return store.Pruned{}, err
	}
	if p.dry {
		return store.PruneDry(ctx, path)
	}
	local, err := p.create(ctx, p.waiting)
	if err != nil {
		return store.Pruned{}, err
	}
	gone, err := local.Prune(ctx, time.Now())
	return store.Pruned{Count: gone.Blobs, Bytes: gone.Bytes}, errors.Join(err, local.Close())
}

// pruneUnpacked removes what containers have left, and the unpacked layers of images
// that are not here any more.
func pruneUnpacked(ctx context.Context, p *pruning) (store.Pruned, error) {
	images, err := p.runnable(ctx)
	if err != nil {
		return store.Pruned{}, err
	}
	containers, err := p.state.open()
	if err != nil {
		return store.Pruned{}, err
	}
	gone, err := containers.Prune(ctx, images, p.dry)
	return store.Pruned{Count: gone.Layers, Bytes: gone.Bytes}, err
}

// runnable are the images of the local store that can be run.
func (p *pruning) runnable(ctx context.Context) (all []container.Image, err error) {
	local, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer local.Close()
	images, err := local.Images(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range images {
		found, err := container.LoadAll(ctx, local.Layout, i.Descriptor)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.Name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}
