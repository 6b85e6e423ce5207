package quota

import (
	"math"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

// ledger is what the repositories of a quota have. The Keeper's mu guards it.
type ledger struct {
	// counting is held by who counts; it is a channel, as one may give up waiting.
	counting     chan struct{}
	complete     bool
	repositories map[ref.Name]*repository
	// missed are repositories that were changed while the rest was counted.
	missed map[ref.Name]bool

	blobs       map[digest.Digest]*blob
	bytes, tags int64
}

// blob is there for so many manifests.
type blob struct {
	size int64
	uses int
}

type repository struct {
	manifests map[digest.Digest][]part
	tags      map[ref.Tag]bool
}

func newLedger() *ledger {
	return &ledger{
		counting: make(chan struct{}, 1), repositories: map[ref.Name]*repository{},
		missed: map[ref.Name]bool{}, blobs: map[digest.Digest]*blob{},
	}
}

// counted returns what the repository has; nil if that is still to be counted.
func (l *ledger) counted(name ref.Name) *repository {
	r := l.repositories[name]
	switch {
	case r != nil:
	case l.complete: // so it is new
		r = &repository{manifests: map[digest.Digest][]part{}, tags: map[ref.Tag]bool{}}
		l.repositories[name] = r
	default:
		l.missed[name] = true
	}
	return r
}

// more is what there would be more of. It does not run over.
func (l *ledger) more(r *repository, d digest.Digest, parts []part, tags []ref.Tag) (bytes, newTags int64) {
	if _, known := r.manifests[d]; !known {
		for _, p := range parts {
			if l.blobs[p.digest] == nil {
				bytes += min(max(p.size, 0), math.MaxInt64-bytes)
			}
		}
	}
	for _, tag := range tags {
		if !r.tags[tag] {
			newTags++
		}
	}
	return bytes, newTags
}

func (l *ledger) addManifest(r *repository, d digest.Digest, parts []part) {
	if _, known := r.manifests[d]; known {
		return
	}
	r.manifests[d] = parts
	for _, p := range parts {
		b := l.blobs[p.digest]
		if b == nil {
			b = &blob{size: min(max(p.size, 0), math.MaxInt64-l.bytes)}
			l.blobs[p.digest] = b
			l.bytes += b.size
		}
		b.uses++
	}
}

func (l *ledger) removeManifest(r *repository, d digest.Digest) {
	for _, p := range r.manifests[d] {
		b := l.blobs[p.digest]
		if b.uses--; b.uses == 0 {
			l.bytes -= b.size
			delete(l.blobs, p.digest)
		}
	}
	delete(r.manifests, d)
}

func (l *ledger) addTags(r *repository, tags []ref.Tag) {
	for _, tag := range tags {
		if !r.tags[tag] {
			r.tags[tag] = true
			l.tags++
		}
	}
}

func (l *ledger) removeTags(r *repository, tags []ref.Tag) {
	for _, tag := range tags {
		if r.tags[tag] {
			delete(r.tags, tag)
			l.tags--
		}
	}
}

// forget takes the repository out, as if it had never been counted.
func (l *ledger) forget(name ref.Name) {
	r := l.repositories[name]
	if r == nil {
		return
	}
	for d := range r.manifests {
		l.removeManifest(r, d)
	}
	l.tags -= int64(len(r.tags))
	delete(l.repositories, name)
}
