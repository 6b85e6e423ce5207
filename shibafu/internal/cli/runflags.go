package cli

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/inside"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"
)

// stateFlag is where unpacked layers and running containers are.
type stateFlag struct{ folder string }

func (f *stateFlag) define(fs *flag.FlagSet) {
	const name = "run"
	if images, err := place.DefaultStore(); err == nil {
		f.folder = filepath.Join(filepath.Dir(images), name)
	}
	fs.StringVar(&f.folder, "state", f.folder, "`folder` of unpacked layers and running containers")
}

func (f *stateFlag) open() (*container.Store, error) {
	if f.folder == "" {
		return nil, fmt.Errorf("%w: there is no home folder; name a folder with --state", cmdline.ErrUsage)
	}
	folder, err := filepath.Abs(f.folder)
	if err != nil {
		return nil, err
	}
	return container.Open(folder)
}

// specFlags are what a container is to be like.
type specFlags struct{ container.Spec }

func (f *specFlags) define(fs *flag.FlagSet) {
	both := func(long, short, what string, set func(string) error) {
		fs.Func(long, what, set)
		fs.Func(short, "short for --"+long, set)
	}
	both("env", "e", "`NAME=value` for its environment, or NAME for the value that it has here; can be repeated", f.env)
	both("volume", "v", "`SOURCE:TARGET[:ro]` shows a file or folder of this machine in it; can be repeated", f.volume)
	both("publish", "p", "`[ADDRESS:]PORT:PORT` leads a port of this machine, at 127.0.0.1 unless told, to one of its own; can be repeated", f.publish)
	both("memory", "m", "`bytes` of memory that it may have, swap included: 512m, 2g", f.memory)
	fs.StringVar(&f.Dir, "workdir", "", "`folder` in it to start in")
	fs.StringVar(&f.Dir, "w", "", "short for --workdir")
	fs.StringVar(&f.User, "user", "", "`user[:group]` in it, by name or number")
	fs.StringVar(&f.User, "u", "", "short for --user")
	fs.Func("entrypoint", "`program` in the place of the image's entry point and command", func(text string) error {
		f.Entrypoint = []string{}
		if text != "" {
			f.Entrypoint = []string{text}
		}
		return nil
	})
	fs.StringVar(&f.Hostname, "hostname", "", "`name` that it has for itself")
	fs.StringVar(&f.Name, "name", "", "`name` that is its alone while it runs")
	fs.Func("network", "none, which is one of its own that leads nowhere (the default), or host, the machine's", f.network)
	fs.Float64Var(&f.Limits.CPUs, "cpus", 0, "`number` of processors whose time it may have: 1.5")
	fs.Func("pids-limit", fmt.Sprintf("`number` of processes and threads that it may have (default %d); -1 for no limit", container.DefaultProcesses), f.processes)
	fs.BoolVar(&f.ReadOnly, "read-only", false, "its root file system cannot be written to")
	fs.BoolVar(&f.Interactive, "interactive", false, "pass standard input on")
	fs.BoolVar(&f.Interactive, "i", false, "short for --interactive")
	fs.BoolVar(&f.Terminal, "tty", false, "give it a terminal")
	fs.BoolVar(&f.Terminal, "t", false, "short for --tty")
	for _, name := range []string{"it", "ti"} {
		fs.BoolFunc(name, "short for -i -t", func(text string) error {
			on, err := strconv.ParseBool(text)
			f.Interactive, f.Terminal = on, on
			return err
		})
	}
	fs.Bool("rm", true, "remove it when it ends, which is done anyway")
}

func (f *specFlags) env(text string) error {
	name, _, given := strings.Cut(text, "=")
	if name == "" {
		return errors.New("want NAME=value")
	}
	if !given {
		value, here := os.LookupEnv(name)
		if !here {
			return nil
		}
		text = name + "=" + value
	}
	f.Env = append(f.Env, text)
	return nil
}

func (f *specFlags) volume(text string) error {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return errors.New("want SOURCE:TARGET or SOURCE:TARGET:ro")
	}
	v := inside.Volume{Source: parts[0], Target: parts[1]}
	if len(parts) == 3 {
		switch parts[2] {
		case "ro":
			v.ReadOnly = true
		case "rw":
		default:
			return fmt.Errorf("%q: want ro or rw", parts[2])
		}
	}
	if !strings.Contains(v.Source, "/") && v.Source != "." && v.Source != ".." {
		return fmt.Errorf("there are no volumes with names; for the folder of that name say ./%s", v.Source)
	}
	source, err := filepath.Abs(v.Source)
	v.Source = source
	f.Volumes = append(f.Volumes, v)
	return err
}

func (f *specFlags) publish(text string) error {
	if rest, ok := strings.CutSuffix(text, "/tcp"); ok {
		text = rest
	} else if strings.Contains(text, "/") {
		return errors.New("only TCP can be published")
	}
	outer, inner, found := cutLast(text)
	if !found {
		return errors.New("want PORT:PORT or ADDRESS:PORT:PORT")
	}
	target, err := port(inner)
	if err != nil || target == 0 {
		return fmt.Errorf("%q is no port", inner)
	}
	p := container.Port{Container: target}
	address, number, found := cutLast(outer)
	if !found {
		address, number = "127.0.0.1", outer
	}
	ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		return err
	}
	at, err := port(number)
	if err != nil {
		return fmt.Errorf("%q is no port", number)
	}
	p.Host = netip.AddrPortFrom(ip.Unmap(), at)
	f.Ports = append(f.Ports, p)
	return nil
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

func port(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err
}

func (f *specFlags) memory(text string) error {
	n, err := parseBytes(text)
	f.Limits.Memory = n
	return err
}

// parseBytes reads a number of bytes: "64m" are 64 MiB.
func parseBytes(text string) (int64, error) {
	digits := strings.TrimSuffix(strings.ToLower(text), "b")
	shift := 0
	for unit, by := range map[string]int{"k": 10, "m": 20, "g": 30, "t": 40} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = rest, by
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, errors.New("want a number of bytes, such as 512m or 2g")
	}
	return n << shift, nil
}

func (f *specFlags) network(text string) error {
	switch text {
	case "none":
		f.HostNetwork = false
	case "host":
		f.HostNetwork = true
	default:
		return errors.New("want none or host")
	}
	return nil
}

func (f *specFlags) processes(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < -1 {
		return errors.New("want a number, or -1 for no limit")
	}
	if n == 0 {
		n = -1 // as elsewhere
	}
	f.Limits.Processes = n
	return nil
}
