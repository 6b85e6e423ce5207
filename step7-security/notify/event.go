package notify

import (
	"encoding/json"
	"fmt"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
)

// Action is what happened.
type Action string

const (
	Push   Action = "push"
	Pull   Action = "pull"
	Mount  Action = "mount"
	Delete Action = "delete"
)

// Event is what others are told of: the body of a delivery is {"events": [Event, …]}.
//
// Source: CNCF distribution, notifications/event.go. What is empty in the target is left
// out, as in its version 2: GitLab tells by the presence of tag and digest what was deleted.
type Event struct {
	// ID is the event's, however often it is delivered.
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	Action    Action    `json:"action"`
	Target    Object    `json:"target"`
	Request   Request   `json:"request"`
	Actor     Actor     `json:"actor"`
	Source    Source    `json:"source"`
}

// Object is what something happened to: a manifest, a blob (of the media type BlobType) or,
// where there is no digest, a tag.
type Object struct {
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size,omitempty"`
	Digest    digest.Digest `json:"digest,omitzero"`
	// Length is Size, under an older name.
	Length     int64  `json:"length,omitempty"`
	Repository string `json:"repository"`
	// FromRepository is where a blob was mounted from.
	FromRepository string `json:"fromRepository,omitempty"`
	URL            string `json:"url,omitempty"`
	Tag            string `json:"tag,omitempty"`
	// References are what a manifest refers to, at most MaxReferences of it, without
	// annotations.
	References []oci.Descriptor `json:"references,omitempty"`
}

// Request is the one that caused an event; all of it is empty where there was none.
type Request struct {
	ID        string `json:"id"`
	Addr      string `json:"addr,omitempty"`
	Host      string `json:"host,omitempty"`
	Method    string `json:"method"`
	UserAgent string `json:"useragent"`
}

// Actor is who made the request; Name is "" for somebody without one.
type Actor struct {
	Name string `json:"name,omitempty"`
}

// Source is the registry that an event comes from.
type Source struct {
	// Addr is "host:port".
	Addr string `json:"addr,omitempty"`
	// InstanceID is another after each start.
	InstanceID string `json:"instanceID,omitempty"`
}

// Cause is what is known of why something happens.
type Cause struct {
	Request Request
	Actor   string
	// BaseURL is what URLs of the registry begin with, "https://registry.example.com"; "" if
	// that is not known.
	BaseURL string
}

// BlobType is the media type of blobs, as a registry does not know what they are.
const BlobType = "application/octet-stream"

// MaxReferences is how many references an event has at most.
const MaxReferences = 200

// maxAgent is how much is told of a user agent, in bytes.
const maxAgent = 256

// draft is an event without what is the same for all that come of one change.
type draft struct {
	action Action
	object Object
}

// drafts are what comes of a change: an event for each tag that is set, or one if there is
// none; for a manifest that is deleted one, and one for each tag that goes with it.
func drafts(e repo.Event, base string) []draft {
	o := Object{Repository: e.Name.String(), Digest: e.Digest, Size: e.Size, Length: e.Size}
	switch e.Action {
	case repo.PushBlob, repo.MountBlob:
		o.MediaType, o.URL = BlobType, urlOf(base, endpoint.Path{Pattern: endpoint.PullBlob.Pattern, Name: e.Name, Digest: e.Digest})
		if e.Action == repo.MountBlob {
			o.FromRepository = e.From.String()
			return []draft{{Mount, o}}
		}
		return []draft{{Push, o}}
	case repo.PushManifest:
		o.MediaType, o.URL = e.MediaType, urlOf(base, endpoint.Path{Pattern: endpoint.PullManifest.Pattern, Name: e.Name, Reference: ref.ByDigest(e.Digest)})
		o.References = references(e.Children)
		return tagged(Push, o, e.Tags)
	case repo.DeleteTag:
		return tagged(Delete, o, e.Tags)
	case repo.DeleteManifest:
		all := []draft{{Delete, o}}
		if len(e.Tags) > 0 {
			all = append(all, tagged(Delete, Object{Repository: o.Repository}, e.Tags)...)
		}
		return all
	case repo.DeleteBlob:
		return []draft{{Delete, o}}
	}
	return nil
}

func tagged(action Action, o Object, tags []ref.Tag) (all []draft) {
	for _, tag := range tags {
		o.Tag = tag.String()
		all = append(all, draft{action, o})
	}
	if len(tags) == 0 {
		all = append(all, draft{action, o})
	}
	return all
}

func urlOf(base string, p endpoint.Path) string {
	if base == "" {
		return ""
	}
	return base + p.String()
}

func references(children []oci.Descriptor) (all []oci.Descriptor) {
	for _, c := range children[:min(len(children), MaxReferences)] {
		all = append(all, oci.Descriptor{MediaType: c.MediaType, Digest: c.Digest, Size: c.Size, Platform: c.Platform})
	}
	return all
}

// encode writes an event, with its references or without.
func (e Event) encode(references bool) []byte {
	if !references {
		e.Target.References = nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("notify: an event that is not JSON: %v", err)) // none of the fields can fail
	}
	return raw
}

// envelope puts encoded events into the body of a delivery.
func envelope(events [][]byte) []byte {
	body := []byte(`{"events":[`)
	for i, e := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, e...)
	}
	return append(body, "]}"...)
}
