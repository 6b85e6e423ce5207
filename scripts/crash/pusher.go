package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
)

// pusher is one client. It alone writes to its images, to their blobs that are
// not shared, and to its tags; with all others it shares blobs and the tags
// "latest".
type pusher struct {
	*load
	id     int
	rng    *rand.Rand
	images []*image // that may be there
	gone   []*image // that were deleted
}

const (
	ownTags   = 4
	maxImages = 6
	latest    = "latest"
)

func (p *pusher) name(r request) string { return fmt.Sprintf("pusher %d: %v", p.id, r) }

func (p *pusher) tag(i int) string { return fmt.Sprintf("p%d-%d", p.id, i) }

// run pushes until something fails, and returns when it has.
func (p *pusher) run() {
	for p.ctx.Err() == nil {
		if err := p.step(); err != nil {
			if !errors.Is(err, errCut) && p.ctx.Err() == nil {
				p.violated("pusher %d: %v", p.id, err)
			}
			return
		}
	}
}

// step does one of the things that clients do.
func (p *pusher) step() error {
	if len(p.images) >= maxImages {
		return p.deleteImage()
	}
	switch n := p.rng.IntN(100); {
	case n < 45 || len(p.images) == 0:
		return p.push(newImage(p.rng, p.load, p.images))
	case n < 55 && len(p.gone) > 0:
		return p.pushAgain()
	case n < 65:
		return p.moveTag()
	case n < 73:
		return p.deleteTag()
	case n < 80:
		return p.deleteImage()
	case n < 88:
		return p.leaveSession()
	case n < 90:
		return p.cancelSession()
	case n < 95:
		return p.watch()
	default:
		return p.pull()
	}
}

// change asks for changes and wants that status.
func (p *pusher) change(r request, want int, changes ...change) error {
	ws := p.model.begin(p.name(r), changes...)
	if _, err := p.call(r, want); err != nil {
		return p.doubt(ws, err)
	}
	p.model.ack(ws)
	p.acknowledged()
	return nil
}

// doubt notes writes that ended with an error: if that is an answer, nothing more
// will come of them.
func (p *pusher) doubt(ws []*write, err error) error {
	var answer *surprise
	if errors.As(err, &answer) {
		p.model.failed(ws)
	}
	return err
}

// push pushes an image as clients do: what HEAD says is there is not sent.
func (p *pusher) push(img *image) error {
	for _, b := range img.blobs {
		if err := p.ensure(img.repo, b); err != nil {
			return err
		}
	}
	if !slices.Contains(p.images, img) {
		p.images = append(p.images, img)
	}
	switch n := p.rng.IntN(10); {
	case n == 0:
		img.pinned = true
		return p.put(img, latest)
	case n == 1:
		return p.put(img, img.digest, p.tag(0), p.tag(1))
	default:
		return p.put(img, p.tag(p.rng.IntN(ownTags)))
	}
}

// put pushes a manifest by a tag, or by its digest together with tags.
func (p *pusher) put(img *image, reference string, tags ...string) error {
	r := request{method: "PUT", path: "/v2/" + img.repo + "/manifests/" + reference, body: img.raw,
		header: map[string]string{"Content-Type": manifestType}}
	changes := []change{{img.thing(), present}}
	if reference != img.digest {
		changes = append(changes, change{img.tag(reference), img.digest})
	}
	for i, tag := range tags {
		r.path += string("?&"[min(i, 1)]) + "tag=" + tag
		changes = append(changes, change{img.tag(tag), img.digest})
	}
	return p.change(r, http.StatusCreated, changes...)
}

// ensure pushes a blob unless it is there.
func (p *pusher) ensure(repo string, b blob) error {
	if there, err := p.look(repo, b); there || err != nil {
		return err
	}
	if b.shared {
		defer p.pushing(place{repo, b})()
	}
	if from := repos[p.rng.IntN(len(repos))]; b.shared && from != repo && p.rng.IntN(2) == 0 {
		return p.mount(repo, from, b)
	}
	return p.upload(repo, b)
}

// look asks whether a blob is there. If it is, the pusher relies on that.
func (p *pusher) look(repo string, b blob) (there bool, err error) {
	t := blobOf(repo, b)
	r := request{method: "HEAD", path: "/v2/" + repo + "/blobs/" + b.digest}
	mark := p.model.mark()
	resp, err := p.call(r, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	value := absent
	if resp.status == http.StatusOK {
		value = present
	}
	if wrong := p.model.saw(t, value, mark); wrong != "" {
		return false, errors.New(wrong)
	}
	if value == present {
		p.sighted(p.model.rely(t, present, p.name(r), mark))
	}
	return value == present, nil
}

// watch looks for a blob that somebody else is pushing, again and again until that
// has ended, and so sees it as soon as it can be seen.
func (p *pusher) watch() error {
	at, ok := p.pushedNow(p.rng)
	for ok {
		if there, err := p.look(at.repo, at.blob); there || err != nil {
			return err
		}
		ok = p.isPushed(at)
	}
	return nil
}

func (p *pusher) pushAgain() error {
	i := p.rng.IntN(len(p.gone))
	img := p.gone[i]
	p.gone = slices.Delete(p.gone, i, i+1)
	return p.push(img)
}

// moveTag points a tag at an image that is there.
func (p *pusher) moveTag() error {
	return p.put(p.images[p.rng.IntN(len(p.images))], p.tag(p.rng.IntN(ownTags)))
}

// leaveSession pushes a part of a blob, which the check goes on with.
func (p *pusher) leaveSession() error {
	s, err := p.start(repos[p.rng.IntN(len(repos))], randomBlob(p.rng))
	if err != nil {
		return err
	}
	return p.patch(s, p.rng.IntN(len(s.blob.data)+1), p.rng.IntN(2) == 0)
}

func (p *pusher) cancelSession() error {
	s, err := p.start(repos[p.rng.IntN(len(repos))], randomBlob(p.rng))
	if err != nil {
		return err
	}
	if err := p.patch(s, p.rng.IntN(len(s.blob.data)+1), false); err != nil {
		return err
	}
	return p.cancel(s)
}

// pull reads an image, all of which must be there.
func (p *pusher) pull() error {
	img := p.images[p.rng.IntN(len(p.images))]
	for t := range img.things() {
		mark := p.model.mark()
		value, _, err := p.client.read(p.ctx, t)
		if err != nil {
			if p.cutting.Load() {
				return errCut
			}
			return err
		}
		if wrong := p.model.saw(t, value, mark); wrong != "" {
			return errors.New(wrong)
		}
	}
	return nil
}
