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

// Error is a fault, and where it is. It holds nothing of the document but names of
// fields, and of what is not JSON the one character that is wrong.
type Error struct {
	// Line and Column are from 1; the column is in bytes.
	Line, Column int
	Reason       string
}

// Error is "line N: REASON".
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// A Reader reads JSON value by value, for who wants to know where each of them stands.
// Its errors, and those of its methods, are *Error.
type Reader struct {
	raw []byte
	dec *json.Decoder
	// The place that was asked for last: places are asked for in order, mostly.
	last, lineStart int64
	line            int
}

// NewReader reads raw, which is no document if it is not UTF-8: package json would take
// another character for what is none.
func NewReader(raw []byte) (*Reader, error) {
	r := &Reader{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), line: 1}
	r.dec.UseNumber()
	for i := 0; i < len(raw); {
		c, size := utf8.DecodeRune(raw[i:])
		if c == utf8.RuneError && size == 1 {
			return nil, r.Fault(int64(i), "not UTF-8")
		}
		i += size
	}
	return r, nil
}

// Place is the line and the column of an offset, both from 1.
func (r *Reader) Place(offset int64) (line, column int) {
	if offset < r.last {
		r.last, r.lineStart, r.line = 0, 0, 1
	}
	between := r.raw[r.last:offset]
	r.line += bytes.Count(between, []byte("\n"))
	if i := bytes.LastIndexByte(between, '\n'); i >= 0 {
		r.lineStart = r.last + int64(i) + 1
	}
	r.last = offset
	return r.line, int(offset-r.lineStart) + 1
}

// Fault is an error at an offset.
func (r *Reader) Fault(offset int64, format string, args ...any) error {
	line, column := r.Place(offset)
	return &Error{line, column, fmt.Sprintf(format, args...)}
}

// Start is where the next token begins.
func (r *Reader) Start() int64 {
	start := r.dec.InputOffset()
	for start < int64(len(r.raw)) && strings.IndexByte(" \t\r\n,:", r.raw[start]) >= 0 {
		start++
	}
	return start
}

func (r *Reader) next() (json.Token, int64, error) {
	start := r.Start()
	token, err := r.dec.Token()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, start, r.Fault(start, "the document ends early")
	case errors.As(err, &syntax):
		return nil, start, r.Fault(start, "not JSON: %s", syntax.Error())
	case err != nil:
		return nil, start, r.Fault(start, "not JSON")
	}
	return token, start, nil
}

// End wants nothing to follow.
func (r *Reader) End() error {
	if rest := bytes.TrimLeft(r.raw[r.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return r.Fault(int64(len(r.raw)-len(rest)), "something follows the end")
	}
	return nil
}

// Object reads an object; each field of it is read by its function, and there at most
// once.
func (r *Reader) Object(fields map[string]func() error) error {
	seen := map[string]bool{}
	return r.members(func(key string, start int64) error {
		read, known := fields[key]
		switch {
		case !known:
			return r.Fault(start, "there is no field %q", shorten(key))
		case seen[key]:
			return r.Fault(start, "%q is there twice", key)
		}
		seen[key] = true
		return read()
	})
}

// members reads an object; member reads the value of each key, which begins at start.
func (r *Reader) members(member func(key string, start int64) error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return r.Fault(start, "want an object")
	}
	return r.rest(func() error {
		token, start, err := r.next()
		if err != nil {
			return err
		}
		key, _ := token.(string) // it is one, or next would have failed
		return member(key, start)
	})
}

// Array reads an array whose elements are read by read.
func (r *Reader) Array(read func() error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return r.Fault(start, "want an array")
	}
	return r.rest(read)
}

// rest reads what is left of an object or an array, and its end.
func (r *Reader) rest(read func() error) error {
	for r.dec.More() {
		if err := read(); err != nil {
			return err
		}
	}
	_, _, err := r.next()
	return err
}

// Text reads a string, and hands it to take, whose error gets the place.
func (r *Reader) Text(take func(s string) error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	s, ok := token.(string)
	if !ok {
		return r.Fault(start, "want a string")
	}
	if err := take(s); err != nil {
		return r.Fault(start, "%s", err.Error())
	}
	return nil
}

// Number reads a number that is whole and not negative.
func (r *Reader) Number(take func(n int64) error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	number, _ := token.(json.Number)
	n, err := number.Int64()
	if err != nil || n < 0 {
		return r.Fault(start, "want a whole number that is not negative")
	}
	if err := take(n); err != nil {
		return r.Fault(start, "%s", err.Error())
	}
	return nil
}

func shorten(key string) string {
	if len(key) > 64 {
		return key[:64] + "…"
	}
	return key
}
