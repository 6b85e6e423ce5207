package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sessions asks for all uploads: one that was acknowledged up to some byte goes
// on from there, one that is over stays over. Half of those that go on are
// finished; the others wait for another crash.
func (c *checker) sessions() {
	c.orphans()
	var rest []*session
	for i, s := range c.model.sessions {
		offset, there := c.offset(s)
		switch {
		case s.state == over:
			if there {
				c.violated("upload %s is over, but is there with %d bytes (of the blob, which is %s)", s.path, offset, c.model.value(blobOf(s.repo, s.blob)))
			}
		case !there:
			c.vanished(s)
		case offset < s.acked || offset > s.sent:
			c.violated("upload %s is at %d, acknowledged %d, sent %d", s.path, offset, s.acked, s.sent)
		case s.state == going && s.restarts == 0 && i%2 == 0:
			s.acked, s.restarts = offset, 1
			rest = append(rest, s)
		default:
			s.acked = offset
			c.resume(s)
		}
	}
	c.model.sessions = rest
}

// offset asks how far a session has come.
func (c *checker) offset(s *session) (offset int, there bool) {
	r := request{method: "GET", path: s.path}
	resp, err := c.client.send(c.ctx, r)
	switch {
	case err != nil:
		c.violated("%v: %v", r, err)
	case resp.status == http.StatusNoContent:
		return received(resp), true
	case resp.status != http.StatusNotFound:
		c.violated("%v", &surprise{r, resp})
	}
	return 0, false
}

// vanished judges a session that is not there. One whose last request was under
// way may have been finished by it; then the blob is there.
func (c *checker) vanished(s *session) {
	switch {
	case s.state == leaving:
	case s.state == finishing && c.model.value(blobOf(s.repo, s.blob)) == present:
	case s.acked == 0: // nothing of the client's is lost
	default:
		c.violated("upload %s is gone, of which %d bytes were acknowledged (state %d)", s.path, s.acked, s.state)
	}
}

// resume finishes a session with the bytes that it lacks, and reads the blob.
func (c *checker) resume(s *session) {
	r := request{method: "PATCH", path: s.path, body: s.rest()}
	if len(s.rest()) > 0 {
		if resp, err := c.client.send(c.ctx, r); err != nil || resp.status != http.StatusAccepted {
			c.violated("resuming at %d: %v %v", s.acked, &surprise{r, resp}, err)
			return
		}
	}
	t := blobOf(s.repo, s.blob)
	r = request{method: "PUT", path: s.path + "?digest=" + s.blob.digest}
	ws := c.model.begin("the check: "+r.String(), change{t, present})
	if resp, err := c.client.send(c.ctx, r); err != nil || resp.status != http.StatusCreated {
		c.model.failed(ws)
		c.violated("finishing what was resumed at %d: %v %v", s.acked, &surprise{r, resp}, err)
		return
	}
	c.model.ack(ws)
	c.one(t)
	c.resumed++
}

// orphans looks at the uploads that no client knows of, as the answer to the first
// request was lost. They expire; until then they hold no bytes.
func (c *checker) orphans() {
	entries, err := os.ReadDir(filepath.Join(c.root, "uploads"))
	if err != nil {
		c.violated("the folder of uploads: %v", err)
	}
	for _, e := range entries {
		id, isData := strings.CutSuffix(e.Name(), ".data")
		known := slices.ContainsFunc(c.model.sessions, func(s *session) bool { return s.id() == id })
		if !isData || known {
			continue
		}
		if data, err := e.Info(); err == nil && data.Size() > 0 {
			c.violated("upload %s, which nobody knows, holds %d bytes", id, data.Size())
		}
	}
}
