package dir

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
)

// op is one step of a record: what becomes of one file. Paths are below the root of
// the bucket.
type op struct {
	kind opKind
	path string
	// data is the bytes. For a file that is moved it is where from, and file is what
	// tells it from others.
	data []byte
	file identity
}

// identity tells a file from others that had, or have, the same path: each large file
// gets a time of its own (Bucket.stamp). It is kept by a rename.
type identity struct {
	size     int64
	modified int64 // in nanoseconds since 1970
}

func identityOf(fi os.FileInfo) identity { return identity{fi.Size(), fi.ModTime().UnixNano()} }

type opKind byte

const (
	opPut    opKind = 1 + iota // the file holds data
	opMove                     // the file is the one that was at the path data
	opRemove                   // there is no file
	opBegin                    // the file begins with data
)

// inline is how many bytes a file may have to be in the journal itself. A larger
// one is synced where it is, and the journal tells where it is moved to.
const inline = 64 << 10

// errRecord says that a record is none of ours, though its checksum is right.
var errRecord = errors.New("dir: record of the journal cannot be read")

// record is a list of ops as it stands in the journal: for each its kind, and path
// and data each with its length before it, as varints.
type record []byte

func (r *record) add(kind opKind, path string, data []byte) {
	raw := append(*r, byte(kind))
	raw = binary.AppendUvarint(raw, uint64(len(path)))
	raw = append(raw, path...)
	raw = binary.AppendUvarint(raw, uint64(len(data)))
	*r = append(raw, data...)
}

func (r *record) put(path string, data []byte)   { r.add(opPut, path, data) }
func (r *record) begin(path string, data []byte) { r.add(opBegin, path, data) }
func (r *record) remove(path string)             { r.add(opRemove, path, nil) }

func (r *record) move(path, from string, file identity) {
	raw := binary.AppendVarint(nil, file.size)
	raw = binary.AppendVarint(raw, file.modified)
	r.add(opMove, path, append(raw, from...))
}

func (r record) ops() (ops []op, err error) {
	for len(r) > 0 {
		o := op{kind: opKind(r[0])}
		path, rest, ok := cutBytes(r[1:])
		if ok {
			o.data, rest, ok = cutBytes(rest)
		}
		o.path = string(path)
		if ok && o.kind == opMove {
			ok = o.cutIdentity()
		}
		if !ok || o.kind < opPut || o.kind > opBegin || !fs.ValidPath(o.path) {
			return nil, errRecord
		}
		ops = append(ops, o)
		r = rest
	}
	return ops, nil
}

// cutIdentity takes the identity off the data of a move, whose rest is where from.
func (o *op) cutIdentity() (ok bool) {
	size, n := binary.Varint(o.data)
	modified, m := binary.Varint(o.data[max(n, 0):])
	if n <= 0 || m <= 0 {
		return false
	}
	o.file, o.data = identity{size, modified}, o.data[n+m:]
	return fs.ValidPath(string(o.data))
}

// cutBytes reads a length and as many bytes.
func cutBytes(raw []byte) (data, rest []byte, ok bool) {
	length, n := binary.Uvarint(raw)
	if n <= 0 || length > uint64(len(raw)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return raw[n:end:end], raw[end:], true
}
