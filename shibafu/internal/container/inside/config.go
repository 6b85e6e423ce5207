// Package inside is the first process of a container. It is started in namespaces of
// its own as root of them, makes the root file system, gives up what root could do,
// starts the main process, and then does what a first process has to: it collects
// those that have ended, passes on signals, and ends with the main process, upon
// which the kernel ends all others.
//
// Reading order: config.go (what it is told), main.go (its life), mounts.go,
// devices.go, hide.go (the root file system), volumes.go, etc.go, user.go,
// process.go (what is given up, and the main process), init.go (afterwards).
package inside

import (
	"bytes"
	"encoding/gob"
	"errors"
	"io"
	"os"

	"shibafu.dev/shibafu/internal/container/userns"
)

// Name is what the program is called as this process.
const Name = "shibafu-container"

// Files that are inherited besides the standard ones and userns.GateFile.
const (
	controlFile = userns.GateFile + 1 + iota
	configFile
	lockFile // held until this process ends
)

// Exit codes of a container that never ran, as other runners have them.
const (
	CodeFailed        = 125 // something is wrong around it
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// Config is what the first process is told. All of it has been checked, but nothing
// has been looked up in the image.
type Config struct {
	Overlay  Overlay
	Hostname string
	// Hosts and Resolv are the contents of /etc/hosts and /etc/resolv.conf.
	Hosts, Resolv []byte
	Volumes       []Volume
	ReadOnly      bool
	// HostNetwork is that the network namespace is the machine's.
	HostNetwork bool
	// Cgroups says which trees of control groups to show: see cgroup.Host.Trees.
	Cgroups  []string
	Terminal bool
	// Columns and Rows are the size that the terminal has at first.
	Columns, Rows int
	// Mapping has the users that there are.
	Users Users
	// MostProcesses is a limit for where no control group has one; 0 is none.
	MostProcesses uint64
	Process       Process
}

// Overlay says what the root file system consists of. Lower, the topmost first, Upper
// and Work are relative to From, Target is where it is put together.
type Overlay struct {
	From, Target string
	Lower        []string
	Upper, Work  string
	// UserXattr is how whiteouts are marked where nobody is root.
	UserXattr bool
}

// Volume is a file or folder of the machine that is shown in the container.
type Volume struct {
	Source, Target string
	ReadOnly       bool
}

// Users says which ids there are besides root.
type Users struct {
	// Namespace is that the users are those of a user namespace.
	Namespace bool
	// First ids that there are not; 0 is no bound.
	UIDs, GIDs uint64
	// Lacks says why there is nobody but root, "" if there is.
	Lacks string
}

// Process is the main process.
type Process struct {
	Args []string
	Env  []string
	// User is that of the image or of the command line: "user", "uid:gid" and so on.
	User string
	// Dir is an absolute path.
	Dir string
}

// Encode is the configuration as the process reads it. Arguments and paths are bytes,
// in any encoding or none, which JSON does not pass on as they are.
func (c *Config) Encode() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(c)
	return b.Bytes(), err
}

func readConfig(f *os.File) (*Config, error) {
	defer f.Close()
	var c Config
	d := gob.NewDecoder(f)
	if err := d.Decode(&c); err != nil {
		return nil, err
	}
	if err := d.Decode(&Config{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("container: more than a configuration")
	}
	return &c, nil
}
