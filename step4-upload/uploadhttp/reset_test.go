package uploadhttp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step4-upload/upload"
)

// A connection that is reset after each number of bytes, in each form of body: the
// session lives on with some of them, says how many, and comes to the right end.
func TestConnectionReset(t *testing.T) {
	const content = "0123456789"
	g := newRegistry(t, mem.New(), upload.Limits{})
	handled := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mux.ServeHTTP(w, r)
		handled <- struct{}{}
	}))
	defer server.Close()
	bodies := []struct{ name, header, body string }{
		{"known length", "Content-Length: 10", content},
		{"streamed", "Transfer-Encoding: chunked", "5\r\n01234\r\n5\r\n56789\r\n"},
		{"with its place", "Content-Range: 0-9\r\nContent-Length: 10", content},
	}
	for _, tt := range bodies {
		for sent := range len(tt.body) {
			session := g.start()
			reset(t, server.Listener.Addr().String(), session, tt.header, tt.body[:sent])
			<-handled
			a := g.do("GET", session, nil)
			a.want(http.StatusNoContent)
			status, err := g.manager.Status(t.Context(), mustName("team/app"), session[len(uploads):])
			if err != nil || status.Size > int64(sent) {
				t.Fatalf("%s, %d bytes sent: %+v, %v", tt.name, sent, status, err)
			}
			a.want(http.StatusNoContent, progress(session, int(status.Size))...)
			g.finish(session, content[status.Size:], content)
		}
	}
}

// reset begins a PATCH, waits until the server reads its body, sends this part of
// that, and drops the connection.
func reset(t *testing.T, addr, session, header, part string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetLinger(0) // so that closing resets
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\n%s\r\nExpect: 100-continue\r\n\r\n", session, header)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the server says %q, %v", line, err)
	}
	io.WriteString(conn, part)
}
