package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/layer"
	"shibafu.dev/step6-client/report"
)

// layerAdd is "layer add": a folder or a tar becomes a layer with a name.
func layerAdd(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	owner := fs.String("owner", "", "`uid:gid` that owns all of it, or keep; a folder's is 0:0 unless told, that of a tar is kept")
	when := fs.String("time", "", "`time` of last change of all of it, as 2006-01-02T15:04:05Z or in seconds; $SOURCE_DATE_EPOCH unless told")
	return func(ctx context.Context, args []string, s Streams) error {
		created, err := timeOr(*when)
		if err != nil {
			return err
		}
		from, err := openMaterial(args[1], s.In)
		if err != nil {
			return about(args[1], err)
		}
		defer from.Close()
		o := layer.MakeOptions{Time: created, Skipped: func(entry, why string) {
			fmt.Fprintf(s.Err, "left out: %s: %s\n", safe(entry), why)
		}}
		if o.Owner, err = ownerOf(*owner, from.folder != ""); err != nil {
			return err
		}
		local, err := f.create(ctx, waitingOn(s))
		if err != nil {
			return err
		}
		l, err := local.AddLayer(ctx, args[0], created, func(w io.Writer) (layer.Made, error) { return from.write(ctx, w, o) })
		if err = errors.Join(about(args[0], err), local.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%s %s\n", l.Name, l.Descriptor.Digest)
		return err
	}
}

// material is what a layer is made from: a folder, or a tar.
type material struct {
	folder string
	tar    io.ReadCloser
}

func openMaterial(path string, stdin io.Reader) (*material, error) {
	if path == "-" {
		return &material{tar: io.NopCloser(stdin)}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return &material{folder: path}, errors.Join(err, f.Close())
	}
	return &material{tar: f}, nil
}

// Close lets go of the tar.
func (m *material) Close() error {
	if m.tar == nil {
		return nil
	}
	return m.tar.Close()
}

func (m *material) write(ctx context.Context, w io.Writer, o layer.MakeOptions) (layer.Made, error) {
	if m.tar == nil {
		return layer.FromFolder(ctx, w, m.folder, o)
	}
	r, end, err := layer.OpenTar(ctx, m.tar)
	if err != nil {
		return layer.Made{}, err
	}
	defer end()
	made, err := layer.FromTar(ctx, w, r, o)
	if err == nil { // a compression that breaks off behind the archive's end shows now
		_, err = io.Copy(io.Discard, r)
	}
	return made, err
}

// ownerOf reads the value of --owner. Whoever makes a layer of a folder owns it by
// chance: the numbers mean somebody else in the image.
func ownerOf(text string, folder bool) (func(uid, gid int) (int, int, error), error) {
	switch {
	case text == "keep", text == "" && !folder:
		return nil, nil
	case text == "":
		text = "0:0"
	}
	user, group, _ := strings.Cut(text, ":")
	uid, err := strconv.ParseUint(user, 10, 31)
	gid, groupErr := strconv.ParseUint(group, 10, 31)
	if err = errors.Join(err, groupErr); err != nil {
		return nil, fmt.Errorf("%w: --owner: want UID:GID in numbers, or keep", cmdline.ErrUsage)
	}
	return func(int, int) (int, int, error) { return int(uid), int(gid), nil }, nil
}

// timeOr reads a time, or where there is none that of the environment. It may be zero.
//
// Source: reproducible-builds.org, SOURCE_DATE_EPOCH.
func timeOr(text string) (time.Time, error) {
	what := "--time"
	if text == "" {
		text, what = os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	}
	if text == "" {
		return time.Time{}, nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%w: %s: want 2006-01-02T15:04:05Z, or seconds since 1970", cmdline.ErrUsage, what)
	}
	return t.UTC(), nil
}

// layerList is "layer ls".
func layerList(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	asJSON := jsonFlag(fs)
	return func(ctx context.Context, _ []string, s Streams) error {
		local, err := f.open(ctx)
		if err != nil {
			return err
		}
		defer local.Close()
		all, err := local.Layers(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(s.Out, layersJSON(all))
		}
		return table(s.Out, "NAME\tSIZE\tDIGEST", len(all), func(i int) string {
			return strings.Join([]string{all[i].Name, report.Size(all[i].Descriptor.Size), shown(all[i].Descriptor.Digest, false)}, "\t")
		})
	}
}

// layerRemove is "layer rm".
func layerRemove(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	return func(ctx context.Context, args []string, s Streams) error {
		local, err := f.create(ctx, waitingOn(s))
		if err != nil {
			return err
		}
		for _, name := range args {
			if err = local.RemoveLayer(ctx, name); err != nil {
				break
			}
			fmt.Fprintln(s.Out, name)
		}
		return errors.Join(err, local.Close())
	}
}
