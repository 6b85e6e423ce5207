package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// readFile returns what the configuration file says. A field that there is not, or
// is there twice, or is of another type, is an error with its position: line and
// column, in bytes, from 1.
func (c *Config) readFile(name string) (layer, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return c.parseFile(name, raw)
}

func (c *Config) parseFile(name string, raw []byte) (layer, error) {
	r := fileReader{name: name, raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), settings: map[string]setting{}, seen: map[string]bool{}, layer: layer{}}
	r.dec.UseNumber()
	for _, s := range c.settings {
		r.settings[s.field] = s
	}
	if i := invalidUTF8(raw); i >= 0 {
		return nil, r.fault(int64(i), errors.New("not UTF-8"))
	}
	if err := r.object(""); err != nil {
		return nil, err
	}
	if rest := bytes.TrimLeft(raw[r.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, r.fault(int64(len(raw)-len(rest)), errors.New("something follows the settings"))
	}
	return r.layer, nil
}

// invalidUTF8 is where raw stops to be UTF-8, or -1. Package json would take
// another character for each such byte.
func invalidUTF8(raw []byte) int {
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

type fileReader struct {
	name     string
	raw      []byte
	dec      *json.Decoder
	settings map[string]setting // by field
	seen     map[string]bool
	layer    layer
}

// position is that of a byte, as it stands in messages.
func (r *fileReader) position(offset int64) string {
	before := r.raw[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("%s:%d:%d", r.name, line, column)
}

func (r *fileReader) fault(offset int64, err error) error {
	return &SettingError{r.position(offset), err}
}

// start is where the next token begins.
func (r *fileReader) start() int64 {
	start := r.dec.InputOffset()
	for start < int64(len(r.raw)) && strings.IndexByte(" \t\r\n,:", r.raw[start]) >= 0 {
		start++
	}
	return start
}

// next reads a token and returns where it begins.
func (r *fileReader) next() (json.Token, int64, error) {
	start := r.start()
	token, err := r.dec.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends early")
	}
	if err != nil {
		return nil, start, r.fault(start, err)
	}
	return token, start, nil
}

// object reads an object whose fields begin with prefix.
func (r *fileReader) object(prefix string) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return r.fault(start, errors.New("want an object"))
	}
	for r.dec.More() {
		if err := r.field(prefix); err != nil {
			return err
		}
	}
	_, _, err = r.next()
	return err
}

func (r *fileReader) field(prefix string) error {
	key, start, err := r.next()
	if err != nil {
		return err
	}
	word := key.(string) // in an object, Token accepts nothing else here
	field := prefix + word
	s, known := r.settings[field]
	switch {
	case strings.Contains(word, "."), !known && !r.isSection(field):
		return r.fault(start, fmt.Errorf("unknown field %q", field))
	case r.seen[field]:
		return r.fault(start, fmt.Errorf("field %q is there twice", field))
	}
	r.seen[field] = true
	if known {
		return r.value(s)
	}
	return r.object(field + ".")
}

// value reads the value of a setting.
func (r *fileReader) value(s setting) error {
	token, start, err := r.next()
	if err != nil {
		return err
	}
	is := kind("")
	switch token.(type) {
	case string:
		is = jsonText
	case json.Number:
		is = jsonNumber
	case bool:
		is = jsonBool
	}
	where := r.position(start) + ": " + s.field
	if is != s.kind {
		return &SettingError{where, fmt.Errorf("want a %s", s.kind)}
	}
	r.layer[s.flag] = value{fmt.Sprint(token), where}
	return nil
}

// isSection tells whether some field lies below prefix.
func (r *fileReader) isSection(prefix string) bool {
	for field := range r.settings {
		if strings.HasPrefix(field, prefix+".") {
			return true
		}
	}
	return false
}

// Print writes the settings as a file that says the same.
func (c *Config) Print(w io.Writer, fs *flag.FlagSet) error {
	root := map[string]any{}
	for _, s := range c.settings {
		if s.field == "port" {
			continue // addr says it
		}
		section, word := root, s.field
		if prefix, rest, ok := strings.Cut(s.field, "."); ok {
			if root[prefix] == nil {
				root[prefix] = map[string]any{}
			}
			section, word = root[prefix].(map[string]any), rest
		}
		shown := fs.Lookup(s.flag).Value.String()
		if s.kind == jsonText {
			section[word] = shown
		} else {
			section[word] = json.RawMessage(shown) // numbers and booleans print as JSON
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(root)
}
