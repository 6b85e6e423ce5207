package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
)

// own is the folder below the root that holds users, keys and certificates.
func own(root string) string { return filepath.Join(root, "shibafu") }

// addUser adds a user whose password is the first line of in, or gives one another.
func addUser(root, name string, in io.Reader) error {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	hash, err := password.Make(strings.TrimRight(line, "\r\n"), 0)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(own(root), 0o700); err != nil {
		return err
	}
	return auth.Edit(filepath.Join(own(root), "users.json"), func(d *auth.Directory) error { return d.SetUser(name, hash) })
}
