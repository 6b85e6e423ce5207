// Package strictjson reads JSON in which two readers could not see two documents: no
// equal keys, no keys that differ in case alone, no bad UTF-8, no nesting beyond reason,
// nothing behind the end. encoding/json lets the last of two equal keys win. reader.go
// reads value by value and knows where each of them stands; the rest reads a document
// at once.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// MaxDepth is how deep values may be nested.
const MaxDepth = 16

// Check looks through the whole document, which must be an object. Its errors are
// *Error.
func Check(raw []byte) error {
	r, err := NewReader(raw)
	if err != nil {
		return err
	}
	if start := r.Start(); start == int64(len(raw)) || raw[start] != '{' {
		return r.Fault(start, "not a JSON object")
	}
	c := checker{Reader: r}
	if err := c.value(0); err != nil {
		return err
	}
	return r.End()
}

// Decode checks raw and reads it into v. A field that v does not have, or that is of
// another type, is an *Error too.
func Decode(raw []byte, v any) error {
	if err := Check(raw); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	r := &Reader{raw: raw, line: 1}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return r.Fault(min(wrong.Offset, int64(len(raw))), "%s is a %s", wrong.Field, wrong.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return r.Fault(placeOfKey(raw, name), "unknown field %s", name)
	}
	return r.Fault(d.InputOffset(), "%s", err.Error())
}

// Lines are the lines on which the members of raw stand, by their paths ("users/alice"):
// for a reader who finds a fault in what they mean. raw must be one that Check accepts.
func Lines(raw []byte) map[string]int {
	r, err := NewReader(raw)
	if err != nil {
		return nil
	}
	c := checker{Reader: r, lines: map[string]int{}}
	if c.value(0) != nil {
		return nil
	}
	return c.lines
}

// checker reads any value.
type checker struct {
	*Reader
	path  []string
	lines map[string]int // nil if nobody asks
}

func (c *checker) value(depth int) error {
	start := c.Start()
	if start < int64(len(c.raw)) && (c.raw[start] == '{' || c.raw[start] == '[') && depth >= MaxDepth {
		return c.Fault(start, "nested too deeply")
	}
	switch {
	case start == int64(len(c.raw)):
	case c.raw[start] == '{':
		return c.object(depth)
	case c.raw[start] == '[':
		return c.Array(func() error { return c.value(depth + 1) })
	}
	_, _, err := c.next()
	return err
}

func (c *checker) object(depth int) error {
	seen := map[string]bool{}
	return c.members(func(key string, start int64) error {
		folded := strings.ToLower(strings.ToUpper(key)) // as encoding/json compares, or stricter
		if seen[folded] {
			return c.Fault(start, "%q is there twice", shorten(key))
		}
		seen[folded] = true
		c.path = append(c.path, key)
		if c.lines != nil {
			c.lines[strings.Join(c.path, "/")], _ = c.Place(start)
		}
		err := c.value(depth + 1)
		c.path = c.path[:len(c.path)-1]
		return err
	})
}

// placeOfKey is where a quoted key stands first as one.
func placeOfKey(raw []byte, quoted string) int64 {
	for i := 0; ; {
		n := bytes.Index(raw[i:], []byte(quoted))
		if n < 0 {
			return 0
		}
		i += n
		if bytes.HasPrefix(bytes.TrimLeft(raw[i+len(quoted):], " \t\r\n"), []byte(":")) {
			return int64(i)
		}
		i += len(quoted)
	}
}
