package wire_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"shibafu.dev/step6-client/wire"
)

// observed is a file that knows how its bytes went.
type observed struct {
	*os.File
	read, passed int64
}

func (o *observed) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	o.read += int64(n)
	return n, err
}

// WriteTo is not the file's, which would not be seen.
func (o *observed) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{o})
}

// body is so much of an observed file, which the kernel may send.
type body struct {
	*io.LimitedReader
	of *observed
}

func (b body) Close() error    { return b.of.Close() }
func (b body) File() io.Reader { return b.of.File }

func (b body) Passed(n int64) {
	b.of.passed += n
	b.N -= n
}

// A file goes by itself, but for what shares a write with the header; and one that is
// shorter than was said is an error and no shorter body.
func TestFile(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		from   int64
		length int64
		fails  bool
	}{
		{"whole", 0, int64(len(data)), false},
		{"rest", 1000, int64(len(data)) - 1000, false},
		{"beginning", 0, 600_000, false},
		{"shorter than was said", 0, int64(len(data)) + 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Seek(tt.from, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			o := &observed{File: f}
			c, err := wire.New(server.Listener.Addr().String(), wire.Options{Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			resp, err := c.Do(t.Context(), &wire.Request{Method: "PUT", URL: at, Length: tt.length,
				Body: func() (io.ReadCloser, error) { return body{&io.LimitedReader{R: o, N: tt.length}, o}, nil }})
			if failed := err != nil; failed != tt.fails {
				t.Fatal(err)
			}
			wire.Discard(resp)
			if tt.fails {
				return
			}
			if !bytes.Equal(got, data[tt.from:tt.from+tt.length]) {
				t.Errorf("%d bytes came", len(got))
			}
			if o.read+o.passed != tt.length || o.read > 64<<10 {
				t.Errorf("%d bytes were read, %d went by themselves", o.read, o.passed)
			}
		})
	}
}
