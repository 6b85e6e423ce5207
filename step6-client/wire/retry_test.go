package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step6-client/wire"
)

// pipes is a listener whose connections are made by dial, without a network, so that
// time can stand still.
type pipes struct {
	made  chan net.Conn
	ended chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.ended); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.made <- server:
		return client, nil
	case <-p.ended:
		return nil, errors.New("connection refused")
	}
}

// inBubble runs f with a connection to a server of h, in a bubble of its own time.
func inBubble(t *testing.T, h http.HandlerFunc, opts wire.Options, f func(t *testing.T, c *wire.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: h}
		go server.Serve(p)
		opts.Dial = p.dial
		opts.Scheme = "http"
		c, err := wire.New("registry.test", opts)
		if err != nil {
			t.Fatal(err)
		}
		f(t, c)
		c.Close()
		server.Close()
		time.Sleep(time.Second) // for which a server holds connections that it ended; it takes no time here
	})
}

func get(c *wire.Conn) *wire.Request {
	return &wire.Request{Method: "GET", URL: &url.URL{Scheme: c.Origin().Scheme, Host: c.Origin().Host, Path: "/v2/"}}
}

func TestRetries(t *testing.T) {
	answer := func(statuses ...int) func(int, http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) { w.WriteHeader(statuses[min(n, len(statuses)-1)]) }
	}
	after := func(value string) func(int, http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) {
			if n == 0 {
				if value == "date" {
					value = time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
				}
				w.Header().Set("Retry-After", value)
				w.WriteHeader(429)
			}
		}
	}
	cut := func(n int, w http.ResponseWriter) {
		if n < 2 {
			panic(http.ErrAbortHandler)
		}
	}
	for _, tt := range []struct {
		name           string
		answer         func(int, http.ResponseWriter)
		once           bool
		status, asked  int
		least, longest time.Duration
	}{
		{"success", answer(200), false, 200, 1, 0, 0},
		{"404 stays", answer(404), false, 404, 1, 0, 0},
		{"501 stays", answer(501), false, 501, 1, 0, 0},
		{"408 passes", answer(408, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"425 passes", answer(425, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"429 passes", answer(429, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"500 passes", answer(500, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"502 passes", answer(502, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"504 passes", answer(504, 200), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"twice as long each time", answer(503, 503, 503, 200), false, 200, 4, 875 * time.Millisecond, 1750 * time.Millisecond},
		{"not for ever", answer(503), false, 503, 6, 3875 * time.Millisecond, 7750 * time.Millisecond},
		{"not what is asked for once", answer(503), true, 503, 1, 0, 0},
		{"cut connections", cut, false, 200, 3, 375 * time.Millisecond, 750 * time.Millisecond},
		{"Retry-After in seconds", after("7"), false, 200, 2, 7 * time.Second, 7 * time.Second},
		{"Retry-After as a date", after("date"), false, 200, 2, 89 * time.Second, 90 * time.Second},
		{"Retry-After that is none", after("soon"), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"Retry-After of a time that is over", after("Mon, 01 Jan 1990 00:00:00 GMT"), false, 200, 2, 125 * time.Millisecond, 250 * time.Millisecond},
		{"Retry-After longer than anyone's patience", after("86400"), false, 429, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			h := func(w http.ResponseWriter, r *http.Request) {
				asked++
				tt.answer(asked-1, w)
			}
			inBubble(t, h, wire.Options{}, func(t *testing.T, c *wire.Conn) {
				start, r := time.Now(), get(c)
				r.Once = tt.once
				resp, err := c.Do(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if took := time.Since(start); resp.StatusCode != tt.status || asked != tt.asked || took < tt.least || took > tt.longest {
					t.Errorf("status %d after %d attempts and %v; want %d, %d, %v to %v", resp.StatusCode, asked, took, tt.status, tt.asked, tt.least, tt.longest)
				}
			})
		})
	}
}

// Who gives up is not kept waiting.
func TestRetryEndsWithContext(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(503)
	}
	inBubble(t, h, wire.Options{}, func(t *testing.T, c *wire.Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Do(ctx, get(c))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A body is sent anew, from its start, with each attempt.
func TestRetryWithBody(t *testing.T) {
	var got []string
	h := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, string(body))
		if len(got) < 3 {
			w.WriteHeader(500)
		}
	}
	inBubble(t, h, wire.Options{}, func(t *testing.T, c *wire.Conn) {
		r := get(c)
		r.Method, r.Length = "PUT", 5
		r.Body = func() (io.ReadCloser, error) { return io.NopCloser(&fiveBytes{}), nil }
		resp, err := c.Do(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := "[abcde abcde abcde]"; fmt.Sprint(got) != want {
			t.Errorf("sent %v, want %s", got, want)
		}
	})
}

type fiveBytes struct{ read bool }

func (b *fiveBytes) Read(p []byte) (int, error) {
	if b.read {
		return 0, io.EOF
	}
	b.read = true
	return copy(p, "abcde"), nil
}

// What stands still is given up after a while: an answer that stops, and a server
// that stops reading.
func TestStalled(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int64 // of what is sent
	}{{"body of an answer", 0}, {"body of a request", 1 << 20}} {
		t.Run(tt.name, func(t *testing.T) {
			var ended chan struct{} // of the bubble
			h := func(w http.ResponseWriter, r *http.Request) {
				if tt.size == 0 {
					w.Header().Set("Content-Length", "10")
					w.Write([]byte("abc"))
					w.(http.Flusher).Flush()
				}
				<-ended
			}
			inBubble(t, h, wire.Options{Stall: 20 * time.Second, Retries: -1}, func(t *testing.T, c *wire.Conn) {
				ended = make(chan struct{})
				defer close(ended)
				r := get(c)
				r.Length = tt.size
				r.Body = func() (io.ReadCloser, error) { return io.NopCloser(zeros{}), nil }
				start := time.Now()
				resp, err := c.Do(t.Context(), r)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if took := time.Since(start); !errors.Is(err, wire.ErrStalled) || took != 20*time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A reader may take as long as it likes.
func TestSlowReaderIsNotStalled(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 100<<10)) }
	inBubble(t, h, wire.Options{Stall: 20 * time.Second}, func(t *testing.T, c *wire.Conn) {
		resp, err := c.Do(t.Context(), get(c))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var one [10 << 10]byte
		for range 10 {
			time.Sleep(time.Hour)
			if _, err := io.ReadFull(resp.Body, one[:]); err != nil {
				t.Fatal(err)
			}
		}
	})
}
