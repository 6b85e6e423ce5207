package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"shibafu.dev/step6-client/report"
)

// sheet is what is printed for people: names and values, in two columns.
type sheet struct{ w *tabwriter.Writer }

// say prints a value, of several lines if need be; nothing for "".
func (s sheet) say(name string, values ...string) {
	for _, v := range values {
		if v == "" {
			continue
		}
		fmt.Fprintf(s.w, "%s\t%s\n", name, safe(v))
		name = ""
	}
}

func (i *inspection) print(w io.Writer) error {
	s := sheet{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	s.say("Name", i.Name)
	s.say("Digest", i.Digest.String())
	s.say("Type", i.MediaType)
	var platforms []string
	for _, p := range i.Platforms {
		platforms = append(platforms, strings.TrimSpace(p.Digest.String()+" "+p.Platform))
	}
	s.say("Platforms", platforms...)
	if i.Image != nil {
		i.Image.print(s, i.Image.Digest != i.Digest)
	}
	var referrers []string
	for _, r := range i.Referrers {
		referrers = append(referrers, r.Digest.String()+" "+r.ArtifactType)
	}
	s.say("Referrers", referrers...)
	s.say("Signatures", i.Signatures...)
	return s.w.Flush()
}

func (i *imageInspection) print(s sheet, ofIndex bool) {
	if ofIndex {
		s.say("Image", i.Digest.String())
	}
	s.say("Platform", i.Platform)
	s.say("Artifact", i.ArtifactType)
	s.say("Size", report.Size(i.Size))
	if !i.Created.IsZero() {
		s.say("Created", i.Created.UTC().Format(time.RFC3339))
	}
	s.say("Author", i.Author)
	c := i.Config
	s.say("User", c.User)
	s.say("Entrypoint", quoted(c.Entrypoint))
	s.say("Cmd", quoted(c.Cmd))
	s.say("Workdir", c.WorkingDir)
	s.say("Env", c.Env...)
	s.say("Ports", strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), " "))
	s.say("Volumes", strings.Join(slices.Sorted(maps.Keys(c.Volumes)), " "))
	s.say("Labels", pairs(c.Labels)...)
	s.say("Annotations", pairs(i.Annotated)...)
	var layers, history []string
	for _, l := range i.Layers {
		layers = append(layers, fmt.Sprintf("%s %9s %s", l.Digest, report.Size(l.Size), l.MediaType))
	}
	s.say("Layers", layers...)
	for _, h := range i.History {
		line := h.CreatedBy
		if h.EmptyLayer {
			line += " (no layer)"
		}
		history = append(history, line)
	}
	s.say("History", history...)
}

// quoted shows where the words of a command end.
func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, fmt.Sprintf("%q", w))
	}
	return strings.Join(all, " ")
}

func pairs(m map[string]string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return all
}
