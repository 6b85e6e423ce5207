package cli

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"

	"shibafu.dev/step6-client/place"

	"shibafu.dev/shibafu/internal/store"
)

// partial is a command line that is not written to its end.
type partial struct {
	command
	flags   *flag.FlagSet
	args    int        // how many arguments there are
	awaits  *flag.Flag // whose value comes next
	ended   bool       // no more flags follow
	foreign bool       // what follows is another program's
}

// read goes through what is there. Values of flags are set, as the store may be one.
func (p *partial) read(words []string) {
	for _, w := range words {
		name, value, hasValue := strings.Cut(w, "=")
		switch {
		case p.awaits != nil:
			p.flags.Set(p.awaits.Name, w) // a wrong one is found out when it is run
			p.awaits = nil
		case w == "--" && !p.ended:
			p.ended = true
		case !p.ended && len(w) > 1 && w[0] == '-':
			f := p.flags.Lookup(strings.TrimLeft(name, "-"))
			if f != nil && hasValue {
				p.flags.Set(f.Name, value)
			} else if f != nil && !isBool(f) {
				p.awaits = f
			}
		default:
			p.args++
			p.foreign = p.command.foreign
		}
	}
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// flagWords are the flags.
func (p *partial) flagWords() (all []string) {
	p.flags.VisitAll(func(f *flag.Flag) {
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		_, usage := flag.UnquoteUsage(f)
		all = append(all, dashes+f.Name+"\t"+usage)
	})
	return append(all, "--help\texplain the command")
}

// value is what the value of a flag may be; begin stands before it in its word.
func (p *partial) value(ctx context.Context, f *flag.Flag, written, begin string) completed {
	if v, ok := f.Value.(interface{ Choices() []string }); ok {
		return completed{onlyWords, prefixed(begin, v.Choices())}
	}
	switch what, _ := flag.UnquoteUsage(f); what {
	case "file":
		return completed{more: files}
	case "folder":
		return completed{more: folders}
	case "names": // of layers, behind one another
		return completed{onlyWords, prefixed(begin+written[:strings.LastIndexByte(written, ',')+1], p.layers(ctx))}
	case "host":
		return completed{onlyWords, prefixed(begin, p.hosts(ctx))}
	case "os/architecture[/variant]":
		return completed{onlyWords, prefixed(begin, []string{"all", "linux/386", "linux/amd64", "linux/arm/v7", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x"})}
	}
	return completed{more: onlyWords}
}

// argument is what the next argument may be.
func (p *partial) argument(ctx context.Context) completed {
	kind := nothing
	if n := len(p.takes); n > 0 && (p.most < 0 || p.args < p.most || p.command.foreign) {
		kind = p.takes[min(p.args, n-1)]
	}
	switch kind {
	case anImage:
		return completed{onlyWords, p.images(ctx)}
	case aPlace:
		return completed{files, append(p.images(ctx), "oci:\tan image layout", "docker-archive:\ta file of docker save", "oci-archive:\tthe same")}
	case aLayer:
		return completed{onlyWords, p.layers(ctx)}
	case aHost:
		return completed{onlyWords, p.hosts(ctx)}
	case aFile:
		return completed{more: files}
	case aLevel:
		return completed{onlyWords, []string{"debug", "info", "warn", "error"}}
	case aShell:
		return completed{onlyWords, slices.Sorted(maps.Keys(shells()))}
	}
	return completed{more: onlyWords}
}

// open opens the store that the command line is about.
func (p *partial) open(ctx context.Context) (*store.Store, error) {
	folder, err := place.DefaultStore()
	if f := p.flags.Lookup("store"); f != nil {
		folder, err = f.Value.String(), nil
	}
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, folder)
}

// images are the names of those that are here.
func (p *partial) images(ctx context.Context) (names []string) {
	local, err := p.open(ctx)
	if err != nil {
		return nil
	}
	defer local.Close()
	list, _ := local.Images(ctx)
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

func (p *partial) layers(ctx context.Context) (names []string) {
	local, err := p.open(ctx)
	if err != nil {
		return nil
	}
	defer local.Close()
	list, _ := local.Layers(ctx)
	for _, l := range list {
		names = append(names, l.Name)
	}
	return names
}

// hosts are those that the images here come from.
func (p *partial) hosts(ctx context.Context) []string {
	all := []string{"docker.io"}
	for _, name := range p.images(ctx) {
		if r, err := place.Complete(name); err == nil {
			all = append(all, r.Host)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func prefixed(begin string, words []string) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = begin + w
	}
	return all
}
