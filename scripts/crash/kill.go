package main

import (
	"context"
	"os"
	"path/filepath"
)

// killPart kills the process, which loses what was on its way, but nothing that
// the kernel has.
func killPart(ctx context.Context, c config) (string, error) {
	l := loop{config: c, ctx: ctx, name: "kill", root: filepath.Join(c.work, "store")}
	l.crash = func(s *server, cutting func()) error {
		cutting()
		s.kill()
		return nil
	}
	return l.run(func() error { return os.RemoveAll(l.root) })
}
