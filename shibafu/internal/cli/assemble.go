package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"path"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"

	"shibafu.dev/shibafu/internal/image"
	"shibafu.dev/shibafu/internal/store"
)

// assembleFlags say what an image is put together from.
type assembleFlags struct {
	layers          string
	cmd, entrypoint string
	config          oci.ContainerConfig
	set             []string // the flags that mean nothing without --layers
}

func (f *assembleFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.layers, "layers", "", "`names` of layers, with commas between them, the lowest first: the image is put together from them, and kept here too")
	f.dependent(fs, "cmd", "`command` that a container runs, as words or as a JSON list", func(s string) error { return words(&f.config.Cmd, s) })
	f.dependent(fs, "entrypoint", "`command` that --cmd is the arguments of, as words or as a JSON list", func(s string) error { return words(&f.config.Entrypoint, s) })
	f.dependent(fs, "env", "`NAME=value` in the environment of a container; may be given again", f.addEnv)
	f.dependent(fs, "label", "`key=value` that the image says of itself; may be given again", f.addLabel)
	f.dependent(fs, "workdir", "`folder` that a container starts in", f.setWorkdir)
	f.dependent(fs, "user", "`user[:group]` that a container runs as", func(s string) error { f.config.User = s; return nil })
	f.dependent(fs, "expose", "`port[/tcp|/udp]` that a container listens on; may be given again", f.addPort)
}

// dependent defines a flag that means nothing without --layers.
func (f *assembleFlags) dependent(fs *flag.FlagSet, name, usage string, set func(string) error) {
	fs.Func(name, usage, func(s string) error {
		f.set = append(f.set, name)
		return set(s)
	})
}

// words reads a JSON list of strings, or words between blanks.
func words(into *[]string, text string) error {
	if !strings.HasPrefix(strings.TrimSpace(text), "[") {
		*into = strings.Fields(text)
		return nil
	}
	if json.Unmarshal([]byte(text), into) != nil {
		return errors.New(`want words, or a JSON list such as ["python", "app.py"]`)
	}
	return nil
}

// addEnv takes the place of an earlier value of the same name.
func (f *assembleFlags) addEnv(text string) error {
	name, _, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsRune(text, 0) {
		return errors.New("want NAME=value")
	}
	for i, e := range f.config.Env {
		if strings.HasPrefix(e, name+"=") {
			f.config.Env[i] = text
			return nil
		}
	}
	f.config.Env = append(f.config.Env, text)
	return nil
}

func (f *assembleFlags) addLabel(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return errors.New("want key=value")
	}
	if f.config.Labels == nil {
		f.config.Labels = map[string]string{}
	}
	f.config.Labels[key] = value
	return nil
}

func (f *assembleFlags) setWorkdir(text string) error {
	if !path.IsAbs(text) {
		return errors.New("want a path that begins with a slash")
	}
	f.config.WorkingDir = path.Clean(text)
	return nil
}

func (f *assembleFlags) addPort(text string) error {
	number, protocol, ok := strings.Cut(text, "/")
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || ok && protocol != "tcp" && protocol != "udp" {
		return errors.New("want a port, or port/tcp or port/udp")
	}
	if !ok {
		text += "/tcp"
	}
	if f.config.ExposedPorts == nil {
		f.config.ExposedPorts = map[string]struct{}{}
	}
	f.config.ExposedPorts[text] = struct{}{}
	return nil
}

// recipe finds the layers. platform is nil for this machine's.
func (f *assembleFlags) recipe(ctx context.Context, local *store.Store, platform *oci.Platform) (image.Recipe, error) {
	r := image.Recipe{Platform: store.HostPlatform(), Config: f.config}
	if platform != nil {
		r.Platform = *platform
	}
	var err error
	if r.Created, err = timeOr(""); err != nil {
		return r, err
	}
	for name := range strings.SplitSeq(f.layers, ",") {
		l, err := local.Layer(ctx, name)
		if err != nil {
			return r, err
		}
		r.Layers = append(r.Layers, l)
	}
	return r, nil
}

// assemble puts the image together, under the whole name that reference says.
func (f *assembleFlags) assemble(ctx context.Context, c *copyFlags, reference string, s Streams) error {
	r, err := place.Complete(reference)
	if err != nil {
		return about(reference, err)
	}
	if !r.Digest.IsZero() {
		return fmt.Errorf("%w: an image that is being made has no digest yet: %s", cmdline.ErrUsage, reference)
	}
	platform, err := c.platform()
	if err != nil {
		return err
	}
	local, err := c.create(ctx, waitingOn(s))
	if err != nil {
		return err
	}
	recipe, err := f.recipe(ctx, local, platform)
	if err == nil {
		_, err = local.Assemble(ctx, r.String(), recipe)
	}
	return errors.Join(err, local.Close())
}
