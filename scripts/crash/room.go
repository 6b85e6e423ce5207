package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// tooLarge pushes, in each way, a blob that is larger than the disk, and then one
// that fits.
func (f *fullDisk) tooLarge() error {
	large := blob{digest: sharedBlob(f.seed, 0).digest, data: make([]byte, 12<<20)}
	uploads := "/v2/" + repos[0] + "/blobs/uploads/"
	for _, push := range []func() error{
		func() error {
			return f.refused(request{method: "POST", path: uploads + "?digest=" + large.digest, body: large.data})
		},
		func() error {
			return f.ending(large, func(s *session) error {
				return f.refused(request{method: "PUT", path: s.path + "?digest=" + large.digest, body: large.data})
			})
		},
		func() error {
			return f.ending(large, func(s *session) error {
				return f.refused(request{method: "PATCH", path: s.path, body: large.data, stream: true})
			})
		},
		func() error { return f.ending(large, f.inChunks) },
	} {
		if err := push(); err != nil {
			return err
		}
		if err := f.upload(repos[0], randomBlob(f.rng)); err != nil {
			return fmt.Errorf("the next push that fits: %w", err)
		}
	}
	return nil
}

// ending starts a session that fail ends.
func (f *fullDisk) ending(b blob, fail func(*session) error) error {
	before, err := f.free()
	if err != nil {
		return err
	}
	s, err := f.start(repos[0], b)
	if err != nil {
		return err
	}
	if err := fail(s); err != nil {
		return err
	}
	s.state = over
	return f.freed(request{method: "session", path: s.path}, before)
}

// inChunks sends chunks until there is no room for one. It wants what the chunks
// before that took to be freed too.
func (f *fullDisk) inChunks(s *session) error {
	const chunk = 3 << 20
	for range 2 {
		if err := f.patch(s, chunk, false); err != nil {
			return err
		}
	}
	return f.refused(request{method: "PATCH", path: s.path, body: s.blob.data[s.acked : s.acked+chunk]})
}

// noRoom fills the disk to its last page: what needs none goes on.
func (f *fullDisk) noRoom() error {
	doomed, err := f.pushed(f.tag(2), f.tag(3))
	if err != nil {
		return err
	}
	fresh, err := f.withBlobs()
	if err != nil {
		return err
	}
	unmounted := f.kept.blobs[0].digest
	other := "/v2/" + repos[1] + "/blobs/uploads/"
	for _, r := range []request{
		f.manifestRequest(fresh, f.tag(1)),
		f.manifestRequest(fresh, f.tag(0)), // would move it
		{method: "POST", path: other + "?mount=" + unmounted + "&from=" + repos[0]},
		{method: "POST", path: other + "?digest=" + fresh.blobs[0].digest, body: fresh.blobs[0].data},
	} {
		if err := errors.Join(f.ballast(0), f.refused(r), f.goesOn()); err != nil {
			return err
		}
	}
	if err := f.ballast(0); err != nil {
		return err
	}
	err = errors.Join(f.remove(doomed.tag(f.tag(2))), f.ballast(0),
		f.deleteImage(), f.goesOn(), f.ballast(-1))
	if err != nil {
		return err
	}
	return f.put(fresh, f.tag(1))
}

func (f *fullDisk) manifestRequest(img *image, tag string) request {
	return request{method: "PUT", path: "/v2/" + img.repo + "/manifests/" + tag, body: img.raw,
		header: map[string]string{"Content-Type": manifestType}}
}

// goesOn reads what was there before, and wants its tag not to have moved.
func (f *fullDisk) goesOn() error {
	for _, t := range append(slices.Collect(f.kept.things()), f.kept.tag("kept"), f.kept.tag(f.tag(0))) {
		mark := f.model.mark()
		value, _, err := f.client.read(f.ctx, t)
		if err != nil {
			return err
		}
		if wrong := f.model.saw(t, value, mark); wrong != "" {
			return errors.New(wrong)
		}
	}
	r := request{method: "HEAD", path: "/v2/" + f.kept.repo + "/blobs/" + f.kept.blobs[0].digest}
	_, err := f.call(r, http.StatusOK)
	return err
}

// littleRoom pushes manifests with no page left, with one, with two, until one is
// taken. Each that was not is taken as soon as there is room.
func (f *fullDisk) littleRoom() error {
	for pages := int64(0); pages < 32; pages++ {
		img, err := f.withBlobs()
		if err != nil {
			return err
		}
		if err := f.ballast(pages); err != nil {
			return err
		}
		tag := fmt.Sprintf("little-%d", pages)
		ws := f.model.begin("a push with little room", change{img.thing(), present}, change{img.tag(tag), img.digest})
		resp, err := f.call(f.manifestRequest(img, tag), http.StatusCreated, http.StatusInsufficientStorage)
		if err != nil {
			return err
		}
		if resp.status == http.StatusCreated {
			f.model.ack(ws)
			return f.ballast(-1)
		}
		f.refusals++
		f.model.failed(ws)
		if wrong := faultyError(resp); wrong != "" {
			return errors.New(wrong)
		}
		if err := errors.Join(f.freed(request{method: "PUT", path: tag}, pages*page), f.ballast(-1), f.put(img, tag)); err != nil {
			return fmt.Errorf("with %d pages: %w", pages, err)
		}
	}
	return errors.New("no manifest is taken with 32 pages left")
}

// noInodes pushes until there are no more files to be had, deletes something, and
// pushes again.
func (f *fullDisk) noInodes() error {
	if _, err := f.pushed(f.tag(2)); err != nil {
		return err
	}
	for range 300 {
		b := randomBlob(f.rng)
		r := request{method: "POST", path: "/v2/" + repos[0] + "/blobs/uploads/?digest=" + b.digest, body: b.data}
		ws := f.model.begin("a push", change{blobOf(repos[0], b), present})
		resp, err := f.call(r, http.StatusCreated, http.StatusInsufficientStorage)
		if err != nil {
			return err
		}
		if resp.status == http.StatusCreated {
			f.model.ack(ws)
			continue
		}
		f.refusals++
		f.model.refused(ws)
		if wrong := faultyError(resp); wrong != "" {
			return errors.New(wrong)
		}
		if err := errors.Join(f.goesOn(), f.deleteImage()); err != nil {
			return err
		}
		return f.upload(repos[0], b)
	}
	return errors.New("300 pushes find room")
}
