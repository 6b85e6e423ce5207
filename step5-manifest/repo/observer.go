package repo

import (
	"context"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
)

// EventAction is what is about to happen.
type EventAction string

const (
	PushBlob       EventAction = "push blob"
	MountBlob      EventAction = "mount blob"
	DeleteBlob     EventAction = "delete blob"
	PushManifest   EventAction = "push manifest"
	DeleteManifest EventAction = "delete manifest"
	DeleteTag      EventAction = "delete tag"
)

// Event is a change of a repository that is complete but for its publication.
type Event struct {
	Action EventAction
	Name   ref.Name
	Digest digest.Digest
	// From is the repository that a mounted blob is taken from.
	From ref.Name
	// Size is in bytes, for what is pushed or mounted.
	Size int64
	// Tags are those that a PushManifest sets or a DeleteTag deletes.
	Tags []ref.Tag
	// MediaType, Subject and Children are those of a manifest that is pushed.
	MediaType string
	Subject   *oci.Descriptor
	Children  []oci.Descriptor
}

// Observer is told of every change before it is published. An error refuses it,
// and goes to whoever asked for it. It does not use the Store, which is locked
// meanwhile.
type Observer interface {
	Observe(ctx context.Context, e Event) error
}

func (s *Store) observe(ctx context.Context, e Event) error {
	if s.opts.Observer == nil {
		return nil
	}
	return s.opts.Observer.Observe(ctx, e)
}
