package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step3-api/api"
)

// Time is made up in these tests: with the default limits, a body must bring 30
// KiB in each 30 seconds, and a slice of 256 KiB must be taken in 286 seconds.
const (
	window   = api.DefaultWindow
	patience = window + api.Slice*time.Second/api.DefaultRate
)

// paced serves h over pipes, with the default limits, until the test ends.
func paced(t *testing.T, h http.HandlerFunc) *pipes {
	ln := newPipes()
	t.Cleanup(serve(t, ln, h, api.Limits{}))
	return ln
}

// dribble writes head, and then data in pieces with a pause after each, until
// somebody closes the connection. It does not wait for that.
func (c client) dribble(t *testing.T, head, data string, piece int, pause time.Duration) {
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		_, err := io.WriteString(c, head)
		for ; err == nil && len(data) > 0; <-time.After(pause) {
			n := min(piece, len(data))
			_, err = io.WriteString(c, data[:n])
			data = data[n:]
		}
	}()
}

func TestDribblingBodyIsCut(t *testing.T) {
	for _, tt := range []struct {
		name         string
		header, body string
		piece        int
		pause, want  time.Duration
	}{
		{"byte by byte", "Content-Length: 100000", strings.Repeat("x", 100000), 1, 5 * time.Second, window},
		{"in chunks", "Transfer-Encoding: chunked", strings.Repeat("1\r\nx\r\n", 1000), 6, 5 * time.Second, window},
		{"nothing at all", "Content-Length: 100000", "", 1, 0, window},
		{"well for a window, then not at all", "Content-Length: 100000", strings.Repeat("x", 40000), 40000, 0, window},
		{"at half the rate", "Content-Length: 100000", strings.Repeat("x", 100000), 512, time.Second, window},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != tt.want {
						t.Errorf("%v after %v, want a timeout after %v", err, time.Since(start), tt.want)
					}
					w.WriteHeader(408)
				})
				c := ln.client(t)
				c.dribble(t, "PUT / HTTP/1.1\r\nHost: x\r\n"+tt.header+"\r\n\r\n", tt.body, tt.piece, tt.pause)
				if resp, _, err := c.receive("PUT"); err != nil || resp.StatusCode != 408 || !resp.Close {
					t.Errorf("response: %v", err)
				}
				if _, err := c.r.ReadByte(); err != io.EOF || time.Since(start) > 2*window+time.Second {
					t.Errorf("the connection ends after %v with %v", time.Since(start), err)
				}
			})
		})
	}
}

// What the handler does not read the server does, so that the client can hear the
// answer; and a client that sends it by the byte is cut off too.
func TestDribblingUnreadBodyIsCut(t *testing.T) {
	for _, size := range []int{0, 1 << 20} { // of a response that the server sends at once, too
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(405)
				io.WriteString(w, strings.Repeat("x", size))
			})
			c := ln.client(t)
			c.dribble(t, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", strings.Repeat("x", 1000), 1, 5*time.Second)
			resp, body, err := c.receive("PUT")
			if err != nil || resp.StatusCode != 405 || !resp.Close || len(body) != size || time.Since(start) != window {
				t.Errorf("response of %d bytes after %v: %v", len(body), time.Since(start), err)
			}
		})
	}
}

func TestSteadyBodyLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		const size = 4 << 20
		ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		})
		c := ln.client(t)
		// 1.25 KiB a second, for almost an hour.
		c.dribble(t, fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size), strings.Repeat("x", size), 25<<8, 5*time.Second)
		if _, body, err := c.receive("PUT"); err != nil || body != fmt.Sprint(size, nil) || time.Since(start) < 50*time.Minute {
			t.Errorf("%q, %v after %v", body, err, time.Since(start))
		}
	})
}

// The time that the handler takes is not the client's.
func TestSlowHandlerIsNotTheClientsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
			<-time.After(10 * time.Minute) // before it reads
			first := make([]byte, 1000)
			io.ReadFull(r.Body, first)
			<-time.After(10 * time.Minute) // in the middle
			n, err := io.Copy(io.Discard, r.Body)
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			<-time.After(10 * time.Minute) // while it writes
			_, writeErr := io.WriteString(w, strings.Repeat(" ", 10000))
			fmt.Fprint(w, n, err, writeErr, r.Context().Err())
		})
		c := ln.client(t)
		c.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000))
		if _, body, err := c.receive("PUT"); err != nil || strings.ReplaceAll(body, " ", "") != "half2000<nil><nil><nil>" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// A handler that is slow and then does not want the body costs the client neither
// the answer nor the connection.
func TestSlowRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
			<-time.After(10 * time.Minute)
			w.WriteHeader(405)
		})
		c := ln.client(t)
		for range 2 {
			c.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000))
			if resp, _, err := c.receive("PUT"); err != nil || resp.StatusCode != 405 || resp.Close {
				t.Fatalf("response: %v", err)
			}
		}
	})
}

// When the body is read, its deadline must be gone: the server goes on reading to
// notice when the client leaves, and would take it for that. (net/http sees to it.)
func TestDeadlineEndsWithTheBody(t *testing.T) {
	for name, header := range map[string]string{
		"sized":   "Content-Length: 5\r\n\r\nhello",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"empty":   "Content-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					<-time.After(time.Hour)
					fmt.Fprint(w, r.Context().Err())
				})
				c := ln.client(t)
				c.send("PUT / HTTP/1.1\r\nHost: x\r\n" + header)
				if _, body, err := c.receive("PUT"); err != nil || body != "<nil>" {
					t.Errorf("%q, %v", body, err)
				}
			})
		})
	}
}

// large writes a response in one piece, as a manifest is written.
func large(size int, done func(error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, strings.Repeat("x", size))
		done(err)
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration
	}{{"reads nothing", 0}, {"reads a byte now and then", 10 * time.Second}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				cut := make(chan struct{})
				ln := paced(t, large(1<<20, func(err error) {
					if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != patience {
						t.Errorf("%v after %v, want a timeout after %v", err, time.Since(start), patience)
					}
					close(cut)
				}))
				c := ln.client(t)
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				one := make([]byte, 1)
				for tt.pause > 0 {
					if _, err := c.Conn.Read(one); err != nil {
						break
					}
					<-time.After(tt.pause)
				}
				<-cut
			})
		})
	}
}

// An answer without a body has a deadline too.
func TestAnswerThatNobodyReads(t *testing.T) {
	for _, body := range []string{"", "hello"} {
		synctest.Test(t, func(t *testing.T) {
			c := paced(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202) }).client(t)
			c.send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			<-time.After(patience + time.Second)
			if _, _, err := c.receive("PUT"); err == nil {
				t.Errorf("it is still there, after a body of %d bytes", len(body))
			}
		})
	}
}

func TestSteadyReaderLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		const size = 4 << 20
		ln := paced(t, large(size, func(err error) {
			if err != nil {
				t.Error(err)
			}
		}))
		c := ln.client(t)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		total := 0
		for buf := make([]byte, 10<<10); total < size; <-time.After(10 * time.Second) {
			n, err := io.ReadFull(c.Conn, buf)
			if total += n; err != nil && total < size {
				t.Fatalf("%d bytes after %v: %v", total, time.Since(start), err)
			}
		}
		if time.Since(start) < time.Hour {
			t.Errorf("took only %v", time.Since(start))
		}
	})
}

// The deadline of one response must not be left for the next, which may come much
// later and have no body that would renew it. (net/http sees to it.)
func TestDeadlineEndsWithTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				io.WriteString(w, "hello")
				return
			}
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(202)
		})
		c := ln.client(t)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body, err := c.receive("GET"); err != nil || body != "hello" {
			t.Fatalf("%q, %v", body, err)
		}
		c.dribble(t, fmt.Sprintf("PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size), strings.Repeat("x", size), 25<<8, 5*time.Second)
		for range 3 { // and so it goes on
			resp, _, err := c.receive("PATCH")
			if err != nil || resp.StatusCode != 202 || resp.Close {
				t.Fatalf("PATCH: %v", err)
			}
			<-time.After(time.Minute)
			c.send("PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		}
		c.receive("PATCH")
	})
}

// A client that asks before it sends a body hears the refusal instead.
func TestExpectContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := paced(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				w.WriteHeader(401)
				return
			}
			<-time.After(10 * time.Minute)
			body, err := io.ReadAll(r.Body)
			fmt.Fprint(w, string(body), err)
		})
		start := time.Now()
		c := ln.client(t)
		c.send("PUT /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if resp, _, err := c.receive("PUT"); err != nil || resp.StatusCode != 401 || time.Since(start) > 0 {
			t.Errorf("refused: %v after %v", err, time.Since(start))
		}
		c = ln.client(t)
		for range 2 { // on the same connection
			c.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
			if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("%q, %v", line, err)
			}
			c.r.ReadString('\n')
			c.send("hello")
			if _, body, err := c.receive("PUT"); err != nil || body != "hello<nil>" {
				t.Fatalf("%q, %v", body, err)
			}
		}
	})
}
