package oci

// Media types of the OCI image specification, media-types.md.
const (
	MediaTypeDescriptor    = "application/vnd.oci.descriptor.v1+json"
	MediaTypeLayoutHeader  = "application/vnd.oci.layout.header.v1+json"
	MediaTypeImageIndex    = "application/vnd.oci.image.index.v1+json"
	MediaTypeImageManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeImageConfig   = "application/vnd.oci.image.config.v1+json"
	// MediaTypeEmptyJSON is the type of EmptyDescriptor's content.
	MediaTypeEmptyJSON = "application/vnd.oci.empty.v1+json"

	MediaTypeImageLayer     = "application/vnd.oci.image.layer.v1.tar"
	MediaTypeImageLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
	MediaTypeImageLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"

	// The specification deprecates the three that follow; old Windows images have
	// them.
	MediaTypeImageLayerNonDistributable     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	MediaTypeImageLayerNonDistributableGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	MediaTypeImageLayerNonDistributableZstd = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"

	// MediaTypeArtifactManifest was in drafts of 1.1 and was withdrawn; some
	// registries hold manifests of it, whose blobs stand under "blobs".
	MediaTypeArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json"
)

// Media types of Docker's "Image Manifest V 2", from which the OCI's come.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerConfig       = "application/vnd.docker.container.image.v1+json"
	MediaTypeDockerPluginConfig = "application/vnd.docker.plugin.v1+json"

	MediaTypeDockerLayer     = "application/vnd.docker.image.rootfs.diff.tar"
	MediaTypeDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	MediaTypeDockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"

	MediaTypeDockerForeignLayer     = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	MediaTypeDockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

	// Schema 1 is older than content addressing: its layers have no media type and
	// no size. It is known here in order to be refused by name.
	MediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	MediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// IsManifest tells whether mediaType is that of an image manifest, OCI's or
// Docker's: one config and layers. An index is not one. Like all functions here
// it takes the bare type, in lower case and without parameters.
func IsManifest(mediaType string) bool {
	return mediaType == MediaTypeImageManifest || mediaType == MediaTypeDockerManifest
}

// IsIndex tells whether mediaType is that of a list of manifests: an OCI image
// index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == MediaTypeImageIndex || mediaType == MediaTypeDockerManifestList
}

// IsSchema1 tells whether mediaType is that of Docker's first manifest format,
// signed or not.
func IsSchema1(mediaType string) bool {
	return mediaType == MediaTypeDockerSchema1 || mediaType == MediaTypeDockerSchema1Signed
}

// IsImageConfig tells whether mediaType is that of a container image's config.
// Other types of config belong to artifacts and are bytes to a registry.
func IsImageConfig(mediaType string) bool {
	return mediaType == MediaTypeImageConfig || mediaType == MediaTypeDockerConfig
}

// IsLayer tells whether mediaType is that of a layer that is a tar archive,
// compressed or not, distributable or not.
func IsLayer(mediaType string) bool {
	switch mediaType {
	case MediaTypeImageLayer, MediaTypeImageLayerGzip, MediaTypeImageLayerZstd,
		MediaTypeDockerLayer, MediaTypeDockerLayerGzip, MediaTypeDockerLayerZstd:
		return true
	}
	return IsNonDistributable(mediaType)
}

// IsNonDistributable tells whether mediaType is that of a layer whose licence may
// forbid to push it, so that a registry accepts a manifest without having it.
//
// Source: image specification, layer.md, "Non-Distributable Layers".
func IsNonDistributable(mediaType string) bool {
	switch mediaType {
	case MediaTypeImageLayerNonDistributable, MediaTypeImageLayerNonDistributableGzip, MediaTypeImageLayerNonDistributableZstd,
		MediaTypeDockerForeignLayer, MediaTypeDockerForeignLayerGzip:
		return true
	}
	return false
}
