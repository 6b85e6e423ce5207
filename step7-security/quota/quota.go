// Package quota bounds what repositories hold: bytes and tags, for all repositories
// that a quota has together.
//
// What counts is what manifests refer to, each blob once however many manifests and
// repositories share it, and the manifests themselves. It is charged when a manifest
// is pushed and released when one is deleted. A blob counts from the manifest on that
// it is part of.
//
// Nothing is kept beside the store: what there is is counted in it, once after each
// start, in the background or when the first push comes, and from then on carried
// along. So it is right after a crash, and a start costs nothing.
//
// Reading order: quota.go (who is charged), ledger.go (what there is), count.go (how
// that is found out), writes.go (what stands before the store).
package quota

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/policy"
)

// ErrExceeded says that a push would take more than there may be. It is an
// *ExceededError.
var ErrExceeded = errors.New("quota: exceeded")

// ExceededError says what there would be too much of.
type ExceededError struct {
	Quota string
	// What is "bytes" or "tags", of which there are Used and may be Limit; the push has
	// Asked more.
	What               string
	Limit, Used, Asked int64
}

// Error is for whoever pushes.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("quota %q: %d %s are used of %d, and this has %d more", e.Quota, e.Used, e.What, e.Limit, e.Asked)
}

// Is makes errors.Is(e, ErrExceeded) true.
func (e *ExceededError) Is(target error) bool { return target == ErrExceeded }

// Keeper keeps account. It is a repo.Observer; what is pushed and deleted goes
// through its Writes. Its methods may be called at once from many goroutines.
type Keeper struct {
	quotas func() []policy.Quota

	// writes are locked for reading by who changes a repository, and for writing to
	// count it. None is locked with mu held.
	writes [256]sync.RWMutex
	seed   maphash.Seed

	mu      sync.Mutex
	ledgers map[string]*ledger // by policy.Quota.Key
}

// New returns a Keeper; quotas returns those in force now.
func New(quotas func() []policy.Quota) *Keeper {
	return &Keeper{quotas: quotas, seed: maphash.MakeSeed(), ledgers: map[string]*ledger{}}
}

// account is a quota, and what there is of it.
type account struct {
	quota  *policy.Quota
	ledger *ledger
}

// accounts returns those that count the repository, in order. mu is held.
//
// A ledger whose quota is not in force is let go of here, where changes are charged: it
// would not hear of this one, and be wrong when its quota comes back.
func (k *Keeper) accounts(name ref.Name) (all []account) {
	quotas := k.quotas()
	k.keep(quotas)
	for i := range quotas {
		if q := &quotas[i]; q.Has(name) {
			all = append(all, account{q, k.ledger(q)})
		}
	}
	return all
}

// keep lets go of the ledgers of all other quotas. mu is held.
func (k *Keeper) keep(quotas []policy.Quota) {
	kept := map[string]bool{}
	for i := range quotas {
		kept[quotas[i].Key()] = true
	}
	for key := range k.ledgers {
		if !kept[key] {
			delete(k.ledgers, key)
		}
	}
}

// ledger returns that of the quota. mu is held.
func (k *Keeper) ledger(q *policy.Quota) *ledger {
	key := q.Key()
	if k.ledgers[key] == nil {
		k.ledgers[key] = newLedger()
	}
	return k.ledgers[key]
}

// Observe implements repo.Observer: it charges and releases. A push that is too much
// is refused with ErrExceeded, and nothing is charged for it.
func (k *Keeper) Observe(ctx context.Context, e repo.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch e.Action {
	case repo.PushManifest:
		return k.charge(ctx, e)
	case repo.DeleteManifest, repo.DeleteTag:
		for _, a := range k.accounts(e.Name) {
			if r := a.ledger.counted(e.Name); r != nil {
				noteChange(ctx)
				a.ledger.removeTags(r, e.Tags)
				if e.Action == repo.DeleteManifest {
					a.ledger.removeManifest(r, e.Digest)
				}
			}
		}
	}
	return nil
}

// charge looks at all accounts before it charges one.
func (k *Keeper) charge(ctx context.Context, e repo.Event) error {
	parts := partsOf(e.Digest, e.Size, e.Children)
	accounts := k.accounts(e.Name)
	for _, a := range accounts {
		r := a.ledger.counted(e.Name)
		if r == nil {
			continue // it is counted later, and this with it
		}
		bytes, tags := a.ledger.more(r, e.Digest, parts, e.Tags)
		if used := a.ledger.bytes; bytes > 0 && bytes > a.quota.Bytes-used {
			return &ExceededError{a.quota.Name, "bytes", a.quota.Bytes, used, bytes}
		}
		if used := a.ledger.tags; tags > 0 && tags > a.quota.Tags-used {
			return &ExceededError{a.quota.Name, "tags", a.quota.Tags, used, tags}
		}
	}
	for _, a := range accounts {
		if r := a.ledger.counted(e.Name); r != nil {
			noteChange(ctx)
			a.ledger.addManifest(r, e.Digest, parts)
			a.ledger.addTags(r, e.Tags)
		}
	}
	return nil
}

// Usage is what there is of a quota.
type Usage struct {
	Quota       string
	Bytes, Tags int64
	// Complete is false while it has not been counted to the end.
	Complete bool
}

// Usage returns one for each quota, in order.
func (k *Keeper) Usage() (all []Usage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	quotas := k.quotas()
	for i := range quotas {
		l := k.ledger(&quotas[i])
		all = append(all, Usage{quotas[i].Name, l.bytes, l.tags, l.complete})
	}
	return all
}

// part is something with bytes that a manifest needs.
type part struct {
	digest digest.Digest
	size   int64
}

// partsOf are the manifest and its children, each once. A layer that may not be
// distributed lies elsewhere.
func partsOf(d digest.Digest, size int64, children []oci.Descriptor) []part {
	parts := []part{{d, size}}
	seen := map[digest.Digest]bool{d: true}
	for _, child := range children {
		if !seen[child.Digest] && !oci.IsNonDistributable(child.MediaType) {
			seen[child.Digest] = true
			parts = append(parts, part{child.Digest, child.Size})
		}
	}
	return parts
}
