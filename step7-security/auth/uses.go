package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"shibafu.dev/step7-security/internal/durable"
	"shibafu.dev/step7-security/internal/strictjson"
)

// uses are when robots were used last. They lie beside the file of users, not in it: that
// one changes when somebody changes it.
type uses struct {
	mu      sync.Mutex
	path    string
	last    map[string]time.Time
	changed bool
}

func (u *uses) load(path string) error {
	u.path, u.last = path, map[string]time.Time{}
	if path == "" {
		return nil
	}
	raw, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := strictjson.Decode(raw, &u.last); err != nil {
		u.last = map[string]time.Time{} // nothing of it, rather than a part
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (u *uses) note(robot string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now().UTC().Truncate(time.Second); now.After(u.last[robot]) {
		u.last[robot], u.changed = now, true
	}
}

// LastUse is when a robot was used last, to the second; zero if it never was.
func (a *Accounts) LastUse(robot string) time.Time {
	a.uses.mu.Lock()
	defer a.uses.mu.Unlock()
	return a.uses.last[robot]
}

// SaveUses writes the last uses of the robots that there are, if there are new ones.
func (a *Accounts) SaveUses() error {
	u := &a.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.changed || u.path == "" {
		return nil
	}
	robots := a.now.Load().robots
	maps.DeleteFunc(u.last, func(robot string, _ time.Time) bool { _, known := robots[robot]; return !known })
	raw, err := json.MarshalIndent(u.last, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Write(u.path, append(raw, '\n')); err != nil {
		return err
	}
	u.changed = false
	return nil
}
