// Package repo knows what the repositories of a registry hold: which blobs,
// manifests, tags and referrers. The bytes themselves lie in a store that all
// repositories share; a repository has links to them, and nothing is in it but
// what was pushed or mounted there.
//
// Reading order: keys.go (where everything lies), store.go, blobs.go, resolve.go
// (from a tag to a manifest), push.go, delete.go, list.go (tags and
// repositories), referrers.go, history.go, check.go. observer.go and outbox.go are for
// who wants to know. cache.go and names.go hold what is remembered.
package repo

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// What the errors of this package are, besides manifest.ErrInvalid,
// digest.ErrMismatch and those of package bucket.
var (
	ErrNameUnknown     = errors.New("repo: no such repository")
	ErrBlobUnknown     = errors.New("repo: no such blob in the repository")
	ErrManifestUnknown = errors.New("repo: no such manifest or tag in the repository")
	// ErrReferenceUnknown says that a manifest refers to something that is not in
	// the repository. It is a *MissingError.
	ErrReferenceUnknown = errors.New("repo: manifest refers to what the repository has not")
	// ErrCondition says that a tag is not in the state that was asked for.
	ErrCondition = errors.New("repo: tag is in another state")
)

// Blobs is the store of bytes that repositories share. It is an interface so that
// a garbage collector can stand in between and see what is in use: cas.Store is
// one without.
type Blobs interface {
	// Stat and Open are for what somebody is about to use: what they find must stay
	// for a while, link or no link.
	Stat(ctx context.Context, d digest.Digest) (bucket.Info, error)
	Open(ctx context.Context, d digest.Digest) (bucket.Object, error)
	// PutBytes and Commit publish, together with other changes.
	PutBytes(ctx context.Context, d digest.Digest, data []byte, also ...bucket.Change) error
	Commit(ctx context.Context, w *cas.Writer, d digest.Digest, also ...bucket.Change) error
}

// Leaser is a Blobs that can be told beforehand what a manifest is going to refer
// to, so that none of it goes away between its check and the manifest's storing.
type Leaser interface {
	Lease(ctx context.Context, digests []digest.Digest) error
}

// MissingPolicy says which manifests are taken whose children are not there.
type MissingPolicy string

const (
	// RejectMissing takes none. Layers that may not be distributed are never asked
	// for.
	RejectMissing MissingPolicy = "reject"
	// AllowMissingInIndex takes an index that is sparse.
	AllowMissingInIndex MissingPolicy = "index"
	// AllowMissing takes all.
	AllowMissing MissingPolicy = "allow"
)

// Options are what may differ between registries. The zero value is usable.
type Options struct {
	// Missing is RejectMissing if empty.
	Missing MissingPolicy
	// CacheBytes bounds the memory for manifests, and again for lists of tags; 16 MiB
	// if 0.
	CacheBytes int64
	// Observer sees what is about to be published, and may refuse it. It may be nil.
	Observer Observer
	// Outbox writes down what happened, together with it. It may be nil.
	Outbox Outbox
	// CanPull says whether a context's caller may pull from a repository; a blob is
	// only mounted from one that it may. nil means yes.
	CanPull func(ctx context.Context, name ref.Name) bool
	// Caller names who a context acts for, to be kept in tag histories. nil means "".
	Caller func(ctx context.Context) string
}

// Store holds repositories. Its methods may be called at once from many
// goroutines.
type Store struct {
	bucket bucket.Bucket
	blobs  Blobs
	opts   Options
	// remember is whether what was read stays true until this store changes it.
	remember bool

	// repositories are locked for reading to publish in them or to fill a cache, and
	// for writing to take away what a manifest may refer to.
	repositories stripes[sync.RWMutex]
	// tags serialise the changes of one tag. They are locked after the repository.
	tags stripes[sync.Mutex]

	manifests *cache[manifestID, *cached]
	asked     lookups
	tagLists  *cache[ref.Name, *nameList]
	// whole is true where the index of referrers is complete, and false where it was
	// not from the start.
	whole *cache[ref.Name, bool]
	// known are the links to blobs that are there; what removes one holds the
	// repository's lock for writing.
	known   *cache[blobID, struct{}]
	catalog nameList
	recent  *cache[digest.Digest, []ref.Name] // who got a blob lately
	clock   historyClock
}

// New returns the repositories that are kept in b, with their bytes in blobs.
func New(b bucket.Bucket, blobs Blobs, opts Options) *Store {
	if opts.Missing == "" {
		opts.Missing = RejectMissing
	}
	if opts.CacheBytes == 0 {
		opts.CacheBytes = 16 << 20
	}
	return &Store{
		bucket: b, blobs: blobs, opts: opts, remember: bucket.IsSoleWriter(b),
		manifests: newCache[manifestID, *cached](opts.CacheBytes),
		tagLists:  newCache[ref.Name, *nameList](opts.CacheBytes),
		whole:     newCache[ref.Name, bool](1 << 20),
		known:     newCache[blobID, struct{}](1 << 20),
		recent:    newCache[digest.Digest, []ref.Name](1 << 20),
	}
}

// CASBlobs makes a plain store Blobs.
type CASBlobs struct{ *cas.Store }

// Commit implements Blobs.
func (CASBlobs) Commit(ctx context.Context, w *cas.Writer, d digest.Digest, also ...bucket.Change) error {
	return w.Commit(ctx, d, also...)
}

// stripes are locks that stand for many more names. Two names may share one, so a
// goroutine never waits for a second while it holds a first of the same stripes.
type stripes[L any] struct {
	once  sync.Once
	seed  maphash.Seed
	locks [256]L
}

func (s *stripes[L]) of(names ...string) *L { return &s.locks[s.index(names...)] }

func (s *stripes[L]) index(names ...string) int {
	s.once.Do(func() { s.seed = maphash.MakeSeed() })
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, name := range names {
		h.WriteString(name)
		h.WriteByte(0)
	}
	return int(h.Sum64() % uint64(len(s.locks)))
}

// exists tells whether anything was ever published in the repository.
func (s *Store) exists(ctx context.Context, name ref.Name) (bool, error) {
	for _, err := range s.bucket.List(ctx, folder(name)+"_", "", true) {
		return err == nil, err
	}
	return false, nil
}

// unknown is ErrNameUnknown if there is no such repository, else err.
func (s *Store) unknown(ctx context.Context, name ref.Name, err error) error {
	switch found, listErr := s.exists(ctx, name); {
	case listErr != nil:
		return listErr
	case !found:
		return ErrNameUnknown
	}
	return err
}
