package inside

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"shibafu.dev/shibafu/internal/container/account"
	"shibafu.dev/shibafu/internal/container/linux"
)

// who is the user of the main process.
type who = account.Account

// findUser looks up the user in the image's own lists.
func (s *setup) findUser() error {
	const most = account.MaxFile + 1 // so that one that is too large is seen to be
	passwd, err := s.root.ReadFile("etc/passwd", most)
	if err != nil {
		return err
	}
	group, err := s.root.ReadFile("etc/group", most)
	if err != nil {
		return err
	}
	if s.who, err = account.Resolve(s.Process.User, bytes.NewReader(passwd), bytes.NewReader(group)); err != nil {
		return err
	}
	return s.checkUser()
}

// checkUser makes sure that the ids stand for somebody.
func (s *setup) checkUser() error {
	if s.Users.Lacks != "" {
		s.who.Groups = nil
	}
	if !s.Users.Namespace || uint64(s.who.UID) < s.Users.UIDs && uint64(s.who.GID) < s.Users.GIDs {
		return nil
	}
	if s.Users.Lacks != "" {
		return fmt.Errorf("user %d:%d does not exist here, as %s: add a range of ids, or be root of the container with -u 0", s.who.UID, s.who.GID, s.Users.Lacks)
	}
	return fmt.Errorf("user %d:%d is beyond the ids that /etc/subuid and /etc/subgid give", s.who.UID, s.who.GID)
}

// enterDir goes to the working directory, which is made if it is missing. The main
// process inherits it, so that its name is not looked up again.
func (s *setup) enterDir() error {
	dir, err := s.root.Folder(s.Process.Dir, 0o755)
	if err != nil {
		return err
	}
	s.keep(dir.File)
	s.dir = dir
	kind, err := linux.FileSystem(dir.File)
	if err == nil && kind == linux.ProcFS {
		err = errors.New("no program begins in /proc, but many ways out of it did")
	}
	return err
}

// goThere is enterDir once the root has changed.
func (s *setup) goThere() error {
	if err := s.dir.Chdir(); err != nil {
		return err
	}
	at, err := os.Getwd()
	if errors.Is(err, syscall.ENOENT) || err == nil && !path.IsAbs(at) {
		return errors.New("the working directory is outside the container")
	}
	return err
}
