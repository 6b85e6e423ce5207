package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
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
	steps := []step{
		{"a push that fits", f.fits},
		{"blobs that do not fit", f.tooLarge},
		{"no room at all", f.noRoom},
		{"manifests with little room", f.littleRoom},
	}
	if options != "size=8m" {
		steps = append(steps[:1], step{"no inodes", f.noInodes})
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

// ballast makes a file that leaves that many pages, or removes it if they are
// negative.
func (f *fullDisk) ballast(pages int64) error {
	if err := f.fill(-1); err != nil || pages < 0 {
		return err
	}
	if err := f.fill(0); err != nil {
		return err
	}
	// What the server keeps in hand it gives back before it refuses something.
	large := request{method: "POST", path: "/v2/" + repos[0] + "/blobs/uploads/?digest=" + sharedBlob(f.seed, 0).digest, body: make([]byte, 1<<20)}
	if _, err := f.call(large, http.StatusInsufficientStorage); err != nil {
		return err
	}
	return f.fill(pages)
}

func (f *fullDisk) fill(pages int64) error {
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
