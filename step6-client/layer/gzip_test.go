package layer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"testing"
)

// compress writes data in writes of so many bytes, with pieces of so many.
func compress(t testing.TB, data []byte, level, piece, write int) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := newGzipWriter(&buf, level)
	z.each = piece
	for rest := data; len(rest) > 0; {
		n := min(write, len(rest))
		if _, err := z.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	for range 2 { // the second time does nothing
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

// oneMember reads a gzip stream as the simplest of readers does.
func oneMember(t testing.TB, raw []byte) []byte {
	t.Helper()
	in := bytes.NewReader(raw)
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if in.Len() > 0 {
		t.Fatalf("%d bytes follow the member", in.Len())
	}
	return data
}

func TestGzipPieces(t *testing.T) {
	data := bytes.Repeat([]byte("some text that repeats, "), 500)
	for _, tt := range []struct {
		name         string
		n            int
		piece, write int
	}{
		{"nothing", 0, 10, 10},
		{"less than a piece", 9, 10, 4},
		{"a piece", 10, 10, 10},
		{"a piece and a byte", 11, 10, 11},
		{"pieces, in one write", 12000, 1000, 12000},
		{"pieces, byte by byte", 5000, 1000, 1},
		{"more pieces than processors", 12000, 10, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for level := 1; level <= 9; level++ {
				raw := compress(t, data[:tt.n], level, tt.piece, tt.write)
				if got := oneMember(t, raw); !bytes.Equal(got, data[:tt.n]) {
					t.Fatalf("level %d: %d bytes came back of %d", level, len(got), tt.n)
				}
				if again := compress(t, data[:tt.n], level, tt.piece, 3); !bytes.Equal(again, raw) {
					t.Fatalf("level %d: other writes gave other bytes", level)
				}
			}
		})
	}
}

// The program that everybody has reads it, and finds nothing to complain of.
func TestSystemGzipReads(t *testing.T) {
	data := bytes.Repeat([]byte("some text that repeats, "), 500)
	cmd := exec.Command("gzip", "--decompress", "--stdout")
	cmd.Stdin = bytes.NewReader(compress(t, data, 6, 1000, 77))
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, data) {
		t.Errorf("gzip: %v, %d bytes of %d", err, len(out), len(data))
	}
}

// A writer that was used before compresses as a new one does.
func TestGzipForgets(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	data := make([]byte, 100<<10)
	for i := range data {
		data[i] = byte(i * i >> 9)
	}
	for level := 1; level <= 9; level++ {
		runtime.GOMAXPROCS(1)
		few := compress(t, data, level, 2<<10, 4096)
		runtime.GOMAXPROCS(40)
		if many := compress(t, data, level, 2<<10, 4096); !bytes.Equal(few, many) {
			t.Errorf("level %d: 2 writers gave other bytes than 9", level)
		}
	}
}

func TestGzipWriteFails(t *testing.T) {
	full := errors.New("disk full")
	z := newGzipWriter(failing{full}, 6)
	z.each = 10
	var err error
	for err == nil {
		_, err = z.Write(make([]byte, 100))
	}
	if err != errGzip {
		t.Errorf("Write: %v", err)
	}
	if err := z.Close(); err != full {
		t.Errorf("Close: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzGzipWriter(f *testing.F) {
	f.Add([]byte(""), uint8(5), uint16(1), uint16(1))
	f.Add([]byte("hello hello hello hello"), uint8(0), uint16(4), uint16(3))
	f.Add(bytes.Repeat([]byte("ab\x00"), 3000), uint8(8), uint16(999), uint16(5000))
	f.Fuzz(func(t *testing.T, data []byte, level uint8, piece, write uint16) {
		raw := compress(t, data, 1+int(level)%9, 1+int(piece), 1+int(write))
		if got := oneMember(t, raw); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back of %d", len(got), len(data))
		}
	})
}
