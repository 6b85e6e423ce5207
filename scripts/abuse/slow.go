package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// slow is a registry under those who take their time: with the header, with the body,
// with the answer, and with the next request.
func (a *abuse) slow() (string, error) {
	return a.beside("open", func(s *server, blob string) (string, error) {
		lives, err := s.gather(
			crowd{name: "header dribblers", n: 1000, within: header, behave: dribbleHeader},
			crowd{name: "body dribblers", n: 500, within: 2*window + time.Second/2, behave: dribbleBody},
			crowd{name: "slow readers", n: 500, within: patience, buffer: 4 << 10, behave: func(c net.Conn, _ int) { readSlowly(c, blob) }},
			crowd{name: "idle connections", n: 2000, within: idle, behave: idleAfterOne},
		)
		return fmt.Sprintf("1000 header dribblers are gone after %s, 500 body dribblers %s, 500 slow readers %s, 2000 idle %s",
			seconds(lives[0]), seconds(lives[1]), seconds(lives[2]), seconds(lives[3])), err
	})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// dribble writes a byte of text a second until nobody takes them any more.
func dribble(c net.Conn, text string) {
	go func() {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}()
	ended(c)
}

func dribbleHeader(c net.Conn, _ int) {
	io.WriteString(c, "GET /v2/ HTTP/1.1\r\nHost: registry\r\n")
	dribble(c, strings.Repeat("X-Header: value\r\n", 10))
}

// dribbleBody starts an upload, and sends the chunk by the byte.
func dribbleBody(c net.Conn, i int) {
	fmt.Fprintf(c, "POST /v2/slow/n%d/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\n\r\n", i%10)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		return
	}
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: registry\r\nContent-Length: 1000000\r\n\r\n", resp.Header.Get("Location"))
	dribble(c, strings.Repeat("x", 1000))
}

// readSlowly asks for a large blob and reads a byte of it a second.
func readSlowly(c net.Conn, blob string) {
	fmt.Fprintf(c, "GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: registry\r\n\r\n", repository, blob)
	one := make([]byte, 1)
	for {
		if _, err := c.Read(one); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// idleAfterOne makes one request, as a client does, and never another.
func idleAfterOne(c net.Conn, _ int) {
	io.WriteString(c, "GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n")
	ended(c)
}
