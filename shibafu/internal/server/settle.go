package server

import (
	"flag"
	"fmt"
	"strings"
)

// SettingError says which setting is wrong, and where it was made.
type SettingError struct {
	// Where is a flag, a variable, or a position in a file and the field there.
	Where string
	Err   error
}

func (e *SettingError) Error() string { return e.Where + ": " + e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// value is what somebody wants a setting to be, and where that was said.
type value struct{ text, where string }

// layer is what one of the flags, the environment and the file say, by flag.
type layer map[string]value

// Settle puts what fs was given on top of the environment, and that on top of the
// file. Wrong settings are SettingErrors.
func (c *Config) Settle(fs *flag.FlagSet, lookupEnv func(string) (string, bool)) error {
	given := c.given(fs) // first, as fs cannot tell later what was given
	environment := c.environment(lookupEnv)
	var file layer
	if c.File == "" {
		c.File, _ = lookupEnv("SHIBAFU_CONFIG")
	}
	if c.File != "" {
		var err error
		if file, err = c.readFile(c.File); err != nil {
			return err
		}
	}
	for _, l := range []layer{file, environment, given} {
		if err := c.apply(fs, l); err != nil {
			return err
		}
	}
	return c.check()
}

// given is what the command line says.
func (c *Config) given(fs *flag.FlagSet) layer {
	values := map[string]string{}
	fs.Visit(func(f *flag.Flag) { values[f.Name] = f.Value.String() })
	l := layer{}
	for _, s := range c.settings {
		if text, ok := values[s.flag]; ok {
			l[s.flag] = value{text, "--" + s.flag}
		}
	}
	return l
}

// environment is what the environment says. A variable that is empty says
// nothing.
func (c *Config) environment(lookupEnv func(string) (string, bool)) layer {
	l := layer{}
	for _, s := range c.settings {
		if text, _ := lookupEnv(s.variable()); text != "" {
			l[s.flag] = value{text, s.variable()}
		}
	}
	return l
}

func (s setting) variable() string {
	return "SHIBAFU_" + strings.ToUpper(strings.ReplaceAll(s.flag, "-", "_"))
}

// apply makes the settings of l, over those that were made before.
func (c *Config) apply(fs *flag.FlagSet, l layer) error {
	addr, port := l["addr"], l["port"]
	if addr.where != "" && port.where != "" {
		return &SettingError{port.where, fmt.Errorf("not together with %s", addr.where)}
	}
	for _, s := range c.settings {
		v, ok := l[s.flag]
		if !ok {
			continue
		}
		if err := fs.Set(s.flag, v.text); err != nil {
			return &SettingError{v.where, fmt.Errorf("want %s, not %q", s.want, v.text)}
		}
		c.made[s.flag] = v.where
	}
	if port.where != "" {
		c.made["addr"] = port.where
	}
	return nil
}

// check asks what the types of the settings leave open.
func (c *Config) check() error {
	for _, s := range c.settings {
		if s.valid == nil {
			continue
		}
		if err := s.valid(); err != nil {
			where := "--" + s.flag
			if made, ok := c.made[s.flag]; ok {
				where = made
			}
			return &SettingError{where, err}
		}
	}
	return nil
}
