package guards

import (
	"path/filepath"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/keys"
)

// Directory are the users, robots and groups, for who looks after them. A change is in
// force when it returns; also the first one, which ends that all may do all.
func (g *Guards) Directory() *admin.Directory {
	return &admin.Directory{File: filepath.Join(g.opts.Folder, UsersFile), Accounts: polled{g.accounts, g}}
}

// polled are accounts of which a change may be that there are some.
type polled struct {
	*auth.Accounts
	guards *Guards
}

// Poll implements admin.Accounts.
func (p polled) Poll() error {
	err := p.Accounts.Poll()
	p.guards.changed()
	return err
}

// Rules are the rules, for who looks after them; as Directory.
func (g *Guards) Rules() *admin.Rules {
	reload := func() error {
		err := g.rules.reload()
		g.changed()
		return err
	}
	fault := func() error {
		g.rules.poll(g.opts.Log)
		return g.rules.err()
	}
	return &admin.Rules{File: g.rules.file, Current: g.Policy, Reload: reload, Fault: fault, GroupsOf: g.accounts.GroupsOf}
}

// SigningKeys are the keys that tokens are signed with, for who looks after them.
func (g *Guards) SigningKeys() Signing { return Signing{g} }

// Signing lists keys, and replaces the one that signs.
type Signing struct{ guards *Guards }

// List are all keys that verify, the newest first; none as long as nobody is asked who
// they are.
func (s Signing) List() ([]keys.Info, error) {
	if s.guards.Keys() == nil && exists(s.guards.signing.folder) { // nobody serves
		if err := s.guards.signing.open(); err != nil {
			return nil, err
		}
	}
	if store := s.guards.Keys(); store != nil {
		return store.List(), nil
	}
	return nil, nil
}

// Rotate makes a new key, which signs from now on.
func (s Signing) Rotate() error {
	if err := s.guards.signing.open(); err != nil {
		return err
	}
	return s.guards.Keys().Rotate()
}
