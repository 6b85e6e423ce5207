package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
)

// checker holds a registry that was started again against what its clients know.
type checker struct {
	config
	ctx    context.Context
	client *client
	model  *model
	root   string // of the store

	mu       sync.Mutex
	found    []string
	read     int            // things that were asked for
	resumed  int            // sessions that were taken up again
	leftover map[string]int // excused faults, by kind
}

func (c *checker) violated(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// run does all checks that one restart asks for. The first is of what the start
// should have removed.
func (c *checker) run(images []*image) {
	c.staging()
	c.everything()
	c.closures(images)
	c.tagLists()
	c.referrers(images)
	c.sessions()
	c.faults()
}

// staging is the folder of half-written files, of which a start leaves none.
func (c *checker) staging() {
	left, err := stagedFiles(c.root)
	if err != nil {
		c.violated("the folder of staged files: %v", err)
	}
	if len(left) > 0 {
		c.violated("%d staged files are left over, the first is %s", len(left), left[0])
	}
}

// stagedFiles are the files, not the folders, where the store in root stages.
func stagedFiles(root string) (files []string, err error) {
	err = filepath.WalkDir(filepath.Join(root, "uploads", ".staged"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// everything reads all things, and notes their states as those that hold from now
// on.
func (c *checker) everything() {
	work := make(chan thing)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for t := range work {
				c.one(t)
			}
		})
	}
	for _, kind := range []string{"blob", "manifest", "tag"} {
		for _, t := range c.model.things(kind) {
			work <- t
		}
	}
	close(work)
	readers.Wait()
}

func (c *checker) one(t thing) {
	mark := c.model.mark()
	value, _, err := c.client.read(c.ctx, t)
	if err != nil {
		c.violated("%v; %s", err, c.model.story(t))
		return
	}
	if wrong := c.model.saw(t, value, mark); wrong != "" {
		c.violated("after the restart: %s", wrong)
	}
	c.model.decide(t, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
}

// closures sees that each manifest that is there has its blobs.
func (c *checker) closures(images []*image) {
	for _, img := range images {
		if c.model.value(img.thing()) == absent {
			continue
		}
		for t := range img.things() {
			if c.model.value(t) == absent {
				c.violated("%v is there, but not %v", img.thing(), t)
			}
		}
	}
}

// tagLists holds the lists of tags against the tags.
func (c *checker) tagLists() {
	want := map[string][]string{}
	for _, t := range c.model.things("tag") {
		if c.model.value(t) != absent {
			want[t.repo] = append(want[t.repo], t.name)
		}
	}
	for _, repo := range repos {
		var list struct{ Tags []string }
		c.list("/v2/"+repo+"/tags/list?n=1000", &list)
		slices.Sort(want[repo])
		if !slices.Equal(list.Tags, want[repo]) {
			c.violated("%s lists the tags %v, has %v", repo, list.Tags, want[repo])
		}
	}
}

// referrers sees that manifests with a subject are listed, and no others.
func (c *checker) referrers(images []*image) {
	for _, img := range images {
		if img.subject == "" {
			continue
		}
		var list struct{ Manifests []descriptor }
		c.list("/v2/"+img.repo+"/referrers/"+img.subject, &list)
		listed := slices.ContainsFunc(list.Manifests, func(d descriptor) bool { return d.Digest == img.digest })
		if there := c.model.value(img.thing()) == present; there != listed {
			c.violated("%v: there %v, listed as referrer %v; %s", img.thing(), there, listed, c.model.story(img.thing()))
		}
	}
}

// list reads a JSON document; one that is not there is empty.
func (c *checker) list(path string, into any) {
	r := request{method: "GET", path: path}
	resp, err := c.client.send(c.ctx, r)
	switch {
	case err != nil:
		c.violated("%v: %v", r, err)
	case resp.status == 404:
	case resp.status != 200:
		c.violated("%v", &surprise{r, resp})
	default:
		if err := json.Unmarshal(resp.body, into); err != nil {
			c.violated("%v: %v", r, err)
		}
	}
}

// faults runs the program's own check.
func (c *checker) faults() {
	lines, _, err := fsck(c.ctx, c.config, c.root)
	if err != nil {
		c.violated("fsck: %v", err)
	}
	for _, line := range lines {
		problem, ok := excused(c.model, line)
		if !ok {
			c.violated("fsck: %s", line)
			continue
		}
		c.leftover[problem]++
	}
}
