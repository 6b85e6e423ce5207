package policy

import (
	"context"
	"errors"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
)

// ErrTagExists says that somebody who may only create wanted to move a tag.
var ErrTagExists = errors.New("policy: the tag exists, and the caller may not move it")

// Guard decides for whoever a context acts for.
type Guard struct {
	// Policy returns the one that is in force now.
	Policy func() *Policy
	// Subject returns who the context acts for; nil if nobody is known.
	Subject func(ctx context.Context) Subject
}

// Decide tells whether the caller may do that to the repository; the zero name is
// the registry.
func (g Guard) Decide(ctx context.Context, name ref.Name, a Action) Decision {
	return g.Policy().Decide(g.Subject(ctx), name, a)
}

// CanPull is a repo.Options.CanPull: what may not be pulled is not mounted.
func (g Guard) CanPull(ctx context.Context, name ref.Name) bool {
	return g.Decide(ctx, name, Pull).Allowed
}

// Pusher stores manifests, as repo.Store does.
type Pusher interface {
	PushManifest(ctx context.Context, name ref.Name, p repo.Push) error
}

// Pusher returns next, with tags that do not move for who may only create:
// ErrTagExists. To push the same once more is no move.
func (g Guard) Pusher(next Pusher) Pusher { return pusher{g, next} }

type pusher struct {
	guard Guard
	next  Pusher
}

// PushManifest implements Pusher.
func (p pusher) PushManifest(ctx context.Context, name ref.Name, push repo.Push) error {
	if p.guard.Decide(ctx, name, Push).Allowed {
		return p.next.PushManifest(ctx, name, push)
	}
	moves := false
	asked := push.If
	push.If = func(current digest.Digest) bool {
		if !current.IsZero() && current != push.Digest {
			moves = true
			return false
		}
		return asked == nil || asked(current)
	}
	err := p.next.PushManifest(ctx, name, push)
	if moves && errors.Is(err, repo.ErrCondition) {
		return ErrTagExists
	}
	return err
}

// Tags lists the tags of a repository, as repo.Store does.
type Tags interface {
	Tags(ctx context.Context, name ref.Name, after string, n int) (tags []string, more bool, err error)
}

// Tags returns next without the repositories that the caller may not pull from:
// they are repo.ErrNameUnknown, like those that are not there.
func (g Guard) Tags(next Tags) Tags { return tags{g, next} }

type tags struct {
	guard Guard
	next  Tags
}

// Tags implements Tags.
func (t tags) Tags(ctx context.Context, name ref.Name, after string, n int) ([]string, bool, error) {
	if !t.guard.CanPull(ctx, name) {
		return nil, false, repo.ErrNameUnknown
	}
	return t.next.Tags(ctx, name, after, n)
}

// Repositories lists the names of repositories, as repo.Store does.
type Repositories interface {
	Repositories(ctx context.Context, after string, n int) (names []string, more bool, err error)
}

// Catalog returns next with the repositories alone that the caller may pull from. A
// page costs what lies, in byte order, where the caller's rules can apply at all:
// what is far from there is leapt over.
func (g Guard) Catalog(next Repositories) Repositories { return catalog{g, next} }

type catalog struct {
	guard Guard
	next  Repositories
}

// Repositories implements Repositories. That there are more means that the caller
// may see one of them.
func (c catalog) Repositories(ctx context.Context, after string, n int) ([]string, bool, error) {
	p, s := c.guard.Policy(), c.guard.Subject(ctx)
	seen := []string{}
	for _, span := range p.spans(s, Pull) {
		if span.to <= after {
			continue
		}
		at := max(after, justBefore(span.from))
		for chunk := n + 1; ; chunk = min(2*chunk, maxChunk) {
			names, more, err := c.next.Repositories(ctx, at, chunk)
			if err != nil {
				return nil, false, err
			}
			for _, text := range names {
				if text >= span.to {
					more = false
					break
				}
				name, err := ref.ParseName(text)
				if err != nil || !p.Decide(s, name, Pull).Allowed {
					continue
				}
				if len(seen) == n {
					return seen, true, nil
				}
				seen = append(seen, text)
			}
			if !more || len(names) == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return nil, false, err
			}
			at = names[len(names)-1]
		}
	}
	return seen, false, nil
}

// maxChunk is how many names are looked at in one piece.
const maxChunk = 4096

// justBefore is a text that comes before s, with no name in between.
func justBefore(s string) string {
	if s == "" {
		return ""
	}
	last := len(s) - 1
	return s[:last] + string(rune(s[last]-1)) + "\x7f"
}
