package apitest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// sendRaw writes e.Raw as it is, closes the sending side, and reads one response.
func (s *session) sendRaw(ctx context.Context, e Exchange) (*response, error) {
	if s.base.Scheme != "http" {
		return nil, errors.New("raw exchanges need plain HTTP")
	}
	addr := s.base.Host
	if s.base.Port() == "" {
		addr = net.JoinHostPort(addr, "80")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	// A server that has read enough answers while this is still being written, and
	// then stops reading.
	go func() {
		io.WriteString(conn, e.Raw)
		conn.(*net.TCPConn).CloseWrite()
	}()
	method, _, _ := strings.Cut(e.Raw, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, fmt.Errorf("no response: %w", err)
	}
	return read(resp)
}

// raw puts a request together as it goes over the wire, without checking any of
// it.
func raw(method, target, body string, header ...string) string {
	return method + " {base}" + target + " HTTP/1.1\r\nHost: {host}\r\n" + strings.Join(append(header, "", ""), "\r\n") + body
}
