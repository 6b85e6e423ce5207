package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// fullPart serves from a disk of 8 MiB, which soon is full.
func fullPart(ctx context.Context, c config) (string, error) {
	f := &fullDisk{config: c, folder: filepath.Join(c.work, "full"), pusher: &pusher{id: 1, rng: rand.New(rand.NewPCG(c.seed, 0))}}
	for _, options := range []string{"size=8m", "size=8m,nr_inodes=300"} {
		if err := f.on(ctx, options); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("full: %d pushes were refused for want of room, their bytes freed within %d ms; %d things read back",
		f.refusals, f.slowest.Milliseconds(), f.read), nil
}

// fullDisk is a registry whose disk is full at times, and a client of it.
type fullDisk struct {
	config
	*pusher
	folder   string // where the disk is mounted
	kept     *image // that was pushed before
	refusals int
	slowest  time.Duration // until bytes were freed
	read     int
}

const (
	page = 4 << 10
	// returned is how soon the bytes of a push that failed are to be freed.
	returned = time.Second
)

func (f *fullDisk) root() string { return filepath.Join(f.folder, "store") }

// on does the part on a tmpfs with those options.
func (f *fullDisk) on(ctx context.Context, options string) error {
	if err := os.MkdirAll(f.folder, 0o755); err != nil {
		return err
	}
	if err := system(ctx, "mount", "-t", "tmpfs", "-o", options, "shibafu-full", f.folder); err != nil {
		return err
	}
	defer system(ctx, "umount", f.folder)
	s, err := startServer(ctx, f.config, f.root())
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	f.load = newLoad(ctx, newClient(s.base), newModel(), f.seed)
	f.images, f.gone = nil, nil
	steps := []struct {
		name string
		do   func() error
	}{
		{"a push that fits", f.fits},
		{"blobs that do not fit", f.tooLarge},
		{"no room at all", f.noRoom},
		{"manifests with little room", f.littleRoom},
	}
	if options != "size=8m" {
		steps = append(steps[:1], struct {
			name string
			do   func() error
		}{"no inodes", f.noInodes})
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return &violations{"full (" + options + "), " + step.name, []string{err.Error()}, s.tail()}
		}
	}
	if err := s.stop(); err != nil {
		return &violations{"full (" + options + ")", []string{"SIGTERM: " + err.Error()}, s.tail()}
	}
	if s, err = startServer(ctx, f.config, f.root()); err != nil {
		return err
	}
	return f.check(s, options)
}

func (f *fullDisk) check(s *server, options string) error {
	c := &checker{config: f.config, ctx: f.ctx, client: newClient(s.base), model: f.model, root: f.root(), leftover: map[string]int{}}
	c.run(f.images)
	f.read += c.read
	if len(c.found) > 0 {
		return &violations{"full (" + options + "), after a restart", c.found, s.tail()}
	}
	return nil
}

// withBlobs is an image whose blobs are pushed.
func (f *fullDisk) withBlobs() (*image, error) {
	img := newImage(f.rng, f.load, nil)
	img.repo = repos[0]
	for _, b := range img.blobs {
		if err := f.upload(img.repo, b); err != nil {
			return nil, err
		}
	}
	f.images = append(f.images, img)
	return img, nil
}

// pushed is an image that is there.
func (f *fullDisk) pushed(reference string, tags ...string) (*image, error) {
	img, err := f.withBlobs()
	if err != nil {
		return nil, err
	}
	return img, f.put(img, reference, tags...)
}

// fits pushes what the other steps need.
func (f *fullDisk) fits() error {
	var err error
	if f.kept, err = f.pushed("kept", f.tag(0)); err != nil {
		return err
	}
	f.kept.pinned = true // not to be deleted
	return nil
}

// refused sends what there is no room for, and wants the answer to say so and no
// more, and the bytes to be freed.
func (f *fullDisk) refused(r request) error {
	free, err := f.free()
	if err != nil {
		return err
	}
	resp, err := f.call(r, http.StatusInsufficientStorage)
	if err != nil {
		return err
	}
	if wrong := faultyError(resp); wrong != "" {
		return fmt.Errorf("%v: %s: %s", r, wrong, resp.body)
	}
	f.refusals++
	return f.freed(r, free)
}

// freed waits until there is as much room as there was.
func (f *fullDisk) freed(r request, want int64) error {
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		free, err := f.free()
		took := time.Since(began)
		if err == nil && free >= want {
			f.slowest = max(f.slowest, took)
			return nil
		}
		if err == nil && took > returned {
			err = fmt.Errorf("%v was refused, but %d bytes of it are still there after %v", r, want-free, took)
		}
		if err != nil {
			return err
		}
		<-tick.C
	}
}

// free is how much room there is, in bytes.
func (f *fullDisk) free() (int64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(f.folder, &st)
	return int64(st.Bavail) * st.Bsize, err
}

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
		{method: "POST", path: other},
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

// ballast makes a file that leaves that many pages, or removes it if they are
// negative.
func (f *fullDisk) ballast(pages int64) error {
	name := filepath.Join(f.folder, "ballast")
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if pages < 0 {
		return nil
	}
	free, err := f.free()
	if err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, free-pages*page))
	return errors.Join(err, file.Close())
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
		if err := errors.Join(f.freed(request{method: "PUT", path: tag}, pages*page-2*page), f.ballast(-1), f.put(img, tag)); err != nil {
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
