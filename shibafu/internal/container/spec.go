package container

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"shibafu.dev/shibafu/internal/container/cgroup"
	"shibafu.dev/shibafu/internal/container/inside"
	"shibafu.dev/shibafu/internal/terminal"
	"shibafu.dev/step6-client/layer"
)

// ErrSpec says that a container was asked for that cannot be.
var ErrSpec = errors.New("container")

// DefaultProcesses is how many processes and threads a container may have.
const DefaultProcesses = 2048

// Spec is what is asked for. What is zero is as the image says, or not limited.
type Spec struct {
	// Name is that of the container; one of that name runs at a time. It has one of its
	// own where none is given.
	Name     string
	Hostname string
	// Args are the command, or the arguments of the entry point.
	Args []string
	// Entrypoint takes the place of the image's, which then has no command either, unless
	// it is nil.
	Entrypoint []string
	// Env is a list of NAME=value, which counts more than the image's.
	Env  []string
	User string
	Dir  string
	// Interactive passes the standard input on, Terminal gives the container a terminal.
	// With both of them Stdin must be one.
	Interactive, Terminal bool
	Volumes               []inside.Volume
	Ports                 []Port
	HostNetwork           bool
	ReadOnly              bool
	// Limits.Processes is DefaultProcesses where it is 0, and no limit where it is
	// negative.
	Limits cgroup.Limits
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Unpacking is told of each layer that is not unpacked yet, and Started when the main
	// process runs, if they are not nil.
	Unpacking func(layer.Blob)
	Started   func()
}

// Port is one of the machine that leads to one of the container.
type Port struct {
	Host      netip.AddrPort
	Container uint16
}

var (
	nameGrammar     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)
	hostnameGrammar = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$`)
)

// mostText is how many bytes arguments and environment may have together: as much as
// Linux takes for a stack of the usual size.
const mostText = 2 << 20

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSpec, fmt.Sprintf(format, args...))
}

// check refuses what can be seen to be wrong before anything is made.
func (s *Spec) check() error {
	switch {
	case s.Name != "" && !nameGrammar.MatchString(s.Name):
		return wrong("%q cannot be a name: letters, digits and _.- can", s.Name)
	case s.Hostname != "" && !hostnameGrammar.MatchString(s.Hostname):
		return wrong("%q cannot be a hostname", s.Hostname)
	case s.Interactive && s.Terminal && terminal.Of(s.Stdin) == nil: // its end could not be typed
		return wrong("what is typed at a terminal comes from one, and standard input is none: leave -t out, or -i")
	case s.HostNetwork && len(s.Ports) > 0:
		return wrong("with the machine's own network there are no ports to publish: the container's are the machine's")
	case s.Limits.Memory < 0 || s.Limits.CPUs < 0:
		return wrong("a limit below zero")
	case s.Limits.Memory > 0 && s.Limits.Memory < 6<<20:
		return wrong("%d bytes are too little memory to start anything", s.Limits.Memory)
	case s.Limits.CPUs > 0 && s.Limits.CPUs < 0.01:
		return wrong("less than 0.01 processors")
	}
	for _, v := range s.Volumes {
		target := path.Clean(v.Target)
		switch {
		case !filepath.IsAbs(v.Source) || strings.ContainsRune(v.Source, 0):
			return wrong("the volume %q is no absolute path", v.Source)
		case !path.IsAbs(v.Target) || target == "/" || strings.ContainsRune(v.Target, 0):
			return wrong("a volume cannot be at %q", v.Target)
		case inFolder(target, "/proc"), inFolder(target, "/sys"):
			return wrong("nothing can be put into %s", v.Target)
		}
		if _, err := os.Stat(v.Source); err != nil {
			return fmt.Errorf("%w: volume: %w", ErrSpec, err)
		}
	}
	return nil
}

func inFolder(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

// process puts together what the image says and what is asked for.
func (s *Spec) process(i Image) (inside.Process, error) {
	c := i.Config.Config
	p := inside.Process{User: c.User, Dir: c.WorkingDir}
	if s.User != "" {
		p.User = s.User
	}
	if s.Dir != "" {
		p.Dir = s.Dir
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	entry, args := c.Entrypoint, c.Cmd
	if s.Entrypoint != nil {
		entry, args = s.Entrypoint, nil
	}
	if len(s.Args) > 0 {
		args = s.Args
	}
	p.Args = slices.Concat(entry, args)
	p.Env = s.env(c.Env)
	return p, checkProcess(p)
}

// env is the environment: of variables that are named twice the last counts.
func (s *Spec) env(image []string) []string {
	base := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + s.Hostname}
	if s.Terminal {
		base = append(base, "TERM=xterm")
	}
	var env []string
	at := map[string]int{}
	for _, pair := range slices.Concat(base, image, s.Env) {
		name, _, _ := strings.Cut(pair, "=")
		if n, seen := at[name]; seen {
			env[n] = pair
			continue
		}
		at[name] = len(env)
		env = append(env, pair)
	}
	return env
}

func checkProcess(p inside.Process) error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return wrong("the image does not say what to run: name a command after it")
	}
	if !path.IsAbs(p.Dir) || strings.ContainsRune(p.Dir, 0) {
		return wrong("the working directory %q is no absolute path", p.Dir)
	}
	size := 0
	for _, text := range slices.Concat(p.Args, p.Env) {
		size += len(text) + 1
		if strings.ContainsRune(text, 0) {
			return wrong("NUL in an argument or in the environment")
		}
	}
	if size > mostText {
		return wrong("%d bytes of arguments and environment, more than %d", size, mostText)
	}
	for _, pair := range p.Env {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return wrong("the environment has %.64q, which is not NAME=value", pair)
		}
	}
	return nil
}
