package account

import (
	"bufio"
	"fmt"
	"io"
)

// table reads a file of lines with fields between colons. It holds one line, and of
// that no more than maxField bytes a field, whatever is in the file.
type table struct {
	in     *bufio.Reader
	left   int      // bytes of the file that may still be read
	fields [][]byte // as many as a line may have
	// members says that the last field is a list of names with commas between them.
	// It may have any length and is not kept: listed tells whether wanted was in it.
	members bool
	wanted  string
	listed  bool
}

// newTable reads lines of up to seven fields, as /etc/passwd has.
func newTable(r io.Reader) *table {
	return &table{in: bufio.NewReaderSize(r, 4096), left: MaxFile, fields: make([][]byte, 7)}
}

// newGroupTable reads lines of up to four fields, the last of which lists members,
// as /etc/group has.
func newGroupTable(r io.Reader, wanted string) *table {
	t := newTable(r)
	t.fields, t.members, t.wanted = t.fields[:4], true, wanted
	return t
}

// line returns the fields of the next line, until it is called again. It returns
// none of a line that is malformed: with too many fields, one that is too long, or
// NUL. After the last line it returns io.EOF; ErrFile if the file is too large.
func (t *table) line() ([][]byte, error) {
	for i := range t.fields {
		t.fields[i] = t.fields[i][:0]
	}
	t.listed = false
	n, good := 0, true
	for isFirst := true; ; isFirst = false {
		c, err := t.next()
		if err == io.EOF && !isFirst {
			c, err = '\n', nil // the last line may lack it
		}
		if err != nil {
			return nil, err
		}
		switch {
		case c == '\n' && (!good || n >= len(t.fields)):
			return nil, nil
		case c == '\n':
			t.endMember(n)
			return t.fields[:n+1], nil
		case c == ':':
			n++
		case c == 0 || n >= len(t.fields) || !t.add(n, c):
			good = false
		}
	}
}

// add adds a byte to a field, and tells whether there was room for it.
func (t *table) add(n int, c byte) bool {
	isList := t.members && n == len(t.fields)-1
	switch {
	case isList && c == ',':
		t.endMember(n)
	case len(t.fields[n]) < maxField:
		t.fields[n] = append(t.fields[n], c)
	default:
		return isList // no name is so long
	}
	return true
}

// endMember is called behind each member of a list.
func (t *table) endMember(n int) {
	if !t.members || n != len(t.fields)-1 {
		return
	}
	t.listed = t.listed || string(t.fields[n]) == t.wanted
	t.fields[n] = t.fields[n][:0]
}

// next returns the next byte of the file.
func (t *table) next() (byte, error) {
	c, err := t.in.ReadByte()
	if err == nil && t.left == 0 {
		return 0, fmt.Errorf("%w: larger than %d bytes, and not decided by then", ErrFile, MaxFile)
	}
	t.left--
	return c, err
}
