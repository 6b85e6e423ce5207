// Package strictjson reads JSON in which two readers could not see two documents: no
// equal keys, no keys that differ in case alone, no bad UTF-8, no nesting beyond reason,
// nothing behind the end. encoding/json lets the last of two equal keys win.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep values may be nested.
const MaxDepth = 16

// Error is a fault, with the line that it is on. It holds nothing of the document but
// names of fields.
type Error struct {
	Line   int
	Reason string
}

// Error is "line N: REASON".
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Check looks through the whole document, which must be an object. Its errors are
// *Error.
func Check(raw []byte) error {
	if !utf8.Valid(raw) {
		return &Error{lineOf(raw, int64(firstInvalid(raw))), "not UTF-8"}
	}
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return &Error{1, "not a JSON object"}
	}
	c := checker{raw: raw, d: json.NewDecoder(bytes.NewReader(raw))}
	c.d.UseNumber()
	if err := c.value(0); err != nil {
		return err
	}
	if _, err := c.d.Token(); err != io.EOF {
		return c.fault("something behind the end")
	}
	return nil
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
	line := lineOf(raw, d.InputOffset())
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &Error{lineOf(raw, wrong.Offset), fmt.Sprintf("%s is a %s", wrong.Field, wrong.Value)}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return &Error{lineOfKey(raw, name), "unknown field " + name}
	}
	return &Error{line, err.Error()}
}

// Lines are the lines on which the members of raw stand, by their paths ("users/alice"):
// for a reader who finds a fault in what they mean. raw must be one that Check accepts.
func Lines(raw []byte) map[string]int {
	c := checker{raw: raw, d: json.NewDecoder(bytes.NewReader(raw)), lines: map[string]int{}}
	if c.value(0) != nil {
		return nil
	}
	return c.lines
}

type checker struct {
	raw   []byte
	d     *json.Decoder
	path  []string
	lines map[string]int // nil if nobody asks
}

func (c *checker) fault(reason string) error {
	return &Error{lineOf(c.raw, c.d.InputOffset()), reason}
}

func (c *checker) value(depth int) error {
	token, err := c.d.Token()
	if err != nil {
		return c.fault("not JSON")
	}
	switch token {
	case json.Delim('{'):
		return c.members(depth)
	case json.Delim('['):
		return c.elements(depth)
	}
	return nil
}

func (c *checker) members(depth int) error {
	if depth >= MaxDepth {
		return c.fault("nested too deeply")
	}
	seen := map[string]bool{}
	for c.d.More() {
		token, err := c.d.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return c.fault("not JSON")
		}
		folded := strings.ToLower(strings.ToUpper(key)) // as encoding/json compares, or stricter
		if seen[folded] {
			return c.fault(fmt.Sprintf("%q is there twice", shorten(key)))
		}
		seen[folded] = true
		c.path = append(c.path, key)
		if c.lines != nil {
			c.lines[strings.Join(c.path, "/")] = lineOf(c.raw, c.d.InputOffset())
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	return c.end()
}

func (c *checker) elements(depth int) error {
	if depth >= MaxDepth {
		return c.fault("nested too deeply")
	}
	for c.d.More() {
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	return c.end()
}

func (c *checker) end() error {
	if _, err := c.d.Token(); err != nil {
		return c.fault("not JSON")
	}
	return nil
}

func shorten(key string) string {
	if len(key) > 64 {
		return key[:64] + "…"
	}
	return key
}

func firstInvalid(raw []byte) int {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(raw)
}

func lineOf(raw []byte, offset int64) int {
	return 1 + bytes.Count(raw[:min(offset, int64(len(raw)))], []byte("\n"))
}

// lineOfKey is where a quoted key stands first as one.
func lineOfKey(raw []byte, quoted string) int {
	for i := 0; ; {
		n := bytes.Index(raw[i:], []byte(quoted))
		if n < 0 {
			return 1
		}
		i += n + len(quoted)
		if bytes.HasPrefix(bytes.TrimLeft(raw[i:], " \t\r\n"), []byte(":")) {
			return lineOf(raw, int64(i))
		}
	}
}
