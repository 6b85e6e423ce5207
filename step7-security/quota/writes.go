package quota

import (
	"context"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
)

// Writer is what changes repositories: a repo.Store, or what stands before one.
type Writer interface {
	PushManifest(ctx context.Context, name ref.Name, p repo.Push) error
	DeleteManifest(ctx context.Context, name ref.Name, d digest.Digest) error
	DeleteTag(ctx context.Context, name ref.Name, tag ref.Tag) error
}

// Writes is a Writer that keeps the account true: it has everything counted before a
// push, and counts again where something was charged and then not done. Whatever
// changes manifests or tags goes through it, or waits for it.
type Writes struct {
	Keeper *Keeper
	// Store is what is counted, and Next what is written to; they may be the same.
	Store Store
	Next  Writer
}

// PushManifest implements Writer. ErrExceeded.
func (w Writes) PushManifest(ctx context.Context, name ref.Name, p repo.Push) error {
	if err := w.Keeper.ready(ctx, w.Store, name); err != nil {
		return err
	}
	return w.do(ctx, name, func(ctx context.Context) error { return w.Next.PushManifest(ctx, name, p) })
}

// DeleteManifest implements Writer.
func (w Writes) DeleteManifest(ctx context.Context, name ref.Name, d digest.Digest) error {
	return w.do(ctx, name, func(ctx context.Context) error { return w.Next.DeleteManifest(ctx, name, d) })
}

// DeleteTag implements Writer.
func (w Writes) DeleteTag(ctx context.Context, name ref.Name, tag ref.Tag) error {
	return w.do(ctx, name, func(ctx context.Context) error { return w.Next.DeleteTag(ctx, name, tag) })
}

type changeKey struct{}

// noteChange notes that something was charged or released in a change that is under
// way.
func noteChange(ctx context.Context) {
	if noted, ok := ctx.Value(changeKey{}).(*bool); ok {
		*noted = true
	}
}

func (w Writes) do(ctx context.Context, name ref.Name, change func(ctx context.Context) error) error {
	var noted bool
	lock := w.Keeper.lock(name)
	lock.RLock()
	err := change(context.WithValue(ctx, changeKey{}, &noted))
	lock.RUnlock()
	if err != nil && noted {
		w.Keeper.recount(context.WithoutCancel(ctx), w.Store, name)
	}
	return err
}

// recount counts the repository again, or leaves that to the next push.
func (k *Keeper) recount(ctx context.Context, store Store, name ref.Name) {
	k.mu.Lock()
	accounts := k.accounts(name)
	k.mu.Unlock()
	for _, a := range accounts {
		if err := k.count(ctx, store, a.ledger, name, true); err != nil {
			k.mu.Lock()
			a.ledger.forget(name)
			a.ledger.missed[name] = true
			a.ledger.complete = false
			k.mu.Unlock()
		}
	}
}
