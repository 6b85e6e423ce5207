package main

import (
	"context"
	"path/filepath"
	"strings"
)

// powerPart cuts the power: all is gone that was not synced, also what other
// clients have seen.
func powerPart(ctx context.Context, c config) (string, error) {
	var summaries []string
	for kind := range strings.SplitSeq(c.systems, ",") {
		summary, err := cutPowerOf(ctx, c, kind)
		if err != nil {
			return "", err
		}
		summaries = append(summaries, summary)
	}
	return strings.Join(summaries, "\n"), nil
}

func cutPowerOf(ctx context.Context, c config, kind string) (string, error) {
	d := &disk{kind: kind, image: filepath.Join(c.work, kind+".img"), folder: filepath.Join(c.work, kind)}
	defer d.umount(ctx)
	l := loop{config: c, ctx: ctx, name: "power cut, " + kind, root: filepath.Join(d.folder, "store")}
	l.crash = func(s *server, cutting func()) error { return d.cutPower(ctx, s, cutting) }
	return l.run(func() error { return d.format(ctx) })
}
