package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kind is a registry program.
type kind string

const (
	ours         kind = "shibafu"
	distribution kind = "distribution v3"
	debian       kind = "docker-registry"
	crane        kind = "crane"
	bare         kind = "bare handler"
)

// process is a running server.
type process struct {
	kind    kind
	base    string // http://host:port
	addr    string
	root    string
	cmd     *exec.Cmd
	started time.Duration // from the start of the program to its first answer
}

// start starts a server on a store of its own, or on root if that is not "".
func (b *bench) launch(k kind, root string, args ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if root == "" {
		if root, err = os.MkdirTemp(b.work, "store"); err != nil {
			return nil, err
		}
	}
	p := &process{kind: k, addr: addr, base: "http://" + addr, root: root}
	switch k {
	case ours:
		p.cmd = exec.Command(b.shibafu, append([]string{"registry", "serve", "--addr", addr, "--root", root}, args...)...)
	case crane:
		p.cmd = exec.Command(filepath.Join(b.tools, "crane"), "registry", "serve", "--address", addr, "--disk", root)
	case bare:
		p.cmd = exec.Command(os.Args[0], append([]string{"baseline", addr}, args...)...)
	default:
		program := map[kind]string{distribution: filepath.Join(b.tools, "registry"), debian: "docker-registry"}[k]
		config := filepath.Join(b.work, strings.ReplaceAll(string(k), " ", "-")+".yml")
		yaml := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n", root, addr)
		if err := os.WriteFile(config, []byte(yaml), 0o644); err != nil {
			return nil, err
		}
		p.cmd = exec.Command(program, "serve", config)
		p.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(begin) < 20*time.Second {
		if response, err := http.Get(p.base + "/v2/"); err == nil {
			response.Body.Close()
			p.started = time.Since(begin)
			return p, nil
		}
		time.Sleep(200 * time.Microsecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer", k)
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// stop ends the server; its store stays.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
}

// cpu is the processor time that the server has used.
func (p *process) cpu() time.Duration {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", p.cmd.Process.Pid))
	// schedstat of the process counts its first thread alone, so the threads are
	// added up; it is finer than the ticks of /proc/pid/stat.
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	var total int64
	for _, task := range tasks {
		raw, _ = os.ReadFile(task)
		if fields := strings.Fields(string(raw)); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			total += n
		}
	}
	return time.Duration(total)
}

// memory returns a figure of /proc/pid/status in MiB: VmHWM is the peak, VmRSS
// what it is now.
func (p *process) memory(figure string) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, figure+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// resetPeak makes the peak begin anew.
func (p *process) resetPeak() {
	os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// result is what one workload cost one server.
type result struct {
	kind kind
	n    int           // requests or images
	wall time.Duration // of all of them
	cpu  time.Duration // of the server
	peak float64       // MiB
}

// measure runs f, which makes n requests of p.
func (p *process) measure(n int, f func() error) (result, error) {
	p.resetPeak()
	cpu, begin := p.cpu(), time.Now()
	err := f()
	return result{p.kind, n, time.Since(begin), p.cpu() - cpu, p.memory("VmHWM")}, err
}

// rate is in requests a second, perRequest in microseconds of CPU.
func (r result) rate() float64       { return float64(r.n) / r.wall.Seconds() }
func (r result) perRequest() float64 { return float64(r.cpu.Microseconds()) / float64(r.n) }

func (r result) print() {
	fmt.Printf("  %-16s %10.0f/s  CPU %8.1f us each  peak %5.1f MiB\n", r.kind, r.rate(), r.perRequest(), r.peak)
}

// printData is print for n pieces of size MiB.
func (r result) printData(size float64) {
	gib := float64(r.n) * size / 1024
	fmt.Printf("  %-16s %10.0f MiB/s  CPU %6.3f s/GiB  peak %5.1f MiB\n", r.kind, gib*1024/r.wall.Seconds(), r.cpu.Seconds()/gib, r.peak)
}
