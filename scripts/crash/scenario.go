package main

import "net/http"

// step is a part of the scenario that can be done again after it failed.
type step struct {
	name string
	do   func() error
}

// prepare makes what the scenario deletes and moves, and returns the scenario.
func (r *faultRun) prepare() ([]step, error) {
	p := r.p
	var images [4]*image
	for i := range images {
		images[i] = newImage(p.rng, p.load, nil)
		images[i].repo = repos[0]
	}
	old, doomed, fresh, artifact := images[0], images[1], images[2], images[3]
	artifact.refer(old)
	for i, img := range []*image{old, doomed} {
		for _, b := range img.blobs {
			if err := p.upload(img.repo, b); err != nil {
				return nil, err
			}
		}
		p.images = append(p.images, img)
		if err := p.put(img, p.tag(i)); err != nil {
			return nil, err
		}
	}
	whole, parts := blobOfSize(p.rng, large), blobOfSize(p.rng, large)
	loose, half, single, left := randomBlob(p.rng), randomBlob(p.rng), randomBlob(p.rng), randomBlob(p.rng)
	push := func(b blob, way int) func() error {
		return func() error {
			s, err := p.start(repos[0], b)
			if err != nil {
				return err
			}
			return p.finishBy(s, way)
		}
	}
	return []step{
		{"POST and PUT", push(loose, 1)},
		{"POST, PATCH and PUT", push(half, 2)},
		{"chunks", push(fresh.blobs[0], 3)},
		{"POST and PUT of much", push(whole, 1)},
		{"POST, PATCH and PUT of much", push(parts, 2)},
		{"single POST", func() error {
			return p.change(request{method: "POST", path: "/v2/" + repos[0] + "/blobs/uploads/?digest=" + single.digest, body: single.data},
				http.StatusCreated, change{blobOf(repos[0], single), present})
		}},
		{"mount", func() error { return p.mount(repos[1], repos[0], old.blobs[0]) }},
		{"an image", func() error { return r.pushImage(fresh, p.tag(2)) }},
		{"a tag moves", func() error { return p.put(old, p.tag(1)) }},
		{"a tag moves back", func() error { return p.put(doomed, p.tag(1)) }},
		{"an artifact", func() error { return r.pushImage(artifact, p.tag(3)) }},
		{"a tag is deleted", func() error { return p.remove(old.tag(p.tag(0))) }},
		{"an image is deleted", func() error { return p.remove(doomed.thing(), doomed.tag(p.tag(1))) }},
		{"a blob is deleted", func() error { return p.remove(blobOf(doomed.repo, doomed.blobs[0])) }},
		{"a session is left", func() error {
			s, err := p.start(repos[0], left)
			if err != nil {
				return err
			}
			return p.patch(s, len(left.data)/2, false)
		}},
		{"a session is cancelled", p.cancelSession},
	}, nil
}

func (r *faultRun) pushImage(img *image, tag string) error {
	for _, b := range img.blobs {
		if err := r.p.ensure(img.repo, b); err != nil {
			return err
		}
	}
	r.p.images = append(r.p.images, img)
	return r.p.put(img, tag)
}
