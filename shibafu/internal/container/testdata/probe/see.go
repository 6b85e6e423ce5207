package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// shows says of each path whether anything shows there.
func shows(args []string) error {
	for _, name := range args {
		what := "nothing"
		if entries, err := os.ReadDir(name); err == nil && len(entries) > 0 {
			what = fmt.Sprint(entries)
		} else if raw, err := os.ReadFile(name); err == nil && len(raw) > 0 {
			what = fmt.Sprint(len(raw), " bytes")
		}
		fmt.Println(name, what)
	}
	return nil
}

// namespaces prints those of this process.
func namespaces([]string) error {
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		id, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return err
		}
		fmt.Println(kind, id)
	}
	return nil
}

const (
	abstract = "@shibafu-probe"
	memoryAt = "/dev/shm/probe"
)

// leaveTraces makes what another container must not see, for as long as its input lasts.
func leaveTraces([]string) error {
	if _, err := net.Listen("unix", abstract); err != nil {
		return err
	}
	if err := os.WriteFile(memoryAt, []byte("x"), 0o666); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// traces says what it sees of that.
func traces([]string) error {
	_, err := net.Dial("unix", abstract)
	fmt.Println("abstract socket:", reason(err))
	fmt.Println("shared memory:", reason(opened(memoryAt, os.O_RDONLY)))
	processes, err := filepath.Glob("/proc/[0-9]*")
	fmt.Println("processes:", len(processes))
	return err
}
