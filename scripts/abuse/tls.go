package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// silence is connections to a port with TLS that never say hello, or say it by the byte.
func (a *abuse) silence() (string, error) {
	return a.secure(func(s *server, _ string) (string, error) {
		lives, err := s.gather(
			crowd{name: "silent connections", n: 1000, within: header, behave: func(c net.Conn, _ int) { ended(c) }},
			crowd{name: "dribbled hellos", n: 500, within: header, behave: func(c net.Conn, _ int) { dribble(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") }},
		)
		return fmt.Sprintf("1000 connections that never say hello are gone after %s, 500 that dribble it %s", seconds(lives[0]), seconds(lives[1])), err
	})
}

// strangers speak something else to a port with TLS.
func (a *abuse) strangers() (string, error) {
	return a.secure(func(s *server, _ string) (string, error) {
		const n = 100
		var m must
		var slowest time.Duration
		for range n {
			for _, kind := range []struct{ name, says, answer string }{
				{"HTTP", "GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n", "HTTP/1.0 400 "},
				{"a hello that is too large", "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 1<<16), "\x15\x03"},
				{"noise", strings.Repeat("\xde\xad\xbe\xef", 256), ""},
				{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", ""},
			} {
				took, err := s.stranger(kind.says, kind.answer)
				slowest = max(slowest, took)
				m.hold(err == nil, "%s: %v", kind.name, err)
			}
			m.add(s.tls11())
		}
		m.hold(slowest < time.Second, "one is there for %v", slowest)
		return fmt.Sprintf("HTTP, noise, SSH, a hello of 64 KiB and TLS 1.1 are told so, and gone after %d ms at most", slowest.Milliseconds()), m.err()
	})
}

// stranger says something, and wants an answer that begins so, and the end. Some are just
// cut off.
func (s *server) stranger(says, answer string) (time.Duration, error) {
	c, err := s.dial(here, 0)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	begin := time.Now()
	c.SetDeadline(begin.Add(10 * time.Second))
	go io.WriteString(c, says)
	got, err := io.ReadAll(c)
	if !bytes.HasPrefix(got, []byte(answer)) || errors.Is(err, os.ErrDeadlineExceeded) {
		return time.Since(begin), fmt.Errorf("the answer is %.40q, %v", got, err)
	}
	return time.Since(begin), nil
}

// tls11 is a client that speaks no more than TLS 1.1, which must be told so.
func (s *server) tls11() error {
	c, err := s.dial(here, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	err = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
	if err != nil && strings.Contains(err.Error(), "protocol version not supported") { // an alert
		return nil
	}
	return fmt.Errorf("the handshake ends with %v", err)
}
