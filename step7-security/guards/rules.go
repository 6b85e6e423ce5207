package guards

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"

	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/watch"
)

// What the rules are where nobody is asked who they are, and where users are and no file
// of rules is. Neither gives a right to the registry itself.
const (
	everybodyMay = `{"rules": [{"name": "nobody is asked who they are", "subjects": ["anonymous", "authenticated"], "repositories": ["*"], "actions": ["pull", "push", "delete", "catalog"]}]}`
	usersMay     = `{"rules": [{"name": "there is no policy", "subjects": ["authenticated"], "repositories": ["*"], "actions": ["pull", "push", "delete", "catalog"]}]}`
)

// rules are those of a file, which need not be there unless somebody named it.
type rules struct {
	file             string
	everybody, users *policy.Policy

	mu     sync.Mutex
	files  *watch.Files[*policy.Policy] // nil while there is no file
	missed string                       // what was last said about a file that cannot be opened
	last   error                        // of the last look
}

// openRules reads a file of rules.
func openRules(file string, required bool) (*rules, error) {
	r := &rules{file: file}
	var err error
	if r.everybody, err = policy.Parse("", []byte(everybodyMay)); err != nil {
		return nil, err
	}
	if r.users, err = policy.Parse("", []byte(usersMay)); err != nil {
		return nil, err
	}
	err = r.open()
	if !required && errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	return r, err
}

// open opens the file, if it is there. mu is held, or nobody else knows of r.
func (r *rules) open() error {
	files, err := watch.Open(func(contents [][]byte) (*policy.Policy, error) { return policy.Parse(r.file, contents[0]) }, r.file)
	if err == nil {
		r.files = files
	}
	return err
}

// some tells whether there is a file of rules.
func (r *rules) some() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files != nil
}

func (r *rules) current() *policy.Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		return r.users
	}
	return r.files.Current()
}

// reload reads the file again.
func (r *rules) reload() error {
	_, err := r.look((*watch.Files[*policy.Policy]).Reload)
	return err
}

// poll looks whether the file is another, and tells the log what it finds, once.
func (r *rules) poll(log *slog.Logger) (changed bool) {
	changed, err := r.look((*watch.Files[*policy.Policy]).Poll)
	said := ""
	if err != nil {
		said = err.Error()
	}
	r.mu.Lock()
	before := r.missed
	r.missed = said
	r.mu.Unlock()
	switch {
	case said != "" && said != before:
		log.Error("the rules were changed and cannot be used; those before stay in force", "cause", err)
	case changed:
		log.Info("the rules were changed, and are in force", "file", r.file)
	}
	return changed
}

func (r *rules) look(how func(*watch.Files[*policy.Policy]) (bool, error)) (changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.last = err }()
	if r.files != nil {
		return how(r.files)
	}
	if err := r.open(); !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	return false, nil
}

// err is why, at the last look, the rules in force were not those of the file; nil if they
// were.
func (r *rules) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil {
		return r.files.Err() // a file that is bad, and the same, is no news to look
	}
	return r.last
}
