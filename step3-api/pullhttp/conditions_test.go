package pullhttp

import (
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
)

const text = "0123456789"

func TestRange(t *testing.T) {
	whole := []string{"200 " + text}
	part := func(first, last int) []string {
		return []string{fmt.Sprintf("206 bytes %d-%d/10 %s", first, last, text[first:last+1])}
	}
	none := []string{"416 bytes */10"}
	tests := []struct {
		name, header string
		want         []string
		reason       string
	}{
		{"none", "", whole, ""},
		{"single", "bytes=2-4", part(2, 4), "both ends are included"},
		{"one byte", "bytes=9-9", part(9, 9), ""},
		{"everything", "bytes=0-9", part(0, 9), "still a 206: a range was asked for"},
		{"open", "bytes=7-", part(7, 9), ""},
		{"suffix", "bytes=-3", part(7, 9), ""},
		{"suffix longer than all", "bytes=-11", part(0, 9), "RFC 9110, section 14.1.2"},
		{"last past the end", "bytes=7-10", part(7, 9), "RFC 9110, section 14.1.2"},
		{"last past all numbers", "bytes=7-99999999999999999999", part(7, 9), "same, however large"},
		{"suffix past all numbers", "bytes=-99999999999999999999", part(0, 9), "same"},
		{"leading zeros", "bytes=0000000000000000000002-04", part(2, 4), "digits, as many as there are"},
		{"spaces around", "bytes= \t2-4 ", part(2, 4), "lists have optional white space"},
		{"empty elements", "bytes=,2-4,,", part(2, 4), "RFC 9110, section 5.6.1"},
		{"unit in capitals", "Bytes=2-4", part(2, 4), "RFC 9110, section 14.1"},

		{"several", "bytes=0-1,4-6", []string{"206 bytes 0-1/10 01", "206 bytes 4-6/10 456"}, "a part for each"},
		{"several, not in order", "bytes=4-6,0-1,-1", []string{"206 bytes 4-6/10 456", "206 bytes 0-1/10 01", "206 bytes 9-9/10 9"}, "clients match them by order"},
		{"several that touch", "bytes=0-1,2-3", []string{"206 bytes 0-1/10 01", "206 bytes 2-3/10 23"}, "never joined"},
		{"several that overlap", "bytes=0-3,2-4", []string{"206 bytes 0-3/10 0123", "206 bytes 2-4/10 234"}, "never joined"},
		{"several, one past the end", "bytes=0-1,50-60,8-", []string{"206 bytes 0-1/10 01", "206 bytes 8-9/10 89"}, "what cannot be is left out"},
		{"several, one left", "bytes=50-60,8-", part(8, 9), "one range comes as such"},
		{"more than there is", "bytes=0-9,0-9", whole, "the parts would be longer than the whole"},
		{"as many as may be", "bytes=" + strings.Repeat("99-,", 255) + "0-1", part(0, 1), ""},
		{"too many", "bytes=" + strings.Repeat("99-,", 256) + "0-1", whole, "bounded; the whole is always right"},

		{"behind the end", "bytes=10-", none, "RFC 9110, section 15.5.17"},
		{"far behind the end", "bytes=99999999999999999999-", none, "same, however far"},
		{"several behind the end", "bytes=10-,20-30", none, "same"},
		{"backwards", "bytes=500-0", none, "the specification's conformance program wants it"},
		{"backwards within", "bytes=4-2", none, "same"},
		{"suffix of nothing", "bytes=-0", none, "RFC 9110, section 14.1.2"},

		{"no list", "bytes=", whole, "ignored: RFC 9110, section 14.2"},
		{"no unit", "2-4", whole, "ignored"},
		{"another unit", "lines=2-4", whole, "ignored"},
		{"space before the sign", "bytes =2-4", whole, "ignored"},
		{"words", "bytes=abc", whole, "ignored"},
		{"no number", "bytes=-", whole, "ignored"},
		{"signed", "bytes=+2-4", whole, "ignored"},
		{"negative", "bytes=--4", whole, "ignored"},
		{"three numbers", "bytes=2-4-6", whole, "ignored"},
		{"hexadecimal", "bytes=0x2-4", whole, "ignored"},
		{"spaces within", "bytes=2 - 4", whole, "ignored"},
		{"other digits", "bytes=٢-٤", whole, "ignored"},
		{"half right", "bytes=2-4,x", whole, "ignored as a whole"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf(text)
			if got := result(t, s.ask("GET", s.blobPath(), "Range", tt.header)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q (%s)", got, tt.want, tt.reason)
			}
			w := s.ask("HEAD", s.blobPath(), "Range", tt.header)
			if w.Code != 200 || w.Header().Get("Content-Length") != "10" || w.Header().Get("Accept-Ranges") != "bytes" {
				t.Errorf("HEAD: %d %v", w.Code, w.Header())
			}
		})
	}
}

// result is a response in a few words: status, Content-Range and content of each
// part.
func result(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	h := w.Header()
	if h.Get("Etag") == "" && w.Code != 416 {
		t.Errorf("no ETag: %v", h)
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil:
		t.Fatalf("Content-Type: %v", err)
	case w.Code == 416 && code(w) == ocierr.Unsupported:
		return []string{"416 " + h.Get("Content-Range")}
	case w.Code == 200 && h.Get("Content-Range") == "":
		return []string{"200 " + w.Body.String()}
	case mediaType != "multipart/byteranges":
		return []string{fmt.Sprint(w.Code, " ", h.Get("Content-Range"), " ", w.Body)}
	}
	var all []string
	for r := multipart.NewReader(w.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(w.Code, " ", p.Header.Get("Content-Range"), " ", string(data)))
	}
}

func TestRangeOfNothing(t *testing.T) {
	s := newShelf("")
	for _, header := range []string{"", "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-4"} {
		w := s.ask("GET", s.blobPath(), "Range", header)
		if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "0" {
			t.Errorf("%q: %d %v: an empty blob has no range, and is whole in itself", header, w.Code, w.Header())
		}
	}
}

func TestConditions(t *testing.T) {
	s := newShelf(text)
	tag := `"` + s.digest().String() + `"`
	weak, other := "W/"+tag, `"other"`
	tests := []struct {
		name, reason string
		header       []string
		blob, rest   int // the status for a blob, and for a manifest and for HEAD
	}{
		{"If-None-Match", "", []string{"If-None-Match", tag}, 304, 304},
		{"If-None-Match weak", "compared weakly: RFC 9110, section 13.1.2", []string{"If-None-Match", weak}, 304, 304},
		{"If-None-Match any", "", []string{"If-None-Match", "*"}, 304, 304},
		{"If-None-Match another", "", []string{"If-None-Match", other}, 200, 200},
		{"If-None-Match in a list", "", []string{"If-None-Match", other + " , " + tag}, 304, 304},
		{"If-None-Match on two lines", "", []string{"If-None-Match", other, "If-None-Match", tag}, 304, 304},
		{"If-None-Match beside what is no tag", "read by one reader only, so that nothing is left to another", []string{"If-None-Match", "x, " + tag}, 304, 304},
		{"If-None-Match without a comma", "no list, whatever another reader makes of it", []string{"If-None-Match", other + " " + tag}, 200, 200},
		{"If-None-Match unquoted", "not the tag", []string{"If-None-Match", s.digest().String()}, 200, 200},
		{"If-None-Match and a range", "the condition comes first: RFC 9110, section 13.2.2", []string{"If-None-Match", tag, "Range", "bytes=0-1"}, 304, 304},
		{"If-None-Match beside what is no tag, and no such range", "", []string{"If-None-Match", "x, " + tag, "Range", "bytes=99-"}, 304, 304},
		{"If-None-Match another and a range", "", []string{"If-None-Match", other, "Range", "bytes=0-1"}, 206, 200},
		{"If-Match", "", []string{"If-Match", tag}, 200, 200},
		{"If-Match any", "", []string{"If-Match", "*"}, 200, 200},
		{"If-Match another", "", []string{"If-Match", other}, 412, 412},
		{"If-Match in a list", "", []string{"If-Match", other + "," + tag}, 200, 200},
		{"If-Match weak", "compared strongly: RFC 9110, section 13.1.1", []string{"If-Match", weak}, 412, 412},
		{"If-Match and a range", "", []string{"If-Match", tag, "Range", "bytes=0-1"}, 206, 200},
		{"If-Match another and no such range", "the condition comes first", []string{"If-Match", other, "Range", "bytes=99-"}, 412, 412},
		{"both, the same", "If-Match holds, so If-None-Match decides", []string{"If-Match", tag, "If-None-Match", tag}, 304, 304},
		{"both, another", "If-Match comes first", []string{"If-Match", other, "If-None-Match", tag}, 412, 412},
		{"If-Modified-Since", "there is no date", []string{"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"}, 200, 200},
		{"If-Unmodified-Since", "there is no date", []string{"If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, 200},
		{"If-Range", "", []string{"If-Range", tag, "Range", "bytes=0-1"}, 206, 200},
		{"If-Range another", "the whole of what there is now", []string{"If-Range", other, "Range", "bytes=0-1"}, 200, 200},
		{"If-Range weak", "compared strongly: RFC 9110, section 13.1.5", []string{"If-Range", weak, "Range", "bytes=0-1"}, 200, 200},
		{"If-Range of a date", "there is none", []string{"If-Range", "Mon, 01 Jan 2024 00:00:00 GMT", "Range", "bytes=0-1"}, 200, 200},
		{"If-Range another and no such range", "the range is not looked at", []string{"If-Range", other, "Range", "bytes=99-"}, 200, 200},
		{"If-Range without a range", "says nothing", []string{"If-Range", other}, 200, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, request := range []struct {
				method, target string
				want           int
			}{
				{"GET", s.blobPath(), tt.blob}, {"HEAD", s.blobPath(), tt.rest}, {"GET", s.manifestPath(), tt.rest}, {"HEAD", s.manifestPath(), tt.rest},
			} {
				w := s.ask(request.method, request.target, tt.header...)
				if w.Code != request.want {
					t.Errorf("%s %s: %d, want %d (%s)", request.method, request.target, w.Code, request.want, tt.reason)
				}
				checkStatus(t, w, request.method, tag)
			}
		})
	}
}

// checkStatus wants a response to have what its status asks for.
func checkStatus(t *testing.T, w *httptest.ResponseRecorder, method, tag string) {
	t.Helper()
	h := w.Header()
	switch w.Code {
	case 304:
		if w.Body.Len() > 0 || h.Get("Etag") != tag || h.Get("Content-Type") != "" || h.Get("Content-Length") != "" {
			t.Errorf("304 with %v %q", h, w.Body)
		}
	case 412:
		if method == "GET" && code(w) != ocierr.Unsupported || h.Get("Content-Type") != "application/json" {
			t.Errorf("412 with %v %q", h, w.Body)
		}
	default:
		if h.Get("Etag") != tag {
			t.Errorf("%d with the ETag %q", w.Code, h.Get("Etag"))
		}
	}
}

var (
	rangeHeader = regexp.MustCompile(`(?s)^(?i:bytes)=(.*)$`)
	rangeItem   = regexp.MustCompile(`^([0-9]*)-([0-9]*)$`)
)

// model is the same as parseRange and what follows it, in numbers of any size and
// with the grammar as regular expressions: what the response is for content of
// that size.
func model(header, content string) []string {
	whole := []string{"200 " + content}
	m := rangeHeader.FindStringSubmatch(header)
	if m == nil || content == "" {
		return whole
	}
	size := big.NewInt(int64(len(content)))
	var results []string
	items, total := 0, 0
	for _, item := range strings.Split(m[1], ",") {
		item = strings.Trim(item, " \t")
		if item == "" {
			continue
		}
		m := rangeItem.FindStringSubmatch(item)
		if m == nil || item == "-" {
			return whole
		}
		items++
		first, last := new(big.Int), new(big.Int).Sub(size, big.NewInt(1))
		if m[1] == "" {
			suffix, _ := new(big.Int).SetString(m[2], 10)
			if first.Sub(size, suffix); first.Sign() < 0 {
				first.SetInt64(0)
			}
		} else {
			first.SetString(m[1], 10)
			if to, ok := new(big.Int).SetString(m[2], 10); ok && to.Cmp(last) < 0 {
				last = to
			}
		}
		if first.Cmp(last) > 0 || first.Cmp(size) >= 0 {
			continue
		}
		a, b := first.Int64(), last.Int64()
		total += int(b - a + 1)
		results = append(results, fmt.Sprintf("206 bytes %d-%d/%d %s", a, b, len(content), content[a:b+1]))
	}
	switch {
	case items == 0, items > maxRanges, total > len(content):
		return whole
	case len(results) == 0:
		return []string{fmt.Sprintf("416 bytes */%d", len(content))}
	}
	return results
}

func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=1-2,4-5,-1", "bytes=9-1", "bytes=0-99999999999999999999", "bytes=18446744073709551616-",
		"bytes=-9223372036854775808", "BYTES=,1-1", "bytes=0-0\t, 3-3", "lines=1-2", "bytes", "bytes=--1", "bytes=1-2-3", "bytes=0-9,0-9"} {
		f.Add(header, uint8(10))
		f.Add(header, uint8(0))
	}
	all := strings.Repeat(text, 26)
	f.Fuzz(func(t *testing.T, header string, size uint8) {
		s := newShelf(all[:size])
		w := s.ask("GET", s.blobPath(), "Range", header)
		if got, want := result(t, w), model(header, all[:size]); !slices.Equal(got, want) {
			t.Errorf("%q of %d bytes: %q, want %q", header, size, got, want)
		}
	})
}
