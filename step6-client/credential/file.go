package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a config.json on the disk. It is read anew each time, as other clients
// write it too.
type File struct {
	// Path is where it is. It need not exist.
	Path string
}

// Default is the file that docker uses: that in $DOCKER_CONFIG, else
// ~/.docker/config.json.
func Default() (File, error) {
	if folder := os.Getenv("DOCKER_CONFIG"); folder != "" {
		return File{filepath.Join(folder, "config.json")}, nil
	}
	home, err := os.UserHomeDir()
	return File{filepath.Join(home, ".docker", "config.json")}, err
}

// Credential returns what is kept for a place, by a program for its host or in the
// file (Config.Get); the zero Credential if nothing is. ErrConfig, ErrHelper.
func (f File) Credential(ctx context.Context, place string) (Credential, error) {
	c, err := f.read()
	if err != nil {
		return Credential{}, err
	}
	host, _, _ := strings.Cut(place, "/")
	if name := c.Helper(host); name != "" {
		cred, err := helper(name).get(ctx, serverOf(host))
		if err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	return c.Get(place)
}

// Keep stores cred for host, in the program that the file names for it, else in
// the file.
func (f File) Keep(ctx context.Context, host string, cred Credential) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	if name := c.Helper(host); name != "" {
		if err := helper(name).store(ctx, serverOf(host), cred); err != nil {
			return err
		}
		if !c.Remove(host) { // or it would be found if the program has none any more
			return nil
		}
	} else {
		c.Set(host, cred)
	}
	return f.write(c)
}

// Helper is the name of the program docker-credential-* that keeps the credentials of
// host, "" if the file does, as they are.
func (f File) Helper(host string) (string, error) {
	c, err := f.read()
	if err != nil {
		return "", err
	}
	return c.Helper(host), nil
}

// Forget removes what is kept for host, and tells whether the file had anything;
// programs do not say.
func (f File) Forget(ctx context.Context, host string) (found bool, err error) {
	c, err := f.read()
	if err != nil {
		return false, err
	}
	if name := c.Helper(host); name != "" {
		if err := helper(name).erase(ctx, serverOf(host)); err != nil {
			return false, err
		}
	}
	if !c.Remove(host) {
		return false, nil
	}
	return true, f.write(c)
}

// maxConfig is more than any config.json has, in bytes.
const maxConfig = 4 << 20

func (f File) read() (*Config, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return ParseConfig(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrConfig, maxConfig)
	}
	return ParseConfig(raw)
}

// write replaces the file as a whole, for its owner's eyes alone. Where it is a
// link, what that leads to is replaced.
func (f File) write(c *Config) error {
	raw, err := c.Encode()
	if err != nil {
		return err
	}
	path := f.Path
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".config.json-*") // has mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(raw)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
