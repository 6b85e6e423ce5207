package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// dockerd starts a Docker engine on a store of its own. stop ends it.
func (b *bench) dockerd() (stop func(), err error) {
	folder := filepath.Join(b.work, "docker")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	socket := "unix://" + folder + "/socket"
	log, err := os.Create(folder + "/log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	engine := exec.Command("dockerd", "--data-root", folder+"/data", "--exec-root", folder+"/exec", "-H", socket,
		"--pidfile", folder+"/pid", "--bridge=none", "--iptables=false")
	engine.Stdout, engine.Stderr = log, log
	engine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := engine.Start(); err != nil {
		return nil, err
	}
	os.Setenv("DOCKER_HOST", socket)
	stop = func() {
		engine.Process.Signal(syscall.SIGTERM)
		engine.Wait()
		os.RemoveAll(folder)
	}
	for range 200 {
		if exec.Command("docker", "version").Run() == nil {
			return stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, fmt.Errorf("dockerd does not answer")
}
