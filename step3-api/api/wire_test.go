package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
)

// conversation sends text as it is, ends the sending side, and returns what comes
// back: the status of each response, with its body where that is JSON or our own.
func conversation(t *testing.T, addr, text string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { // a server that has heard enough answers before it has heard all
		io.WriteString(conn, text)
		conn.(*net.TCPConn).CloseWrite()
	}()
	var all []string
	for r := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		body, _ := io.ReadAll(resp.Body)
		line := fmt.Sprint(resp.StatusCode)
		if resp.StatusCode == 200 {
			line += " " + string(body)
		}
		all = append(all, line)
	}
}

// What arrives on a connection is cut into requests in one way only, or not at
// all: each row has a second request behind the first, and it must not be found
// in the body of that.
func TestFraming(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, "next")
		return err
	})
	mux.Handle(endpoint.UploadChunk, func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return nil
		}
		fmt.Fprintf(w, "%s", body)
		return nil
	})
	addr := strings.TrimPrefix(serveTCP(t, mux, api.Limits{}), "http://")

	const patch = "PATCH /v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000 HTTP/1.1\r\nHost: x\r\n"
	const next = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
	tests := []struct {
		name, reason, request string
		want                  []string
	}{
		{"sized", "", patch + "Content-Length: 5\r\n\r\nhello", []string{"200 hello", "200 next"}},
		{"chunked", "", patch + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"200 hello", "200 next"}},
		{"chunked with an extension and a trailer", "both are read and left alone", patch + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
			[]string{"200 hello", "200 next"}},
		{"equal lengths twice", "RFC 9112, section 6.3: may be taken for one", patch + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", []string{"200 hello", "200 next"}},
		{"chunked and a length that is shorter", "the chunks count: RFC 9112, section 6.1", patch + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			[]string{"200 hello", "200 next"}},
		{"chunked and a length that is longer", "same", patch + "Transfer-Encoding: chunked\r\nContent-Length: 300\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			[]string{"200 hello", "200 next"}},
		{"folded header", "a line that is folded counts as one", patch + "X-Folded: a\r\n Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello", []string{"200 hello", "200 next"}},
		{"no body", "neither header: RFC 9112, section 6.3", patch + "\r\n", []string{"200 ", "200 next"}},

		{"two lengths", "RFC 9112, section 6.3", patch + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", []string{"400"}},
		{"two lengths in one", "RFC 9112, section 6.3", patch + "Content-Length: 5, 6\r\n\r\nhello", []string{"400"}},
		{"negative length", "not of the grammar", patch + "Content-Length: -1\r\n\r\n", []string{"400"}},
		{"signed length", "not of the grammar", patch + "Content-Length: +5\r\n\r\nhello", []string{"400"}},
		{"hexadecimal length", "not of the grammar", patch + "Content-Length: 0x5\r\n\r\nhello", []string{"400"}},
		{"length past all numbers", "not of the grammar", patch + "Content-Length: 99999999999999999999\r\n\r\nhello", []string{"400"}},
		{"unknown coding", "RFC 9112, section 6.1", patch + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []string{"501"}},
		{"coding under another", "RFC 9112, section 6.1", patch + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []string{"501"}},
		{"chunked twice", "RFC 9112, section 6.1", patch + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"501"}},
		{"chunked in HTTP/1.0", "RFC 9112, section 6.1: the length that is said is not trusted either, and the connection ends",
			strings.Replace(patch, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"200 "}},
		{"space before the colon", "RFC 9112, section 5.1", patch + "Content-Length : 5\r\n\r\nhello", []string{"400"}},
		{"header without a colon", "not of the grammar", patch + "hello\r\n\r\n", []string{"400"}},
		{"NUL in a header", "RFC 9110, section 5.5", patch + "X: a\x00b\r\n\r\n", []string{"400"}},
		{"no Host", "RFC 9112, section 3.2", "GET /v2/ HTTP/1.1\r\n\r\n", []string{"400"}},
		{"two Hosts", "RFC 9112, section 3.2", "GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []string{"400"}},
		{"Host that is none", "RFC 9112, section 3.2", "GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n", []string{"400"}},
		{"space in the target", "not of the grammar", "GET /v2/ x HTTP/1.1\r\nHost: x\r\n\r\n", []string{"400"}},
		{"no version", "", "GET /v2/\r\n\r\n", []string{"400"}},
		{"HTTP/2 in the clear", "not spoken here", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []string{"404"}},

		{"bare LF in a chunk", "RFC 9112, section 7.1", patch + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", []string{"400"}},
		{"bare LF behind an extension", "same", patch + "Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n", []string{"400"}},
		{"chunk longer than it says", "", patch + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", []string{"400"}},
		{"chunk of a negative size", "", patch + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", []string{"400"}},
		{"chunk past all numbers", "", patch + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", []string{"400"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := conversation(t, addr, tt.request+next); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q (%s)", got, tt.want, tt.reason)
			}
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, api.Base)
	header := func(size int) string {
		return "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", size) + "\r\nConnection: close\r\n\r\n"
	}
	for _, tt := range []struct {
		name   string
		limits api.Limits
		size   int
		want   []string
	}{
		{"200 KiB", api.Limits{}, 200 << 10, []string{"200 {}"}},
		{"2 MiB", api.Limits{}, 2 << 20, []string{"431"}},
		{"within a limit that is set", api.Limits{HeaderBytes: 1 << 20}, 1000 << 10, []string{"200 {}"}},
		{"over a limit that is set", api.Limits{HeaderBytes: 8 << 10}, 100 << 10, []string{"431"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := strings.TrimPrefix(serveTCP(t, mux, tt.limits), "http://")
			if got := conversation(t, addr, header(tt.size)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
