package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layout"
)

// Host is the platform of this machine; containers run Linux.
func Host() oci.Platform { return normal(oci.Platform{OS: "linux", Architecture: runtime.GOARCH}) }

// Select returns what d is for a platform: of an index the image that is best, and an
// image itself if its config says so. ErrPlatform.
func Select(ctx context.Context, src Source, d oci.Descriptor, want oci.Platform) (oci.Descriptor, error) {
	return newCopier(nil, src, Options{}, func() {}).choose(ctx, d, want, 0, tried{})
}

// tried are the manifests that choose has looked into.
type tried map[digest.Digest]bool

// maxTried is how many of them there may be: only those are looked into of which an
// index does not say what they are for.
const maxTried = 256

// choose returns the image of root that is for a platform: the first that is best.
func (c *copier) choose(ctx context.Context, root oci.Descriptor, want oci.Platform, depth int, seen tried) (oci.Descriptor, error) {
	if depth == maxDepth {
		return root, fmt.Errorf("%w: nested deeper than %d levels", ErrTooMuch, maxDepth)
	}
	if len(seen) == maxTried {
		return root, fmt.Errorf("%w: more than %d manifests that may be for %s", ErrTooMuch, maxTried, want)
	}
	seen[root.Digest] = true
	if !oci.IsIndex(root.MediaType) {
		return root, c.fits(ctx, root, want)
	}
	_, m, err := c.read(ctx, root)
	if err != nil {
		return root, err
	}
	best, rank := -1, 0
	for i, d := range m.Manifests {
		if d.Platform == nil || !layout.IsManifest(d.MediaType) {
			continue
		}
		if r := Match(want, *d.Platform); r > rank {
			best, rank = i, r
		}
	}
	if best >= 0 {
		d := m.Manifests[best]
		d.Annotations, d.Platform = nil, nil
		if oci.IsIndex(d.MediaType) {
			return c.choose(ctx, d, want, depth+1, seen)
		}
		return d, nil
	}
	// An index of one image need not say what that is for, and one of indexes does not.
	for _, d := range m.Manifests {
		if d.Platform != nil || !layout.IsManifest(d.MediaType) || seen[d.Digest] {
			continue
		}
		if found, err := c.choose(ctx, d, want, depth+1, seen); err == nil || ctx.Err() != nil || errors.Is(err, ErrTooMuch) {
			return found, err
		}
	}
	return root, fmt.Errorf("%w %s", ErrPlatform, want)
}

// fits returns ErrPlatform for an image whose config says that it is for another
// platform than want. What is no image is for all.
func (c *copier) fits(ctx context.Context, d oci.Descriptor, want oci.Platform) error {
	raw, m, err := c.read(ctx, d)
	if err == nil {
		c.chosen, c.manifest = d.Digest, raw
	}
	if err != nil || len(m.Blobs) == 0 || !oci.IsImageConfig(m.Blobs[0].MediaType) {
		return err
	}
	const maxConfig = 8 << 20
	config := m.Blobs[0]
	if config.Size > maxConfig {
		return fmt.Errorf("%w: config of %d bytes", ErrTooMuch, config.Size)
	}
	r, err := c.openConfig(ctx, config)
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err = io.ReadAll(io.LimitReader(r, config.Size))
	if err != nil {
		return err
	}
	var is oci.ImageConfig
	if err := json.Unmarshal(raw, &is); err != nil {
		return fmt.Errorf("config %s: %w", config.Digest, err)
	}
	if is.OS != "" && Match(want, is.Platform) == 0 {
		return fmt.Errorf("%w %s: it is for %s", ErrPlatform, want, is.Platform)
	}
	return nil
}

// Match says how well an image for is runs on want: 0 not at all, and the more the
// better. As containerd has it: an architecture goes by its other names too, a
// processor runs what is for an earlier version of it and for the narrower one before
// it, and os.version is compared, to the build, where both have one.
func Match(want, is oci.Platform) int {
	want, is = normal(want), normal(is)
	if want.OS != is.OS || want.OSVersion != "" && is.OSVersion != "" && build(want.OSVersion) != build(is.OSVersion) {
		return 0
	}
	all := runs(want.Architecture, want.Variant)
	if i := slices.Index(all, [2]string{is.Architecture, is.Variant}); i >= 0 {
		return len(all) - i
	}
	return 0
}

// runs lists what an architecture and variant run, the best first.
func runs(architecture, variant string) (all [][2]string) {
	versions := map[string][]string{
		"amd64": {"v4", "v3", "v2", "v1"},
		"arm":   {"v8", "v7", "v6", "v5"},
		"arm64": {"v9", "v8"},
	}[architecture]
	at := slices.Index(versions, variant)
	if at < 0 {
		return [][2]string{{architecture, variant}}
	}
	for _, v := range versions[at:] {
		all = append(all, [2]string{architecture, v})
	}
	switch architecture {
	case "amd64":
		all = append(all, [2]string{"386", ""})
	case "arm64":
		all = append(all, runs("arm", "v8")...)
	}
	return all
}

// build is the part of a Windows version that must agree: 10.0.17763 of
// 10.0.17763.1098.
func build(version string) string {
	parts := strings.Split(version, ".")
	return strings.Join(parts[:min(3, len(parts))], ".")
}

// normal gives a platform the names that Go has for it, and the variant that is meant
// where none stands there.
func normal(p oci.Platform) oci.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	switch p.Architecture {
	case "i386", "i686", "x86":
		p.Architecture, p.Variant = "386", ""
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if len(p.Variant) == 1 && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	switch {
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	case p.Architecture == "arm64" && p.Variant == "":
		p.Variant = "v8"
	case p.Architecture == "amd64" && p.Variant == "":
		p.Variant = "v1"
	}
	return p
}
