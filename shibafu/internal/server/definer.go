package server

import (
	"errors"
	"flag"
	"time"

	"shibafu.dev/step7-security/ratelimit"
)

// definer defines settings, each with its flag.
type definer struct {
	fs *flag.FlagSet
	c  *Config
}

func (d definer) define(name, field string, k kind, want string, valid func() error) {
	d.c.settings = append(d.c.settings, setting{name, field, k, want, valid})
}

func (d definer) text(p *string, name, field, value, usage string, valid func() error) {
	d.fs.StringVar(p, name, value, usage)
	d.define(name, field, jsonText, "text", valid)
}

// word defines a setting that is one of some words, the first unless told.
func (d definer) word(p *string, name, field, usage string, words ...string) {
	*p = words[0]
	d.fs.Var(&wordValue{p, words}, name, usage)
	d.define(name, field, jsonText, "text", oneOf(p, words...))
}

func (d definer) count(p *int, name, field string, value int, usage string) {
	d.fs.IntVar(p, name, value, usage)
	d.define(name, field, jsonNumber, "a whole number", atLeast(p, 1))
}

// optional defines a number that is 0 where there is no such limit.
func (d definer) optional(p *int, name, field string, value int, usage string) {
	d.fs.IntVar(p, name, value, usage)
	d.define(name, field, jsonNumber, "a whole number", atLeast(p, 0))
}

func (d definer) flag(p *bool, name, field string, value bool, usage string) {
	d.fs.BoolVar(p, name, value, usage)
	d.define(name, field, jsonBool, "true or false", nil)
}

func (d definer) bytes(p *int64, name, field string, value, least int64, usage string) {
	d.fs.Int64Var(p, name, value, usage)
	d.define(name, field, jsonNumber, "a whole number", atLeast(p, least))
}

func (d definer) duration(p *time.Duration, name, field string, value time.Duration, usage string) {
	d.fs.DurationVar(p, name, value, usage)
	d.define(name, field, jsonText, "a duration such as 90s or 1h30m", atLeast(p, 1))
}

// perSecond defines a rate, of which twice as much may come at once.
func (d definer) perSecond(p *ratelimit.Rate, name, field string, value int64, usage string) {
	v := &rateValue{p}
	v.set(value)
	d.fs.Var(v, name, usage)
	d.define(name, field, jsonNumber, "a whole number", func() error {
		if p.PerSecond < 0 {
			return errors.New("less than 0")
		}
		return nil
	})
}
