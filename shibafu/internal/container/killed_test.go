package container_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/shibafu/internal/container"
)

// runnerIn is the folder of the store in which TestRunner runs a container.
const runnerIn = "CONTAINER_TEST_RUNNER"

// TestRunner is a process of its own that can be killed.
func TestRunner(t *testing.T) {
	dir := os.Getenv(runnerIn)
	if dir == "" {
		return
	}
	s, err := container.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Run(t.Context(), image(t), container.Spec{Name: "orphan", Args: []string{"/probe", "family"}, Stdout: os.Stdout, Stderr: os.Stderr}, nil)
	t.Error(err)
}

// When the process that runs a container is killed, the container is gone within a
// second, with all its processes, and the next one removes what it has left.
func TestRunnerIsKilled(t *testing.T) {
	w := newWorld(t)
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRunner$")
	cmd.Env = append(os.Environ(), runnerIn+"="+w.dir, asUser+"="+programs)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_ = cmd.Wait()
	lock, err := os.Open(filepath.Join(w.dir, "containers", "orphan", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // the first process has it until it ends
		t.Fatal(err)
	}
	const patience = 5 * time.Second // of a machine that has much else to do
	if took := time.Since(begin); took > patience {
		t.Errorf("the container lived on for %v", took)
	}
	lock.Close()
	w.says("", image(t), container.Spec{Name: "orphan"}, "/probe", "exit", "0")
}
