package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"unsafe"
)

// signalFirst sends a signal to the first process, and says what comes of it here.
func signalFirst(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.Signal(n))
	if err := syscall.Kill(1, syscall.Signal(n)); err != nil {
		return err
	}
	_, err = fmt.Println(<-c)
	return err
}

// kill sends a signal to a process, or to this one.
func kill(args []string) error {
	pid := os.Getpid()
	if args[0] != "self" {
		pid, _ = strconv.Atoi(args[0])
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.Signal(n))
}

// family starts a process that does not end, says that it is ready, and does not end.
func family([]string) error {
	attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}}
	if _, err := os.StartProcess("/probe", []string{"probe", "spin", "600000"}, attr); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

// resized says how large the terminal is, and again when that changes.
func resized([]string) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	var was, size struct{ rows, columns, x, y uint16 }
	for n := 0; n < 2; {
		if err := raw(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size))); err != nil {
			return err
		}
		if size != was && size.rows != 0 {
			fmt.Println(size.rows, size.columns)
			was = size
			n++
			continue
		}
		<-c
	}
	return nil
}

// server echoes all connections to a port, until its input ends.
func server(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
