package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a file, and where.
type SyntaxError struct {
	// Where is name:line:column, from 1, in bytes.
	Where  string
	Reason string
}

func (e *SyntaxError) Error() string { return e.Where + ": " + e.Reason }

// reader reads JSON token by token, as each has a place.
type reader struct {
	name string
	raw  []byte
	dec  *json.Decoder
	// The place that was asked for last: places are asked for in order, mostly.
	last, lineStart int64
	line            int
}

func newReader(name string, raw []byte) (*reader, error) {
	r := &reader{name: name, raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), line: 1}
	r.dec.UseNumber()
	for i := 0; i < len(raw); {
		c, size := utf8.DecodeRune(raw[i:])
		if c == utf8.RuneError && size == 1 { // package json would take another character for it
			return nil, r.fault(int64(i), "not UTF-8")
		}
		i += size
	}
	return r, nil
}

func (r *reader) where(offset int64) string {
	if offset < r.last {
		r.last, r.lineStart, r.line = 0, 0, 1
	}
	between := r.raw[r.last:offset]
	r.line += bytes.Count(between, []byte("\n"))
	if i := bytes.LastIndexByte(between, '\n'); i >= 0 {
		r.lineStart = r.last + int64(i) + 1
	}
	r.last = offset
	return fmt.Sprintf("%s:%d:%d", r.name, r.line, offset-r.lineStart+1)
}

func (r *reader) fault(offset int64, format string, args ...any) error {
	return &SyntaxError{r.where(offset), fmt.Sprintf(format, args...)}
}

// start is where the next token begins.
func (r *reader) start() int64 {
	start := r.dec.InputOffset()
	for start < int64(len(r.raw)) && strings.IndexByte(" \t\r\n,:", r.raw[start]) >= 0 {
		start++
	}
	return start
}

func (r *reader) next() (json.Token, int64, error) {
	start := r.start()
	token, err := r.dec.Token()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, start, r.fault(start, "the file ends early")
	case errors.As(err, &syntax):
		return nil, start, r.fault(start, "%s", syntax.Error())
	case err != nil:
		return nil, start, err
	}
	return token, start, nil
}

func (r *reader) end() error {
	if start := r.start(); start < int64(len(r.raw)) {
		return r.fault(start, "something follows the end")
	}
	return nil
}

// object reads an object; each field of it is read by its function.
func (r *reader) object(fields map[string]func() error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return r.fault(start, "want an object")
	}
	seen := map[string]bool{}
	for r.dec.More() {
		token, start, err := r.next()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		read, known := fields[key]
		switch {
		case !known:
			return r.fault(start, "there is no field %q", key)
		case seen[key]:
			return r.fault(start, "%q is there twice", key)
		}
		seen[key] = true
		if err := read(); err != nil {
			return err
		}
	}
	_, _, err = r.next()
	return err
}

// array reads an array whose elements are read by read.
func (r *reader) array(read func() error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return r.fault(start, "want an array")
	}
	for r.dec.More() {
		if err := read(); err != nil {
			return err
		}
	}
	_, _, err = r.next()
	return err
}

// text reads a string, and hands it to take, whose error gets the place.
func (r *reader) text(take func(s string) error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	s, ok := token.(string)
	if !ok {
		return r.fault(start, "want a string")
	}
	if err := take(s); err != nil {
		return r.fault(start, "%s", err.Error())
	}
	return nil
}

// number reads a number that is whole and not negative.
func (r *reader) number(take func(n int64) error) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	number, _ := token.(json.Number)
	n, err := number.Int64()
	if err != nil || n < 0 {
		return r.fault(start, "want a whole number that is not negative")
	}
	if err := take(n); err != nil {
		return r.fault(start, "%s", err.Error())
	}
	return nil
}
