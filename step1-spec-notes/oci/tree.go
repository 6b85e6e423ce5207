package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep a document may be nested. The deepest path that the
// specification knows has five levels.
const maxDepth = 32

// errStop ends the reading of a document whose rest makes no sense.
var errStop = errors.New("stop")

// parseTree reads raw strictly: encoding/json on its own lets the later of two
// equal keys win, mends bad UTF-8 and leaves open what comes after the document,
// so that two readers may see two documents in the same bytes.
func parseTree(raw []byte, faults *faults) (tree any, ok bool) {
	if !utf8.Valid(raw) {
		faults.must("", "not valid UTF-8")
		return nil, false
	}
	r := treeReader{dec: json.NewDecoder(bytes.NewReader(raw)), faults: faults}
	r.dec.UseNumber()
	tree, err := r.value()
	if err == errStop {
		return nil, false
	}
	if err != nil {
		faults.must("", fmt.Sprintf("not JSON: %s at byte %d", syntax(err), r.dec.InputOffset()))
		return nil, false
	}
	end := r.dec.InputOffset()
	if _, err := r.dec.Token(); err != io.EOF {
		faults.must("", fmt.Sprintf("something follows the document, which ends at byte %d", end))
	}
	return tree, true
}

// syntax says what err means in words of our own: the decoder's, which quote the
// document and may change with Go, are not for clients.
func syntax(err error) string {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return "it ends too early"
	}
	return "a character is out of place"
}

type treeReader struct {
	dec    *json.Decoder
	faults *faults
	// path leads to the value being read, in string keys and int positions. It is
	// put into words only for a fault: keys may be long and many.
	path []any
}

// value reads the next value: a map[string]any, []any, string, json.Number, bool
// or nil.
func (r *treeReader) value() (any, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return token, nil
	}
	if len(r.path) == maxDepth {
		r.faults.must("", fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return nil, errStop
	}
	if delim == '{' {
		return r.object()
	}
	return r.list()
}

func (r *treeReader) object() (any, error) {
	object := map[string]any{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string) // Token accepts nothing else here
		r.path = append(r.path, key)
		if _, dup := object[key]; dup {
			r.faults.must(r.where(), "the key stands there twice; readers disagree which one counts")
		}
		if object[key], err = r.value(); err != nil {
			return nil, err
		}
		r.path = r.path[:len(r.path)-1]
	}
	_, err := r.dec.Token()
	return object, err
}

func (r *treeReader) list() (any, error) {
	list := []any{}
	for r.dec.More() {
		r.path = append(r.path, len(list))
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		r.path = r.path[:len(r.path)-1]
	}
	_, err := r.dec.Token()
	return list, err
}

// where is the path in words.
func (r *treeReader) where() (path string) {
	for _, step := range r.path {
		switch step := step.(type) {
		case string:
			path = join(path, shorten(step))
		case int:
			path = element(path, step)
		}
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// shorten bounds a key that came from outside.
func shorten(key string) string {
	const limit = 80
	if len(key) <= limit {
		return key
	}
	return strings.ToValidUTF8(key[:limit], "") + "…"
}
