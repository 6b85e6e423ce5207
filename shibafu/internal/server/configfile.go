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
	"time"
)

// readFile sets what the configuration file says. A field that there is not, or
// is there twice, is an error with its position.
func (c *Config) readFile(fs *flag.FlagSet) error {
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	r := fileReader{name: c.File, raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), flags: fs, fields: map[string]string{}, seen: map[string]bool{}}
	r.dec.UseNumber()
	for _, s := range c.settings {
		r.fields[s.field] = s.flag
	}
	if err := r.object(""); err != nil {
		return err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return r.at(r.dec.InputOffset(), errors.New("something follows the settings"))
	}
	return nil
}

type fileReader struct {
	name   string
	raw    []byte
	dec    *json.Decoder
	flags  *flag.FlagSet
	fields map[string]string // field to flag
	seen   map[string]bool
}

// at is err with the position of a byte.
func (r *fileReader) at(offset int64, err error) error {
	before := r.raw[:min(offset, int64(len(r.raw)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return &SettingError{fmt.Sprintf("%s:%d:%d", r.name, line, column), err}
}

// next reads a token and returns where it begins.
func (r *fileReader) next() (json.Token, int64, error) {
	start := r.dec.InputOffset()
	for start < int64(len(r.raw)) && strings.IndexByte(" \t\r\n,:", r.raw[start]) >= 0 {
		start++
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, start, r.at(start, err)
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
		return r.at(start, errors.New("want an object"))
	}
	for r.dec.More() {
		key, start, err := r.next()
		if err != nil {
			return err
		}
		field := prefix + key.(string) // in an object, Token accepts nothing else here
		if r.seen[field] {
			return r.at(start, fmt.Errorf("field %q is there twice", field))
		}
		r.seen[field] = true
		switch name, known := r.fields[field]; {
		case known:
			err = r.value(field, name)
		case r.isSection(field):
			err = r.object(field + ".")
		default:
			err = r.at(start, fmt.Errorf("unknown field %q", field))
		}
		if err != nil {
			return err
		}
	}
	_, _, err = r.next()
	return err
}

// value reads the value of a field, in the form that its flag takes.
func (r *fileReader) value(field, name string) error {
	value, start, err := r.next()
	if err != nil {
		return err
	}
	switch value.(type) {
	case string, json.Number, bool:
	default:
		return r.at(start, fmt.Errorf("field %q: want a string, number or boolean", field))
	}
	if err := r.flags.Set(name, fmt.Sprint(value)); err != nil {
		return r.at(start, fmt.Errorf("field %q: %w", field, err))
	}
	return nil
}

// isSection tells whether some field lies below prefix.
func (r *fileReader) isSection(prefix string) bool {
	for field := range r.fields {
		if strings.HasPrefix(field, prefix+".") {
			return true
		}
	}
	return false
}

// Print writes the settings as a file that readFile reads.
func (c *Config) Print(w io.Writer, fs *flag.FlagSet) error {
	root := map[string]any{}
	for _, s := range c.settings {
		if s.field == "port" {
			continue // addr says it
		}
		section := root
		parts := strings.Split(s.field, ".")
		for _, part := range parts[:len(parts)-1] {
			if section[part] == nil {
				section[part] = map[string]any{}
			}
			section = section[part].(map[string]any)
		}
		f := fs.Lookup(s.flag)
		value := f.Value.(flag.Getter).Get()
		switch v := value.(type) {
		case bool, int, int64:
		case time.Duration:
			value = v.String()
		default:
			value = f.Value.String()
		}
		section[parts[len(parts)-1]] = value
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(root)
}
