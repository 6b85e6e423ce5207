package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

// bomb starts processes until there may be no more.
func bomb(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		// A thread of this program costs more than a process that only waits.
		pid, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
		if errno != 0 {
			_, err := fmt.Println("no more")
			return err
		}
		if pid == 0 {
			for {
				syscall.RawSyscall(sysPpoll, 0, 0, 0)
			}
		}
	}
	_, err = fmt.Println(n, "processes")
	return err
}

// descriptors opens files until there may be no more.
func descriptors([]string) error {
	const most = 1 << 21
	for range most {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			_, err := fmt.Println("no more")
			return err
		} else if err != nil {
			return err
		}
	}
	_, err := fmt.Println("more than", most)
	return err
}

// deep makes a folder in a folder, so many times.
func deep(args []string) error {
	n, err := strconv.Atoi(args[0])
	for range n {
		err = errors.Join(err, os.Mkdir("a", 0), os.Chmod("a", 0o700), os.Chdir("a"))
	}
	if err == nil {
		err = os.Chmod(".", 0)
	}
	fmt.Println("deep")
	return err
}

// fill writes to a file until there is no room.
func fill(args []string) error {
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	const most = 1 << 30
	for block, n := make([]byte, 1<<16), 0; n < most; n += len(block) {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			_, err := fmt.Println("full")
			return err
		} else if err != nil {
			return err
		}
	}
	return errors.New("there is no end")
}

// leave starts a process that stops itself, and ends.
func leave([]string) error {
	attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}}
	p, err := os.StartProcess("/probe", []string{"probe", "spin", "600000"}, attr)
	if err != nil {
		return err
	}
	fmt.Println("left")
	return p.Signal(syscall.SIGSTOP)
}

// hold takes a file from whoever connects, and has it until its input ends.
func hold(args []string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return err
	}
	defer os.Remove(args[0] + ".ready")
	if err := os.WriteFile(args[0]+".ready", nil, 0o644); err != nil {
		return err
	}
	c, err := l.AcceptUnix()
	if err != nil {
		return err
	}
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), make([]byte, syscall.CmsgSpace(4)))
	if err != nil || n == 0 {
		return errors.Join(err, errors.New("no file came"))
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// hand gives its standard output to whoever listens.
func hand(args []string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return err
	}
	if _, _, err := c.WriteMsgUnix([]byte{1}, syscall.UnixRights(1), nil); err != nil {
		return err
	}
	_, err = fmt.Println("mine")
	return err
}

// output writes so many bytes.
func output(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for block := make([]byte, 1<<16); n > 0; n -= len(block) {
		if _, err := os.Stdout.Write(block[:min(n, len(block))]); err != nil {
			return err
		}
	}
	return nil
}
