package layer

import (
	"archive/tar"
	"errors"
	"io"
	"strings"
	"syscall"
	"time"
)

// unpacker puts the entries of one layer into an empty folder.
type unpacker struct {
	tree     *tree
	meter    *meter
	limits   Limits
	overlay  string          // what overlayfs's attributes start with; "" to keep in marks what they say
	marks    map[uint64]mark // nil where nobody asks for them
	removals bool            // whether the layer removes anything
	owner    func(uid, gid int) (int, int, error)
	devices  bool
	skip     func(entry, why string)
	entry    *tar.Header // that is being put
	buf      []byte
}

// mark is what is known of a folder, by its inode, when the layer is going to be
// merged into others, or looked at beside them. What is not marked is as the layer
// lists it.
type mark uint8

const (
	implicit mark = 1 << iota // not listed: made because something lies in it
	opaque                    // hides what lower layers have in it
)

// begin makes the root a folder that nothing is known of yet.
func (u *unpacker) begin() error { return u.made(u.tree.root, false) }

// run puts all entries.
func (u *unpacker) run(tr *tar.Reader) error {
	defer func() { _ = u.tree.leave() }() // after an error nobody needs the times
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return u.tree.leave()
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // a setting of the process; names are checked below
			return err
		}
		u.entry = h
		if err := u.put(h, tr); err != nil {
			return &Error{Entry: h.Name, Err: err}
		}
	}
}

// put puts one entry, whose content is body.
func (u *unpacker) put(h *tar.Header, body io.Reader) error {
	if err := u.meter.entry(); err != nil {
		return err
	}
	if err := checkHeader(h, u.limits); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := entryName(h, u.limits)
	if err != nil {
		return err
	}
	if name == "" {
		return u.putRoot(h)
	}
	dir, base := split(name)
	parent, err := u.enter(dir)
	if err != nil {
		return err
	}
	removed, all, err := whiteout(base)
	switch {
	case err != nil:
		return err
	case all:
		return u.hideAll(parent)
	case removed != "":
		return u.hide(parent, removed)
	}
	return u.putNode(parent, name, h, body)
}

// entryName is the clean name of an entry that may be put.
func entryName(h *tar.Header, l Limits) (string, error) {
	name, err := cleanName(h.Name, l)
	if err != nil {
		return "", err
	}
	dir, base := split(name)
	if err := checkFolders(dir); err != nil {
		return "", err
	}
	if h.Typeflag != tar.TypeDir && (strings.HasSuffix(h.Name, "/") || name == "") {
		// GNU tar and libarchive make a folder of such a file, others a file.
		return "", invalid("the name of a folder for something else")
	}
	if strings.HasPrefix(base, whiteoutPrefix) && h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink {
		return "", invalid("a whiteout that is no file")
	}
	return name, nil
}

// checkHeader refuses what no honest program writes, and what programs read in
// different ways.
func checkHeader(h *tar.Header, l Limits) error {
	records := 0
	for key, value := range h.PAXRecords {
		records += len(key) + len(value)
		if h.Typeflag == tar.TypeXGlobalHeader && (key == "path" || key == "linkpath" || key == "size" || strings.HasPrefix(key, "GNU.sparse")) {
			return invalid("a global header that changes %s", key)
		}
	}
	if records > l.Records {
		return exceeds("%d bytes of PAX records", records)
	}
	if !isID(h.Uid) || !isID(h.Gid) {
		return invalid("owner %d:%d", h.Uid, h.Gid)
	}
	version := h.PAXRecords["GNU.sparse.major"] + "." + h.PAXRecords["GNU.sparse.minor"]
	if version != "." && version != "0.0" && version != "0.1" && version != "1.0" {
		return invalid("sparse format %q", version)
	}
	return nil
}

// isID tells whether n is a user or a group. The last number of 32 bits is not: to
// chown(2) it says that nothing changes.
func isID(n int) bool { return n >= 0 && int64(n) < 1<<32-1 }

// isSparse tells whether the archive left out the holes of the file.
func isSparse(h *tar.Header) bool {
	return h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != ""
}

// enter opens the folder that an entry lies in.
func (u *unpacker) enter(dir string) (int, error) {
	fd, err := u.tree.enter(dir)
	switch err {
	case syscall.ELOOP:
		return fd, invalid("too many symbolic links on the way")
	case syscall.ENOTDIR:
		return fd, invalid("lies in something that is no folder")
	case syscall.ENAMETOOLONG:
		return fd, exceeds("symbolic links make the path too long")
	case syscall.ENOSYS:
		return fd, errors.New("the kernel has no openat2(2): Linux 5.6 or later is needed")
	}
	return fd, err
}

// putRoot sets what is known of the root itself.
func (u *unpacker) putRoot(h *tar.Header) error {
	if err := u.tree.leave(); err != nil {
		return err
	}
	return u.listed(u.tree.root, h, false)
}

// made is told of a folder that was made for what lies in it. It counts as an
// entry: a layer could otherwise have 255 for each that it lists.
func (u *unpacker) made(fd int, isOpaque bool) error {
	if err := u.meter.entry(); err != nil {
		return err
	}
	if err := u.mark(fd, func(mark) mark { return implicit }); err != nil {
		return err
	}
	if isOpaque {
		if err := u.makeOpaque(fd); err != nil {
			return err
		}
	}
	var when time.Time
	if u.entry != nil {
		when = u.entry.ModTime
	}
	return u.describe(fd, &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: when})
}

// mark changes what is known of the folder fd.
func (u *unpacker) mark(fd int, change func(mark) mark) error {
	if u.marks == nil {
		return nil
	}
	st, err := fstat(fd)
	if err != nil {
		return err
	}
	if m := change(u.marks[st.Ino]); m != 0 {
		u.marks[st.Ino] = m
	} else {
		delete(u.marks, st.Ino)
	}
	return nil
}

// listed describes the folder fd, which is new or was there, as h does.
func (u *unpacker) listed(fd int, h *tar.Header, isNew bool) error {
	err := u.mark(fd, func(m mark) mark {
		if isNew {
			return 0 // the inode may have been another folder's
		}
		return m &^ implicit
	})
	if err != nil {
		return err
	}
	return u.describe(fd, h)
}
