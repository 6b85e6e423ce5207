package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/report"

	"shibafu.dev/shibafu/internal/image"
	"shibafu.dev/shibafu/internal/store"
)

// imageJSON is an image in a list.
type imageJSON struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Platforms []string      `json:"platforms"`
	Size      int64         `json:"size"`
}

// images is "images": what the local store has.
func images(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	asJSON := jsonFlag(fs)
	digests := fs.Bool("digests", false, "print digests in full")
	return func(ctx context.Context, _ []string, s Streams) error {
		local, err := f.open(ctx)
		if err != nil {
			return err
		}
		defer local.Close()
		list, err := listImages(ctx, local, s)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(s.Out, list)
		}
		return table(s.Out, "NAME\tPLATFORMS\tSIZE\tDIGEST", len(list), func(i int) string {
			l := list[i]
			return strings.Join([]string{l.Name, strings.Join(l.Platforms, " "), report.Size(l.Size), shown(l.Digest, *digests)}, "\t")
		})
	}
}

// listImages says of an image that cannot be read no more than its name: it can be
// removed by that, or pulled again.
func listImages(ctx context.Context, local *store.Store, s Streams) ([]imageJSON, error) {
	found, err := local.Images(ctx)
	if err != nil {
		return nil, err
	}
	list := []imageJSON{}
	for _, i := range found {
		total, err := image.Sum(ctx, local, i.Descriptor)
		if err != nil {
			fmt.Fprintf(s.Err, "%s: %s\n", i.Name, safe(err.Error()))
		}
		l := imageJSON{Name: i.Name, Digest: i.Descriptor.Digest, MediaType: i.Descriptor.MediaType, Size: total.Bytes, Platforms: []string{}}
		for _, p := range total.Platforms {
			l.Platforms = append(l.Platforms, p.String())
		}
		list = append(list, l)
	}
	return list, nil
}

// table prints lines of cells with tabs between them under a heading; nothing where
// there are none.
func table(w io.Writer, heading string, n int, line func(int) string) error {
	if n == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, heading)
	for i := range n {
		fmt.Fprintln(t, strings.Map(keepTabs, line(i)))
	}
	return t.Flush()
}

// keepTabs is printable, but for the tabs between cells.
func keepTabs(r rune) rune {
	if r == '\t' {
		return r
	}
	return printable(r)
}

// shown is a digest for people: in full, or its beginning, which is enough to name an
// image that is here.
func shown(d digest.Digest, full bool) string {
	if full {
		return d.String()
	}
	return d.Hex()[:12]
}
