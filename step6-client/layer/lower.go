package layer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// lower is what the layers below show of the folders that a layer only passes
// through. They must look the same through it, but overlayfs takes what it says of a
// folder from the topmost layer that has it.
//
// All is done when the layer is unpacked and verified: what an entry at its end
// says of a folder, or hides, counts for what lies in it from the beginning.
type lower struct {
	roots []*os.File // topmost first
	u     *unpacker
	left  int // folders that the layer does not list and that were not come by yet
}

// place is a folder of the layer.
type place struct {
	above *place
	path  string
	// shown are the lower layers that are merged here, by their index and topmost
	// first, once it is known.
	shown   []int
	isKnown bool
}

// inherit gives the folders that the layer in root does not list what the layers
// in these folders say of them.
func (u *unpacker) inherit(root *os.File, folders []string) error {
	l := &lower{u: u}
	for _, m := range u.marks {
		if m&implicit != 0 {
			l.left++
		}
	}
	if l.left == 0 || len(folders) == 0 {
		return nil
	}
	defer l.close()
	top := &place{isKnown: true}
	for i, path := range folders {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		l.roots = append(l.roots, f)
		top.shown = append(top.shown, i)
		if hides, err := isOpaque(int(f.Fd())); err != nil || hides {
			if err != nil {
				return &os.PathError{Op: "getxattr", Path: path, Err: err}
			}
			break
		}
	}
	return l.settle(root, top)
}

func (l *lower) close() {
	for _, f := range l.roots {
		f.Close()
	}
}

// settle gives a folder, and those in it, what lower layers say of them.
func (l *lower) settle(dir *os.File, p *place) error {
	was, err := fstat(int(dir.Fd()))
	if err != nil {
		return err
	}
	known := l.u.marks[was.Ino]
	if known&implicit != 0 {
		l.left--
	}
	if l.left > 0 && known&opaque == 0 { // in an opaque one nothing comes from below
		if err := l.settleIn(dir, p); err != nil {
			return err
		}
		if err := restoreTimes(int(dir.Fd()), was); err != nil { // it was read
			return err
		}
	}
	if known&implicit == 0 {
		return nil
	}
	if err := l.describe(int(dir.Fd()), p); err != nil {
		return &Error{Entry: orDot(p.path), Err: fmt.Errorf("as the lower layers have it: %w", err)}
	}
	return nil
}

// settleIn settles the folders in dir.
func (l *lower) settleIn(dir *os.File, p *place) error {
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if err := l.settleOne(dir, name, p); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a folder: %w", err)
		}
	}
}

func (l *lower) settleOne(dir *os.File, name string, p *place) error {
	st, err := lstatat(int(dir.Fd()), name)
	if err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return err
	}
	fd, err := openat(int(dir.Fd()), name, openFolder, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	child := &place{above: p, path: name}
	if p.path != "" {
		child.path = p.path + "/" + name
	}
	return l.settle(f, child)
}

// describe gives the folder fd what the topmost of the lower layers says of it, if
// one has it. Reading has changed when theirs was used last, which is nothing that a
// layer should depend on.
func (l *lower) describe(fd int, p *place) error {
	shown, err := l.shown(p)
	if err != nil || len(shown) == 0 {
		return err
	}
	from, err := openIn(int(l.roots[shown[0]].Fd()), p.path, resolveNoSymlinks)
	if err != nil {
		return err
	}
	defer syscall.Close(from)
	st, err := fstat(from)
	if err != nil {
		return err
	}
	st.Atim = st.Mtim
	if l.u.owner == nil {
		st.Mode |= 0o700 // as in mode
	}
	return copyDescription(fd, from, st, l.u.owner != nil)
}

// shown tells which lower layers are merged at p. Each lists what is in its own
// folder until one has something else there, or hides the rest: a whiteout, an
// opaque folder, a file, or a symbolic link, which is not followed, as overlayfs
// does not follow it either when it looks for what to merge.
func (l *lower) shown(p *place) ([]int, error) {
	if p.isKnown {
		return p.shown, nil
	}
	above, err := l.shown(p.above)
	if err != nil {
		return nil, err
	}
	for _, i := range above {
		hides, err := l.look(i, p)
		if err != nil {
			return nil, err
		}
		if hides {
			break
		}
	}
	p.isKnown = true
	return p.shown, nil
}

// look looks for p in one of the layers, and tells whether that hides the others.
func (l *lower) look(i int, p *place) (hides bool, err error) {
	fd, err := openIn(int(l.roots[i].Fd()), p.path, resolveNoSymlinks)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return false, nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return true, nil
	case errors.Is(err, syscall.ENAMETOOLONG):
		return false, exceeds("symbolic links make the path too long")
	case err != nil:
		return false, err
	}
	defer syscall.Close(fd)
	p.shown = append(p.shown, i)
	return isOpaque(fd)
}
