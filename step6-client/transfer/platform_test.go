package transfer_test

import (
	"errors"
	"fmt"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/transfer"
)

func platform(s, version string) oci.Platform {
	p, err := oci.ParsePlatform(s)
	if err != nil {
		panic(err)
	}
	p.OSVersion = version
	return p
}

func TestMatch(t *testing.T) {
	for _, row := range []struct{ want, is, reason string }{
		{"linux/amd64", "linux/amd64", "the same"},
		{"linux/x86_64", "linux/amd64", "by another name"},
		{"linux/amd64/v3", "linux/amd64", "a later processor runs what is for all"},
		{"linux/amd64", "linux/386", "and what is for the narrower one"},
		{"linux/arm64", "linux/arm64/v8", "v8 is the first of arm64"},
		{"linux/aarch64", "linux/arm64", "by another name"},
		{"linux/arm64", "linux/arm/v7", "as containerd has it"},
		{"linux/arm", "linux/arm/v7", "v7 where none is named"},
		{"linux/arm/v7", "linux/arm/v6", "a later version runs the earlier"},
		{"linux/arm/7", "linux/arm/v7", "a variant without its letter"},
		{"linux/armhf", "linux/arm/v7", "Debian's name"},
		{"linux/riscv64", "linux/riscv64", "one without variants"},
		{"macos/arm64", "darwin/arm64", "by another name"},
	} {
		if transfer.Match(platform(row.want, ""), platform(row.is, "")) == 0 {
			t.Errorf("%s should run %s: %s", row.want, row.is, row.reason)
		}
	}
	for _, row := range []struct{ want, is, reason string }{
		{"linux/amd64", "windows/amd64", "another system"},
		{"linux/amd64", "linux/arm64", "another processor"},
		{"linux/amd64", "linux/amd64/v2", "an earlier one"},
		{"linux/386", "linux/amd64", "a narrower one"},
		{"linux/arm/v6", "linux/arm/v7", "an earlier one"},
		{"linux/arm/v7", "linux/arm64", "a narrower one"},
		{"linux/amd64", "unknown/unknown", "an attestation"},
	} {
		if transfer.Match(platform(row.want, ""), platform(row.is, "")) != 0 {
			t.Errorf("%s should not run %s: %s", row.want, row.is, row.reason)
		}
	}
	if transfer.Match(platform("linux/arm/v7", ""), platform("linux/arm/v7", "")) <= transfer.Match(platform("linux/arm/v7", ""), platform("linux/arm/v6", "")) {
		t.Error("the nearest version should be best")
	}
	windows := func(version string) oci.Platform { return platform("windows/amd64", version) }
	if transfer.Match(windows("10.0.17763.1"), windows("10.0.17763.1098")) == 0 || transfer.Match(windows("10.0.17763.1"), windows("10.0.14393.1")) != 0 {
		t.Error("the builds of Windows should be compared, and no more")
	}
}

func TestSelect(t *testing.T) {
	s := newSample(t)
	entry := func(d oci.Descriptor, p *oci.Platform) oci.Descriptor { d.Platform = p; return d }
	nested := put(t, s, oci.MediaTypeImageIndex, indexOf(entry(s.index, nil)), "nested")
	attested := put(t, s, oci.MediaTypeImageIndex, indexOf(
		entry(s.referrer, &oci.Platform{OS: "unknown", Architecture: "unknown"}),
		entry(s.amd64, &oci.Platform{OS: "linux", Architecture: "amd64"}),
	), "attested")
	amd64, s390x := platform("linux/amd64", ""), platform("linux/s390x", "")
	for name, d := range map[string]oci.Descriptor{"index": s.index, "nested": nested, "attested": attested, "image": s.amd64} {
		if got, err := transfer.Select(t.Context(), s, d, amd64); err != nil || got.Digest != s.amd64.Digest {
			t.Errorf("%s: %s, %v", name, got.Digest, err)
		}
		if _, err := transfer.Select(t.Context(), s, d, s390x); !errors.Is(err, transfer.ErrPlatform) {
			t.Errorf("%s for s390x: %v", name, err)
		}
	}
	// The nearest version is taken, wherever it stands.
	v6, v7 := entry(s.amd64, &oci.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}), entry(s.arm64, &oci.Platform{OS: "linux", Architecture: "arm", Variant: "v7"})
	for _, list := range [][]oci.Descriptor{{v6, v7}, {v7, v6}} {
		d := put(t, s, oci.MediaTypeImageIndex, indexOf(list...), "")
		if got, err := transfer.Select(t.Context(), s, d, platform("linux/arm/v7", "")); err != nil || got.Digest != v7.Digest {
			t.Errorf("v7 of two: %s, %v", got.Digest, err)
		}
	}
	silent := put(t, s, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, s, oci.MediaTypeImageConfig, "{}")}, "")
	if got, err := transfer.Select(t.Context(), s, silent, s390x); err != nil || got.Digest != silent.Digest {
		t.Errorf("an image that does not say: %s, %v", got.Digest, err)
	}
	// What is no image runs nowhere, and is for all.
	artifact := put(t, s, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, s, oci.MediaTypeEmptyJSON, "{}")}, "")
	if got, err := transfer.Select(t.Context(), s, artifact, s390x); err != nil || got.Digest != artifact.Digest {
		t.Errorf("artifact: %s, %v", got.Digest, err)
	}
}

// Indexes that name one another many times, or many images, are looked into so far and
// no further: an image that is fetched to be run must not keep anybody busy.
func TestSelectIsBounded(t *testing.T) {
	s := newSample(t)
	nested := s.arm64
	for range 10 {
		many := make([]oci.Descriptor, 100)
		for n := range many {
			many[n] = nested
		}
		nested = put(t, s, oci.MediaTypeImageIndex, indexOf(many...), "")
	}
	amd64 := platform("linux/amd64", "")
	if _, err := transfer.Select(t.Context(), s, nested, amd64); !errors.Is(err, transfer.ErrPlatform) {
		t.Errorf("one image named very often: %v", err)
	}
	wide := make([]oci.Descriptor, 300)
	for n := range wide {
		wide[n] = image(t, s, "", "arm64", nil, fmt.Sprint(n))
	}
	if _, err := transfer.Select(t.Context(), s, put(t, s, oci.MediaTypeImageIndex, indexOf(wide...), ""), amd64); !errors.Is(err, transfer.ErrTooMuch) {
		t.Errorf("many images: %v", err)
	}
}
