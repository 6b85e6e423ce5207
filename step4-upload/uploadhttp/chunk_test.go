package uploadhttp

import (
	"errors"
	"io"
	"math"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step4-upload/upload"
)

const unknownLength = -1 // of a body with Transfer-Encoding: chunked

func TestParseChunk(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		length int64
		offset int64
		left   int64
		want   error
		reason string
	}{
		{"none", nil, 5, upload.AtEnd, -1, nil, "bytes go to the end, however many"},
		{"none, streamed", nil, unknownLength, upload.AtEnd, -1, nil, "as docker does"},
		{"first chunk", []string{"0-4"}, 5, 0, 5, nil, ""},
		{"later chunk", []string{"5-7"}, 3, 5, 3, nil, ""},
		{"one byte", []string{"0-0"}, 1, 0, 1, nil, "both ends are included"},
		{"streamed", []string{"5-7"}, unknownLength, 5, 3, nil, "the body is counted as it comes"},
		{"leading zeros", []string{"00-04"}, 5, 0, 5, nil, "the specification's expression allows them"},
		{"largest offset", []string{"9223372036854775807-9223372036854775807"}, 1, math.MaxInt64, 1, nil, ""},

		{"backwards", []string{"1-0"}, 0, 0, 0, upload.ErrOffset, "no chunk can be there"},
		{"far backwards", []string{"9-3"}, 5, 0, 0, upload.ErrOffset, ""},

		{"too long for its body", []string{"0-5"}, 5, 0, 0, errLength, ""},
		{"too short for its body", []string{"0-3"}, 5, 0, 0, errLength, ""},
		{"no body", []string{"0-0"}, 0, 0, 0, errLength, ""},
		{"length of 2^63", []string{"0-9223372036854775807"}, unknownLength, 0, 0, errLength, "the sum must not overflow"},

		{"word", []string{"abc"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"empty", []string{""}, 5, 0, 0, ocierr.BlobUploadInvalid, "it is there, and says nothing"},
		{"form of RFC 9110", []string{"bytes 0-1/2"}, 2, 0, 0, ocierr.BlobUploadInvalid, "the specification has another one"},
		{"with unit", []string{"bytes=0-4"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"no end", []string{"0-"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"no start", []string{"-4"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"dash", []string{"-"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"negative", []string{"-1--1"}, 1, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"plus", []string{"+0-+4"}, 5, 0, 0, ocierr.BlobUploadInvalid, "the parser of Go would take them"},
		{"underscore", []string{"0-1_0"}, 11, 0, 0, ocierr.BlobUploadInvalid, "as would this"},
		{"hexadecimal", []string{"0x0-0x4"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"spaces", []string{"0 - 4"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"other digits", []string{"٠-٤"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"2^63", []string{"0-9223372036854775808"}, 5, 0, 0, ocierr.BlobUploadInvalid, "does not fit an offset"},
		{"2^64+4", []string{"0-18446744073709551620"}, 5, 0, 0, ocierr.BlobUploadInvalid, "must not wrap to 4"},
		{"long", []string{"0-" + strings.Repeat("9", 1000)}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"list", []string{"0-1,2-4"}, 5, 0, 0, ocierr.BlobUploadInvalid, ""},
		{"two headers", []string{"0-4", "0-4"}, 5, 0, 0, ocierr.BlobUploadInvalid, "one of them is wrong, nobody knows which"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseChunk(request(tt.header, tt.length))
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v (%s)", err, tt.want, tt.reason)
			}
			if err == nil && (c.offset != tt.offset || c.left != tt.left) {
				t.Errorf("at %d, %d to come; want %d, %d (%s)", c.offset, c.left, tt.offset, tt.left, tt.reason)
			}
		})
	}
}

func request(contentRange []string, length int64) *http.Request {
	r := &http.Request{Header: http.Header{}, Body: http.NoBody, ContentLength: length}
	if contentRange != nil {
		r.Header["Content-Range"] = contentRange
	}
	return r
}

var grammar = regexp.MustCompile(`^[0-9]+-[0-9]+$`)

// modelChunk is parseChunk with numbers that cannot overflow.
func modelChunk(s string, length int64) (offset, left int64, err error) {
	if !grammar.MatchString(s) {
		return 0, 0, ocierr.BlobUploadInvalid
	}
	from, to, _ := strings.Cut(s, "-")
	first, _ := new(big.Int).SetString(from, 10)
	last, _ := new(big.Int).SetString(to, 10)
	if !first.IsInt64() || !last.IsInt64() {
		return 0, 0, ocierr.BlobUploadInvalid
	}
	if last.Cmp(first) < 0 {
		return 0, 0, upload.ErrOffset
	}
	n := new(big.Int).Sub(last, first)
	n.Add(n, big.NewInt(1))
	if !n.IsInt64() || length >= 0 && n.Int64() != length {
		return 0, 0, errLength
	}
	return first.Int64(), n.Int64(), nil
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{
		"0-4", "0-0", "5-7", "1-0", "abc", "", "-", "0-", "-0", "--", "0-1-2", "bytes 0-1/2", "+0-+4", "00-04", "0-1_0", " 0-4", "0-4\n",
		"0-9223372036854775806", "0-9223372036854775807", "1-9223372036854775807", "9223372036854775807-9223372036854775807",
		"0-9223372036854775808", "9223372036854775808-9223372036854775808", "0-18446744073709551620", "0-99999999999999999999999999",
	} {
		f.Add(s, int64(5))
		f.Add(s, int64(unknownLength))
	}
	f.Fuzz(func(t *testing.T, s string, length int64) {
		offset, left, want := modelChunk(s, length)
		c, err := parseChunk(request([]string{s}, length))
		if !errors.Is(err, want) {
			t.Fatalf("%q of %d bytes: %v, want %v", s, length, err, want)
		}
		if err == nil && (c.offset != offset || c.left != left) {
			t.Errorf("%q of %d bytes: at %d, %d to come; want %d, %d", s, length, c.offset, c.left, offset, left)
		}
	})
}

// A body whose length comes out only as it is read is held to what was announced.
func TestChunkRead(t *testing.T) {
	errCut := io.ErrUnexpectedEOF
	tests := []struct {
		name      string
		announced int64
		body      string
		end       error
		want      string
		err       error
		reason    string
	}{
		{"nothing announced", -1, "hello", io.EOF, "hello", nil, ""},
		{"nothing announced, cut", -1, "hello", errCut, "hello", errCut, ""},
		{"as announced", 5, "hello", io.EOF, "hello", nil, ""},
		{"longer", 4, "hello", io.EOF, "hell", errLength, "what was announced is in order and kept"},
		{"shorter", 6, "hello", io.EOF, "hello", errLength, "the same"},
		{"empty", 1, "", io.EOF, "", errLength, ""},
		{"cut", 6, "hello", errCut, "hello", errCut, "the cause is that it was cut"},
		{"cut at its end", 5, "hello", errCut, "hello", errCut, "the body was to end, and did not"},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":                  func(r io.Reader) io.Reader { return r },
		"byte by byte":           iotest.OneByteReader,
		"end with the last byte": iotest.DataErrReader,
	}
	for _, tt := range tests {
		for how, wrap := range readers {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				body := io.MultiReader(strings.NewReader(tt.body), iotest.ErrReader(tt.end))
				got, err := io.ReadAll(&chunk{wrap(body), 0, tt.announced})
				if string(got) != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("%q, %v; want %q, %v (%s)", got, err, tt.want, tt.err, tt.reason)
				}
			})
		}
	}
}
