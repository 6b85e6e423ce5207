package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a registry that is running.
type server struct {
	cmd   *exec.Cmd
	log   string
	url   string // http(s)://host:port
	addr  netip.AddrPort
	admin string // host:port of its admin listener
}

var serving = regexp.MustCompile(`https?://([0-9.]+:[0-9]+)`)

// limits are the flags that all servers get.
func limits() []string {
	return []string{
		"--limits-header", header.String(), "--limits-idle", idle.String(),
		"--limits-window", window.String(), "--limits-rate", strconv.Itoa(rate),
	}
}

// serve starts a registry on the store in root, with flags beside those of limits.
func (a *abuse) serve(root string, flags ...string) (*server, error) {
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &server{admin: admin, log: filepath.Join(a.work, "server.log")}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append([]string{"registry", "serve", "--addr", "127.0.0.1:0", "--root", root, "--admin-addr", admin}, limits()...)
	s.cmd = exec.Command(a.program, append(args, flags...)...)
	s.cmd.Stderr = log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	go io.Copy(io.Discard, out)
	found := serving.FindStringSubmatch(line)
	if found == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		said, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("the server does not start: %q, %s", line, said)
	}
	s.url, s.addr = found[0], netip.MustParseAddrPort(found[1])
	return s, nil
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// stop ends the server, and wants it to end in good order.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		said, _ := os.ReadFile(s.log)
		return fmt.Errorf("the server ends with %w: %.2000s", err, said)
	}
	return nil
}

// state is what can be seen of a server from outside.
type state struct {
	files, goroutines int
	memory, peak      float64 // MiB
}

func (s *server) state() (state, error) {
	var st state
	fds, err := os.ReadDir(s.proc("fd"))
	if err != nil {
		return st, err
	}
	st.files = len(fds)
	status, err := os.ReadFile(s.proc("status"))
	if err != nil {
		return st, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		if name == "VmRSS" || name == "VmHWM" {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			*map[string]*float64{"VmRSS": &st.memory, "VmHWM": &st.peak}[name] = kib / 1024
		}
	}
	st.goroutines, err = s.goroutines()
	return st, err
}

func (s *server) proc(file string) string {
	return fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, file)
}

// goroutines asks the admin listener, over a connection that is closed again.
func (s *server) goroutines() (int, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + s.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var n int
	if _, err := fmt.Fscanf(resp.Body, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("%s has no profile of goroutines: %s", s.admin, resp.Status)
	}
	return n, nil
}

// spare is by how many descriptors and goroutines two states may differ that are the
// same: those of the request that asks, and of what a server does now and then.
const spare = 10

// returns waits until the server is as it was, some seconds at most.
func (s *server) returns(base state) (state, error) {
	var now state
	var err error
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now, err = s.state()
		if err == nil && now.files <= base.files+spare && now.goroutines <= base.goroutines+spare {
			return now, nil
		}
	}
	return now, errors.Join(err, fmt.Errorf("%d descriptors and %d goroutines are %d and %d afterwards", base.files, base.goroutines, now.files, now.goroutines))
}

// connections are the addresses of those whose connection the server holds. One that it
// has closed is not among them, though the kernel may be busy with it.
func (s *server) connections() (map[netip.AddrPort]bool, error) {
	raw, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	all := map[netip.AddrPort]bool{}
	for line := range bytes.Lines(raw) {
		fields := bytes.Fields(line)
		if len(fields) < 10 || string(fields[9]) == "0" || socket(fields[1]) != s.addr {
			continue
		}
		all[socket(fields[2])] = true
	}
	return all, nil
}

// socket reads an address as /proc/net/tcp has it: hexadecimal, the IP address in the
// order of this machine's bytes.
func socket(field []byte) netip.AddrPort {
	var raw [6]byte
	address, port, _ := bytes.Cut(field, []byte(":"))
	if n, err := hex.Decode(raw[:], append(bytes.Clone(address), port...)); err != nil || n != len(raw) {
		return netip.AddrPort{}
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(raw[:4]))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), binary.BigEndian.Uint16(raw[4:]))
}
