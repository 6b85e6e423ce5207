package main

import (
	"fmt"
	"net/http"
	"slices"
)

// remove deletes a thing, which takes others along. That it is not there is fine
// where an earlier try may have removed it.
func (p *pusher) remove(t thing, along ...thing) error {
	mayBeGone := slices.Contains(p.model.possible(t, p.model.mark()), absent)
	r := request{method: "DELETE", path: "/v2/" + t.repo + "/manifests/" + t.name}
	if t.kind == "blob" {
		r.path = "/v2/" + t.repo + "/blobs/" + t.name
	}
	changes := []change{{t, absent}}
	for _, other := range along {
		changes = append(changes, change{other, absent})
	}
	ws := p.model.begin(p.name(r), changes...)
	resp, err := p.call(r, http.StatusAccepted, http.StatusNotFound)
	if err != nil {
		return p.doubt(ws, err)
	}
	if resp.status == http.StatusNotFound && !mayBeGone {
		return fmt.Errorf("%v is not there to be deleted; %s", t, p.model.story(t))
	}
	p.model.ack(ws)
	p.acknowledged()
	return nil
}

func (p *pusher) deleteTag() error {
	img := p.images[p.rng.IntN(len(p.images))]
	tag := img.tag(p.tag(p.rng.IntN(ownTags)))
	if p.model.value(tag) == absent {
		return nil
	}
	return p.remove(tag)
}

// deleteImage deletes a manifest, which takes the tags along that refer to it, and
// then the blobs that only it had.
func (p *pusher) deleteImage() error {
	i := slices.IndexFunc(p.images, func(img *image) bool { return !img.pinned })
	if i < 0 {
		p.images = p.images[1:] // it stays where it is, but nobody goes on with it
		return nil
	}
	img := p.images[i]
	var tags []thing
	for n := range ownTags {
		if tag := img.tag(p.tag(n)); p.model.value(tag) == img.digest {
			tags = append(tags, tag)
		}
	}
	if err := p.remove(img.thing(), tags...); err != nil {
		return err
	}
	p.images = slices.Delete(p.images, i, i+1)
	p.gone = append(p.gone, img)
	for _, b := range img.blobs {
		if b.shared {
			continue
		}
		if err := p.remove(blobOf(img.repo, b)); err != nil {
			return err
		}
	}
	return nil
}

// forget keeps only the images that are there after a crash.
func (p *pusher) forget() {
	p.images = slices.DeleteFunc(p.images, func(img *image) bool {
		gone := p.model.value(img.thing()) == absent
		if gone {
			p.gone = append(p.gone, img)
		}
		return gone
	})
}
