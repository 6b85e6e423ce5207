package repo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/repo"
)

// observer keeps what it is told, and refuses with err.
type observer struct {
	mu     sync.Mutex
	events []repo.Event
	err    error
	each   func(repo.Event)
}

func (o *observer) Observe(ctx context.Context, e repo.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
	if o.each != nil {
		o.each(e)
	}
	return o.err
}

// An action that an observer is asked about: how to get there, how to do it, and
// what the observer is told.
var actions = []struct {
	name  string
	setUp func(w *world)
	do    func(w *world) error
	want  repo.Event
}{
	{"push blob", func(w *world) {},
		func(w *world) error { _, err := w.tryBlob(app, "data"); return err },
		repo.Event{Action: repo.PushBlob, Name: app, Digest: sum("data"), Size: 4}},
	{"mount blob", func(w *world) { w.blob(other, "data") },
		func(w *world) error { return w.MountBlob(w.Context(), app, other, sum("data")) },
		repo.Event{Action: repo.MountBlob, Name: app, From: other, Digest: sum("data"), Size: 4}},
	{"delete blob", func(w *world) { w.blob(app, "data") },
		func(w *world) error { return w.DeleteBlob(w.Context(), app, sum("data")) },
		repo.Event{Action: repo.DeleteBlob, Name: app, Digest: sum("data")}},
	{"push manifest", func(w *world) { w.blob(app, "data") },
		func(w *world) error { return tryPush(w.Context(), w.Store, app, signed, nil, "v1", "v2") },
		repo.Event{Action: repo.PushManifest, Name: app, Digest: sum(signed), Size: int64(len(signed)), Tags: tags("v1", "v2"),
			MediaType: oci.MediaTypeImageManifest, Subject: &subject, Children: []oci.Descriptor{data}}},
	{"delete manifest", func(w *world) { w.blob(app, "data"); w.push(app, signed, "v1", "v2"); w.simple(app, "kept", "v3") },
		func(w *world) error { return w.DeleteManifest(w.Context(), app, sum(signed)) },
		repo.Event{Action: repo.DeleteManifest, Name: app, Digest: sum(signed), Tags: tags("v1", "v2")}},
	{"delete tag", func(w *world) { w.blob(app, "data"); w.push(app, signed, "v1", "v2") },
		func(w *world) error { return w.DeleteTag(w.Context(), app, tag("v1")) },
		repo.Event{Action: repo.DeleteTag, Name: app, Tags: tags("v1")}},
}

var (
	data    = describe(oci.MediaTypeImageLayer, "data")
	subject = describe(oci.MediaTypeImageManifest, "subject")
	signed  = signature(data, "application/vnd.sig", "subject")
)

// The observer is told once of each change, before anything of it is in the
// bucket; and what it refuses leaves the store as it was, byte by byte.
func TestObserver(t *testing.T) {
	for _, tt := range actions {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				tt.setUp(w)
				before := dump(w.T, w.Bucket)
				refusal := errors.New("over quota")
				o := &observer{err: refusal, each: func(repo.Event) {
					w.wantSame("before it is published", dump(w.T, w.Bucket), before)
				}}
				w.opts.Observer = o
				w.restart()
				w.wantError("refused", tt.do(w), refusal)
				w.wantSame("after the refusal", dump(w.T, w.Bucket), before)
				if len(o.events) != 1 || encode(o.events[0]) != encode(tt.want) {
					w.Errorf("told %s; want %s", encode(o.events), encode(tt.want))
				}
				o.err = nil
				w.wantError("allowed", tt.do(w), nil)
				if len(o.events) != 2 || len(dump(w.T, w.Bucket)) == len(before) {
					w.Errorf("%d events, %d keys; were %d", len(o.events), len(dump(w.T, w.Bucket)), len(before))
				}
			})
		})
	}
}

// What fails by itself is not the observer's business.
func TestObserverOfFailures(t *testing.T) {
	o := &observer{}
	w := newWorld(t, mem.New(), repo.Options{Observer: o})
	ctx := t.Context()
	raw := w.simple(app, "one", "v1")
	o.events = nil
	w.wantError("mount", w.MountBlob(ctx, app, other, sum("data")), bucket.ErrNotExist)
	w.wantError("delete blob", w.DeleteBlob(ctx, app, sum("data")), repo.ErrBlobUnknown)
	w.wantError("delete tag", w.DeleteTag(ctx, app, tag("v2")), repo.ErrManifestUnknown)
	w.wantError("delete manifest", w.DeleteManifest(ctx, app, sum("data")), repo.ErrManifestUnknown)
	w.wantError("missing child", tryPush(ctx, w.Store, app, image(data), nil), repo.ErrReferenceUnknown)
	w.wantError("condition", tryPush(ctx, w.Store, app, raw, is(digest.Digest{}), "v1"), repo.ErrCondition)
	if len(o.events) != 0 {
		t.Errorf("told %s", encode(o.events))
	}
}

// leaser writes down in which order it is asked.
type leaser struct {
	repo.CASBlobs
	log []string
	err error
}

func (l *leaser) Lease(ctx context.Context, digests []digest.Digest) error {
	l.log = append(l.log, fmt.Sprint("lease ", digests))
	return l.err
}

func (l *leaser) Stat(ctx context.Context, d digest.Digest) (bucket.Info, error) {
	l.log = append(l.log, fmt.Sprint("stat ", d))
	return l.CASBlobs.Stat(ctx, d)
}

// All children are leased before the first of them is looked for.
func TestLeases(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	l := &leaser{CASBlobs: repo.CASBlobs{Store: cas.New(w.spy, cas.Distribution)}}
	w.Store = repo.New(w.spy, l, repo.Options{})
	config, layer := w.blob(app, "config"), w.blob(app, "layer")
	raw := image(config, layer)
	want := []string{
		fmt.Sprint("lease ", []digest.Digest{config.Digest, layer.Digest}),
		fmt.Sprint("stat ", config.Digest), fmt.Sprint("stat ", layer.Digest),
	}
	w.push(app, raw, "v1")
	if !slices.Equal(l.log, want) {
		t.Errorf("asked %s; want %s", strings.Join(l.log, ", "), strings.Join(want, ", "))
	}

	l.log = nil
	w.push(app, index(raw))
	if want := fmt.Sprint("lease ", []digest.Digest{sum(raw)}); len(l.log) != 2 || l.log[0] != want {
		t.Errorf("index: asked %v; want %s first", l.log, want)
	}

	l.log, l.err = nil, errors.New("no lease")
	before := dump(t, w.Bucket)
	w.wantError("without a lease", tryPush(t.Context(), w.Store, app, image(layer), nil), l.err)
	w.wantSame("after that", dump(t, w.Bucket), before)
	if len(l.log) != 1 {
		t.Errorf("asked %v after the lease was denied", l.log)
	}
}
