package quota

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/policy"
)

// Store is what is counted: a repo.Store.
type Store interface {
	Repositories(ctx context.Context, after string, n int) (names []string, more bool, err error)
	Tags(ctx context.Context, name ref.Name, after string, n int) (tags []string, more bool, err error)
	Manifests(ctx context.Context, name ref.Name) iter.Seq2[digest.Digest, error]
	Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error)
}

// page is how many names are asked for at a time.
const page = 1000

// Run counts what there is for all quotas, and lets go of what is counted for those
// that are no more. It is worth while after a start and after a new policy; without
// it, the first push to a repository waits for it.
func (k *Keeper) Run(ctx context.Context, store Store, log *slog.Logger) {
	quotas := k.quotas()
	k.mu.Lock()
	k.keep(quotas)
	k.mu.Unlock()
	for i := range quotas {
		if err := k.complete(ctx, store, &quotas[i]); err != nil && ctx.Err() == nil {
			log.Error("a quota could not be counted; pushes to it will try again", "quota", quotas[i].Name, "cause", err)
		}
	}
}

// ready waits until all is counted that has to do with the repository.
func (k *Keeper) ready(ctx context.Context, store Store, name ref.Name) error {
	quotas := k.quotas()
	for i := range quotas {
		if quotas[i].Has(name) {
			if err := k.complete(ctx, store, &quotas[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete counts what is still to be counted for a quota. What was counted before
// an error stays.
func (k *Keeper) complete(ctx context.Context, store Store, q *policy.Quota) error {
	k.mu.Lock()
	l := k.ledger(q)
	done := l.complete
	k.mu.Unlock()
	if done {
		return nil
	}
	select {
	case l.counting <- struct{}{}:
		defer func() { <-l.counting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for after, more := "", true; more; {
		var names []string
		var err error
		if names, more, err = store.Repositories(ctx, after, page); err != nil {
			return err
		}
		for _, text := range names {
			after = text
			if name, err := ref.ParseName(text); err == nil && q.Has(name) {
				if err := k.count(ctx, store, l, name, false); err != nil {
					return err
				}
			}
		}
		more = more && len(names) > 0
	}
	return k.completeMissed(ctx, store, l)
}

func (k *Keeper) completeMissed(ctx context.Context, store Store, l *ledger) error {
	for {
		k.mu.Lock()
		var name ref.Name
		for name = range l.missed {
			break
		}
		if name.IsZero() {
			l.complete = true
			k.mu.Unlock()
			return nil
		}
		k.mu.Unlock()
		if err := k.count(ctx, store, l, name, false); err != nil {
			return err
		}
	}
}

func (k *Keeper) lock(name ref.Name) *sync.RWMutex {
	return &k.writes[maphash.String(k.seed, name.String())%uint64(len(k.writes))]
}

// count looks at what the repository has, while nobody changes it. With again it
// does so where it was counted before.
func (k *Keeper) count(ctx context.Context, store Store, l *ledger, name ref.Name, again bool) error {
	lock := k.lock(name)
	lock.Lock()
	defer lock.Unlock()
	k.mu.Lock()
	known := l.repositories[name] != nil
	k.mu.Unlock()
	if known && !again {
		k.mu.Lock()
		delete(l.missed, name)
		k.mu.Unlock()
		return nil
	}
	manifests, err := manifestsOf(ctx, store, name)
	if err != nil {
		return err
	}
	tags, err := tagsOf(ctx, store, name)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l.forget(name)
	delete(l.missed, name)
	r := &repository{manifests: map[digest.Digest][]part{}, tags: map[ref.Tag]bool{}}
	l.repositories[name] = r
	for d, parts := range manifests {
		l.addManifest(r, d, parts)
	}
	l.addTags(r, tags)
	return nil
}

// manifestsOf returns the parts of each manifest. One whose bytes are lost or damaged
// takes none.
func manifestsOf(ctx context.Context, store Store, name ref.Name) (map[digest.Digest][]part, error) {
	all := map[digest.Digest][]part{}
	for d, err := range store.Manifests(ctx, name) {
		if err != nil {
			return nil, err
		}
		desc, raw, err := store.Manifest(ctx, name, ref.ByDigest(d))
		if errors.Is(err, repo.ErrManifestUnknown) || errors.Is(err, repo.ErrNameUnknown) || errors.Is(err, digest.ErrMismatch) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var children []oci.Descriptor
		if m, err := manifest.Parse("", raw); err == nil {
			for child := range m.Children() {
				children = append(children, child)
			}
		}
		all[d] = partsOf(d, desc.Size, children)
	}
	return all, nil
}

func tagsOf(ctx context.Context, store Store, name ref.Name) (all []ref.Tag, err error) {
	for after, more := "", true; more; {
		var texts []string
		if texts, more, err = store.Tags(ctx, name, after, page); err != nil {
			if errors.Is(err, repo.ErrNameUnknown) {
				return nil, nil
			}
			return nil, err
		}
		for _, text := range texts {
			after = text
			if tag, err := ref.ParseTag(text); err == nil {
				all = append(all, tag)
			}
		}
		more = more && len(texts) > 0
	}
	return all, nil
}
