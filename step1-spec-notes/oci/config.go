package oci

import (
	"encoding/json"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
)

// ImageConfig is the config of a container image: how it was made and how it is
// run. Its digest is the image's ID.
//
// Source: config.md, "Properties".
type ImageConfig struct {
	Created time.Time `json:"created,omitzero"`
	Author  string    `json:"author,omitempty"`
	// The platform's fields stand among those of the config itself.
	Platform
	// Config is what a container starts with unless told otherwise.
	Config  ContainerConfig `json:"config,omitzero"`
	RootFS  RootFS          `json:"rootfs"`
	History []History       `json:"history,omitempty"`
}

// ContainerConfig holds the execution parameters.
//
// Source: config.md, "Properties", config.
type ContainerConfig struct {
	// User is user, uid, user:group or any mix of the two.
	User string `json:"User,omitempty"`
	// ExposedPorts has keys such as "80", "80/tcp" and "53/udp".
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	// Env is a list of NAME=value.
	Env []string `json:"Env,omitempty"`
	// Entrypoint is the command; Cmd its arguments, or the command if there is no
	// Entrypoint.
	Entrypoint []string            `json:"Entrypoint,omitempty"`
	Cmd        []string            `json:"Cmd,omitempty"`
	Volumes    map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir string              `json:"WorkingDir,omitempty"`
	Labels     map[string]string   `json:"Labels,omitempty"`
	// StopSignal is a name such as "SIGTERM" or "SIGRTMIN+3".
	StopSignal string `json:"StopSignal,omitempty"`
	// ArgsEscaped is Docker's, for Windows, and deprecated.
	ArgsEscaped bool `json:"ArgsEscaped,omitempty"`
}

// RootFSTypeLayers is what RootFS.Type must be.
const RootFSTypeLayers = "layers"

// RootFS names the layers by what they are when unpacked.
type RootFS struct {
	// Type is "layers"; there is no other.
	Type string `json:"type"`
	// DiffIDs are the digests of the uncompressed tar archives, base first. The
	// manifest's layers are the same archives as they travel, mostly compressed, so
	// their digests differ.
	DiffIDs []digest.Digest `json:"diff_ids"`
}

// MarshalJSON writes DiffIDs as a list also where there are none.
func (r RootFS) MarshalJSON() ([]byte, error) {
	type plain RootFS
	if r.DiffIDs == nil {
		r.DiffIDs = []digest.Digest{}
	}
	return json.Marshal(plain(r))
}

// History is one step of how an image was built.
type History struct {
	Created   time.Time `json:"created,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"`
	Author    string    `json:"author,omitempty"`
	Comment   string    `json:"comment,omitempty"`
	// EmptyLayer marks a step that made no layer: the others match DiffIDs one to
	// one.
	EmptyLayer bool `json:"empty_layer,omitempty"`
}
