package cli

import (
	"context"
	"errors"
	"flag"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/image"
)

// inspection is all that there is to know of an image without its layers.
type inspection struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	// Local tells that it was found in the local store.
	Local bool `json:"local"`
	// Platforms are the entries of an index.
	Platforms []blobJSON `json:"platforms"`
	// Image is the one of the index that was asked for, if it has it.
	Image      *imageInspection `json:"image,omitempty"`
	Referrers  []blobJSON       `json:"referrers"`
	Signatures []string         `json:"signatures"`
}

type imageInspection struct {
	Platform     string        `json:"platform,omitempty"`
	Digest       digest.Digest `json:"digest"`
	MediaType    string        `json:"mediaType"`
	ArtifactType string        `json:"artifactType,omitempty"`
	// Size is that of all of it as it travels.
	Size      int64               `json:"size"`
	ConfigID  digest.Digest       `json:"configDigest"`
	Created   time.Time           `json:"created,omitzero"`
	Author    string              `json:"author,omitempty"`
	Config    oci.ContainerConfig `json:"config,omitzero"`
	Layers    []blobJSON          `json:"layers"`
	History   []oci.History       `json:"history"`
	Annotated map[string]string   `json:"annotations,omitempty"`
}

// inspect is "inspect".
func inspect(fs *flag.FlagSet) action {
	var f inspectFlags
	f.storeFlag.define(fs)
	f.access.Flags(fs)
	fs.StringVar(&f.platform, "platform", "", "`os/architecture[/variant]` of the image of an index to show; this machine's unless told")
	fs.BoolVar(&f.remote, "remote", false, "ask the registry, whatever is here")
	asJSON := jsonFlag(fs)
	return func(ctx context.Context, args []string, s Streams) error {
		i, err := f.inspect(ctx, args[0], s)
		if err != nil {
			return about(args[0], err)
		}
		if *asJSON {
			return printJSON(s.Out, i)
		}
		return i.print(s.Out)
	}
}

type inspectFlags struct {
	storeFlag
	access   place.Access
	platform string
	remote   bool
}

// inspect looks at what was typed: a place that is no registry, an image that is here,
// or one in its registry.
func (f *inspectFlags) inspect(ctx context.Context, typed string, s Streams) (*inspection, error) {
	if place.IsRegistry(typed) && !f.remote {
		local, err := f.open(ctx)
		if err != nil {
			return nil, err
		}
		defer local.Close()
		i, err := local.Find(ctx, typed)
		if err == nil {
			from := &place.Source{Source: local, Reference: i.Name, Name: i.Name}
			if i.Name == "" || i.Descriptor.Digest.String() == typed {
				from.Reference = i.Descriptor.Digest.String()
			}
			return f.look(ctx, from, true)
		}
		if _, wrong := digest.Parse(typed); !errors.Is(err, layout.ErrUnknown) || wrong == nil {
			return nil, err
		}
	}
	from, err := place.Places{Access: f.access, In: s.In}.Source(ctx, typed)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return f.look(ctx, from, false)
}

func (f *inspectFlags) look(ctx context.Context, from *place.Source, local bool) (*inspection, error) {
	d, err := from.Resolve(ctx, from.Reference)
	if err != nil {
		return nil, err
	}
	i := &inspection{Name: from.Name, Digest: d.Digest, MediaType: d.MediaType, Local: local, Platforms: []blobJSON{}, Referrers: []blobJSON{}, Signatures: []string{}}
	if oci.IsIndex(d.MediaType) {
		raw, err := from.Manifest(ctx, d)
		if err != nil {
			return nil, err
		}
		m, err := manifest.Parse(d.MediaType, raw)
		if err != nil {
			return nil, err
		}
		i.Platforms = blobsOf(m.Manifests)
	}
	if i.Image, err = f.image(ctx, from, d); err != nil {
		return nil, err
	}
	return i, i.related(ctx, from, d)
}

// image is the one that d is, or leads to for the platform that was asked for. That an
// index has none for this machine is no error if nobody asked.
func (f *inspectFlags) image(ctx context.Context, from transfer.Source, d oci.Descriptor) (*imageInspection, error) {
	platform := transfer.Host()
	if f.platform != "" {
		p, err := (&platformFlag{f.platform}).platform()
		if err != nil || p == nil {
			return nil, err
		}
		platform = *p
	}
	if oci.IsIndex(d.MediaType) || f.platform != "" {
		var err error
		if d, err = transfer.Select(ctx, from, d, platform); err != nil {
			if f.platform == "" && (errors.Is(err, transfer.ErrPlatform) || errors.Is(err, layout.ErrUnknown)) {
				return nil, nil
			}
			return nil, err
		}
	}
	i, err := image.Read(ctx, from, d)
	if err != nil && !errors.Is(err, image.ErrNoImage) { // what is none has layers all the same
		return nil, err
	}
	return inspectionOf(i), nil
}

func inspectionOf(i image.Image) *imageInspection {
	shown := &imageInspection{
		Digest: i.Descriptor.Digest, MediaType: i.Descriptor.MediaType, ArtifactType: i.Manifest.ArtifactType, Size: i.Size(),
		ConfigID: i.Manifest.Config.Digest, Created: i.Config.Created, Author: i.Config.Author, Config: i.Config.Config,
		Layers: blobsOf(i.Manifest.Layers), History: i.Config.History, Annotated: i.Manifest.Annotations,
	}
	if i.Config.OS != "" {
		shown.Platform = i.Config.Platform.String()
	}
	for n, d := range i.Config.RootFS.DiffIDs {
		shown.Layers[n].DiffID = d
	}
	if shown.History == nil {
		shown.History = []oci.History{}
	}
	return shown
}

// related finds what refers to d.
func (i *inspection) related(ctx context.Context, from *place.Source, d oci.Descriptor) error {
	if r, ok := from.Source.(transfer.Referrers); ok {
		list, err := r.Referrers(ctx, d.Digest)
		if err != nil {
			return err
		}
		i.Referrers = blobsOf(list)
	}
	tags, err := transfer.Signatures(ctx, from, from.Reference, d.Digest)
	i.Signatures = append(i.Signatures, tags...)
	return err
}
