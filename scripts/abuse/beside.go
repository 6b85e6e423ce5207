package main

import (
	"fmt"
	"path/filepath"
)

// secure is beside, with TLS.
func (a *abuse) secure(part func(s *server, blob string) (string, error)) (string, error) {
	return a.beside("secure", part, "--tls-self-signed")
}

// beside runs a part against a registry with a store in that folder and those flags, and
// has an honest client there meanwhile. Afterwards the server must be as it was.
func (a *abuse) beside(folder string, part func(s *server, blob string) (string, error), flags ...string) (string, error) {
	s, err := a.serve(filepath.Join(a.work, folder), flags...)
	if err != nil {
		return "", err
	}
	defer s.stop()
	blob, err := s.fill("")
	if err != nil {
		return "", err
	}
	base, err := s.state()
	if err != nil {
		return "", err
	}
	var m must
	honest := s.visit("")
	line, err := part(s, blob)
	m.add(err)
	took, err := honest.leave()
	m.add(err)
	after, err := s.returns(base)
	m.add(err)
	m.hold(after.peak < 192, "it takes %.0f MiB at its peak", after.peak)
	m.add(s.stop())
	return fmt.Sprintf("%s; HEAD %v; peak %.0f MiB; descriptors %d, then %d; goroutines %d, then %d", line, took, after.peak, base.files, after.files, base.goroutines, after.goroutines), m.err()
}
