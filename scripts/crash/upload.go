package main

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// session is an upload as its client knows it. It is used by its pusher, and
// when that is done by the check.
type session struct {
	repo, path string
	blob       blob
	acked      int // bytes that the registry has acknowledged
	sent       int // bytes that it may have got
	state      sessionState
	restarts   int // that it has been through
}

type sessionState int

const (
	going     sessionState = iota
	finishing              // its last request was not answered
	over                   // finished or cancelled, and so acknowledged
	leaving                // its cancellation was not answered
)

func (s *session) id() string { return path.Base(s.path) }

// rest is what was not acknowledged.
func (s *session) rest() []byte { return s.blob.data[s.acked:] }

func blobOf(repo string, b blob) thing { return thing{"blob", repo, b.digest} }

// upload pushes a blob in one of the ways that there are.
func (p *pusher) upload(repo string, b blob) error {
	way := p.rng.IntN(4)
	if way == 0 {
		r := request{method: "POST", path: "/v2/" + repo + "/blobs/uploads/?digest=" + b.digest, body: b.data}
		return p.change(r, http.StatusCreated, change{blobOf(repo, b), present})
	}
	s, err := p.start(repo, b)
	if err != nil {
		return err
	}
	return p.finishBy(s, way)
}

// finishBy pushes what is left of a session: at once (1), as one chunk of unknown
// length (2), or in chunks (3).
func (p *pusher) finishBy(s *session, way int) error {
	switch way {
	case 2:
		if err := p.patch(s, len(s.rest()), true); err != nil {
			return err
		}
	case 3:
		for range 1 + p.rng.IntN(3) {
			if err := p.patch(s, p.rng.IntN(len(s.rest())+1), false); err != nil {
				return err
			}
		}
	}
	return p.finish(s)
}

// start opens a session.
func (p *pusher) start(repo string, b blob) (*session, error) {
	r := request{method: "POST", path: "/v2/" + repo + "/blobs/uploads/"}
	resp, err := p.call(r, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	return p.opened(repo, b, resp), nil
}

// opened notes the session that a response has opened.
func (p *pusher) opened(repo string, b blob, resp response) *session {
	s := &session{repo: repo, path: resp.header.Get("Location"), blob: b}
	p.model.mu.Lock()
	defer p.model.mu.Unlock()
	p.model.sessions = append(p.model.sessions, s)
	return s
}

// patch sends the next n bytes.
func (p *pusher) patch(s *session, n int, stream bool) error {
	if n == 0 || s.acked+n == 1 { // see received
		return nil
	}
	s.sent = s.acked + n
	r := request{method: "PATCH", path: s.path, body: s.blob.data[s.acked:s.sent], stream: stream,
		header: map[string]string{"Content-Type": "application/octet-stream"}}
	if !stream {
		r.header["Content-Range"] = fmt.Sprintf("%d-%d", s.acked, s.sent-1)
	}
	resp, err := p.call(r, http.StatusAccepted)
	if err != nil {
		return s.ended(err)
	}
	if got := received(resp); got != s.sent {
		return fmt.Errorf("%v took %d bytes of %d", r, got, s.sent)
	}
	s.acked = s.sent
	p.model.mu.Lock()
	p.model.acks++
	p.model.mu.Unlock()
	p.acknowledged()
	return nil
}

// received reads how many bytes a session has from the Range of a response; -1
// if it does not say. An empty one cannot be told from one of a single byte,
// which is never sent here.
func received(r response) int {
	first, last, ok := strings.Cut(r.header.Get("Range"), "-")
	n, err := strconv.Atoi(last)
	if !ok || first != "0" || err != nil {
		return -1
	}
	if n == 0 {
		return 0
	}
	return n + 1
}

// finish sends the rest and publishes the blob.
func (p *pusher) finish(s *session) error {
	s.sent, s.state = len(s.blob.data), finishing
	query := "?"
	if strings.Contains(s.path, "?") {
		query = "&"
	}
	r := request{method: "PUT", path: s.path + query + "digest=" + s.blob.digest, body: s.rest()}
	if err := p.change(r, http.StatusCreated, change{blobOf(s.repo, s.blob), present}); err != nil {
		return s.ended(err)
	}
	s.state = over
	return nil
}

// ended passes err on. What did not fit ends the session, as its bytes are freed.
func (s *session) ended(err error) error {
	var answer *surprise
	if errors.As(err, &answer) && answer.answer.status == http.StatusInsufficientStorage {
		s.state = leaving
	}
	return err
}

// cancel ends a session.
func (p *pusher) cancel(s *session) error {
	s.state = leaving
	if _, err := p.call(request{method: "DELETE", path: s.path}, http.StatusNoContent); err != nil {
		return err
	}
	s.state = over
	return nil
}

// mount takes a blob over from another repository, or else pushes it through the
// session that this has opened.
func (p *pusher) mount(repo, from string, b blob) error {
	r := request{method: "POST", path: "/v2/" + repo + "/blobs/uploads/?mount=" + b.digest + "&from=" + from}
	t := blobOf(repo, b)
	ws := p.model.begin(p.name(r), change{t, present})
	mark := p.model.mark()
	resp, err := p.call(r, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return p.doubt(ws, err)
	}
	if resp.status == http.StatusCreated {
		first := p.model.rely(blobOf(from, b), present, p.name(r), mark)
		p.model.ack(ws)
		p.sighted(first)
		p.acknowledged()
		return nil
	}
	p.model.refused(ws)
	if possible := p.model.possible(blobOf(from, b), mark); !slices.Contains(possible, absent) {
		return errors.New(r.String() + " was refused, but the blob is there")
	}
	return p.finishBy(p.opened(repo, b, resp), 1+p.rng.IntN(3))
}
