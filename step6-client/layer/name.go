package layer

import (
	"path"
	"strings"
)

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	maxComponent   = 255 // what Linux takes
)

// cleanName makes of an entry's name, or of what a hard link names, a path below
// the root: no slash at its ends, no "." and no "..", "" for the root itself. A
// leading slash is the image's root, never the host's. Bytes are otherwise kept.
func cleanName(name string, l Limits) (string, error) {
	switch {
	case name == "":
		return "", invalid("empty name")
	case len(name) > l.Path:
		return "", exceeds("name of %d bytes", len(name))
	case strings.IndexByte(name, 0) >= 0:
		return "", invalid("NUL in the name")
	}
	parts := make([]string, 0, 16)
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			// Nobody needs it who means well, and programs differ in what it means behind
			// a symbolic link.
			return "", invalid(`".." in the name`)
		case len(part) > maxComponent:
			return "", exceeds("a part of the name has %d bytes", len(part))
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > l.Depth {
		return "", exceeds("%d folders deep", len(parts))
	}
	return strings.Join(parts, "/"), nil
}

// split cuts a clean path into the folder, "" for the root, and what is in it.
func split(name string) (dir, base string) {
	dir, base = path.Split(name)
	return strings.TrimSuffix(dir, "/"), base
}

// whiteout says what an entry of that base name removes: everything in its folder
// (opaque), or removed, which is "" for an entry that removes nothing.
//
// Source: OCI image specification, layer.md, "Whiteouts".
func whiteout(base string) (removed string, opaque bool, err error) {
	rest, found := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !found:
		return "", false, nil
	case base == opaqueName:
		return "", true, nil
	case rest == "", rest == ".", rest == "..", strings.HasPrefix(rest, whiteoutPrefix):
		// The last are bookkeeping of AUFS, and mean nothing anywhere else.
		return "", false, invalid("a whiteout of nothing that can be named")
	}
	return rest, false, nil
}

// checkFolders refuses a path that lies in a whiteout.
func checkFolders(dir string) error {
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, whiteoutPrefix) {
			return invalid("lies in a whiteout")
		}
	}
	return nil
}
