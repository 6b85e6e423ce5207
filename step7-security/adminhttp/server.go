package adminhttp

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/admin"
)

// Key is a key that signs or verifies tokens.
type Key struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	Made      time.Time `json:"made"`
	Signs     bool      `json:"signs"`
}

// KeyList are all keys, the newest first.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// Session is an open upload.
type Session struct {
	ID         string    `json:"id"`
	Repository ref.Name  `json:"repository"`
	Owner      string    `json:"owner,omitempty"`
	Bytes      int64     `json:"bytes"` // that are kept
	Started    time.Time `json:"started,omitzero"`
	Touched    time.Time `json:"touched"` // when it was last asked for
	Active     bool      `json:"active"`  // a request is adding to it
}

// SessionList are all open uploads, the oldest first.
type SessionList struct {
	Sessions []Session `json:"sessions"`
}

// Figures are the Stats of a server, and what is known here.
type Figures struct {
	Stats
	Uptime   int64 `json:"uptimeSeconds"`
	Sessions *int  `json:"sessions,omitempty"`
}

// Level is the least level that is logged: "debug", "info", "warn" or "error".
type Level struct {
	Level string `json:"level"`
}

// Reloaded says of each thing that was read again whether it could be.
type Reloaded struct {
	Results []Result `json:"results"`
}

// Health says whether all is well, and what is not.
type Health struct {
	Healthy bool     `json:"healthy"`
	Checks  []Result `json:"checks"`
}

// Result is the outcome of one thing of several.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (a *api) listKeys(*call) (any, error) { return a.keys() }

func (a *api) keys() (KeyList, error) {
	all, err := a.Keys.List()
	list := KeyList{[]Key{}}
	for _, k := range all {
		list.Keys = append(list.Keys, Key{k.ID, string(k.Algorithm), k.Made, k.Signs})
	}
	return list, err
}

func (a *api) rotateKeys(c *call) (any, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	if err := a.Keys.Rotate(); err != nil {
		return nil, err
	}
	list, err := a.keys()
	if err == nil {
		c.target, c.status = list.Keys[0].ID, http.StatusCreated
	}
	return list, err
}

func (a *api) listSessions(*call) (any, error) {
	list := SessionList{[]Session{}}
	for _, s := range a.Sessions.Sessions() {
		list.Sessions = append(list.Sessions, Session{s.ID, s.Repository, s.Owner, s.Size, s.Started, s.Touched, s.Active})
	}
	return list, nil
}

func (a *api) cancelSession(c *call) (any, error) {
	return nil, a.Sessions.End(c.r.Context(), c.r.PathValue("id"))
}

func (a *api) showStats(*call) (any, error) {
	f := Figures{Stats: a.Stats()}
	f.Uptime = int64(time.Since(f.Started).Seconds())
	if a.Sessions != nil {
		n := len(a.Sessions.Sessions())
		f.Sessions = &n
	}
	return f, nil
}

func (a *api) showLevel(*call) (any, error) {
	return Level{strings.ToLower(a.LogLevel.Level().String())}, nil
}

func (a *api) setLevel(c *call) (any, error) {
	var l Level
	if err := c.read(&l); err != nil {
		return nil, err
	}
	c.target = l.Level
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if l.Level == strings.ToLower(known.String()) {
			a.LogLevel.Set(known)
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w: want debug, info, warn or error", admin.ErrValue)
}

// reload tries all, also after one that could not be read.
func (a *api) reload(c *call) (any, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	answer := Reloaded{[]Result{}}
	for _, r := range a.Reload {
		answer.Results = append(answer.Results, result(r.Name, r.Reload()))
	}
	return answer, nil
}

func (a *api) showHealth(c *call) (any, error) {
	h := Health{true, []Result{}}
	for _, check := range a.Health(c.r.Context()) {
		h.Healthy = h.Healthy && check.Err == nil
		h.Checks = append(h.Checks, result(check.Name, check.Err))
	}
	return h, nil
}

func result(name string, err error) Result {
	if err != nil {
		return Result{name, false, err.Error()}
	}
	return Result{name, true, ""}
}
