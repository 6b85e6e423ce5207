package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"shibafu.dev/step7-security/ratelimit"
)

// portValue is the value of --port: another way to set the address.
type portValue struct {
	addr *string
	text string
}

func (p *portValue) String() string { return p.text }

func (p *portValue) Set(text string) error {
	if _, err := strconv.ParseUint(text, 10, 16); err != nil {
		return errors.New("want a number from 0 to 65535")
	}
	p.text, *p.addr = text, net.JoinHostPort("127.0.0.1", text)
	return nil
}

// levelValue is the value of --log-level: one of four words, and not all that
// slog.Level reads.
type levelValue struct{ *slog.Level }

func (l levelValue) String() string {
	if l.Level == nil { // the zero value, that package flag compares with
		return ""
	}
	return strings.ToLower(l.Level.String())
}

func (l levelValue) Set(text string) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(text, known.String()) {
			*l.Level = known
			return nil
		}
	}
	return errors.New("want debug, info, warn or error")
}

// Choices are the words for it.
func (levelValue) Choices() []string { return []string{"debug", "info", "warn", "error"} }

// rateValue is the value of a rate: so many a second.
type rateValue struct{ *ratelimit.Rate }

func (r *rateValue) set(n int64) {
	*r.Rate = ratelimit.Rate{PerSecond: float64(n), Burst: float64(2 * n)}
}

func (r *rateValue) String() string {
	if r.Rate == nil { // the zero value
		return ""
	}
	return strconv.FormatInt(int64(r.PerSecond), 10)
}

// Set takes no more than what is exact as a float64. Whether it is too little is looked
// at when all settings are known.
func (r *rateValue) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 52)
	if err != nil {
		return errors.New("want a whole number")
	}
	r.set(n)
	return nil
}

// wordValue is the value of a setting that is one of some words. Whether it is one is
// looked at when all settings are known.
type wordValue struct {
	p     *string
	words []string
}

func (w *wordValue) String() string {
	if w.p == nil { // the zero value
		return ""
	}
	return *w.p
}

func (w *wordValue) Set(text string) error {
	*w.p = text
	return nil
}

// Choices are the words for it.
func (w *wordValue) Choices() []string { return w.words }

func oneOf(p *string, words ...string) func() error {
	return func() error {
		if slices.Contains(words, *p) {
			return nil
		}
		last := len(words) - 1
		return errors.New("want " + strings.Join(words[:last], ", ") + " or " + words[last])
	}
}

func atLeast[T ~int | ~int64](p *T, least T) func() error {
	return func() error {
		switch {
		case *p >= least:
			return nil
		case least == 0:
			return errors.New("less than 0")
		}
		return errors.New("want more than 0")
	}
}

func (c *Config) validAddr() error { return validAddr(c.Addr) }

func validAddr(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("want host:port, not %q", text)
	}
	return nil
}

func (c *Config) validRoot() error {
	if c.Root == "" {
		return errors.New("there is no home folder to keep data in; name a folder")
	}
	return nil
}

// settlePublicURL also takes slashes off its end, as what follows it starts with
// one.
func (c *Config) settlePublicURL() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(c.PublicURL, "?#") {
		return errors.New("want http or https, a host, and perhaps a path")
	}
	c.PublicURL = strings.TrimRight(u.String(), "/")
	return nil
}
