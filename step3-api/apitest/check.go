package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// check returns what is wrong with got.
func check(e Exchange, got *response) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if got.StatusCode != e.Status {
		fault("status %d, want %d: %.300q", got.StatusCode, e.Status, got.body)
	}
	if e.Unparsed {
		if !got.Close {
			fault("the connection stays open")
		}
		return faults
	}
	for name, want := range e.Want {
		if !matches(got.Header.Values(name), want) {
			fault("%s is %q, want %q", name, got.Header.Values(name), want)
		}
	}
	if location := got.Header.Get("Location"); got.StatusCode >= 300 && got.StatusCode < 400 && location != "" {
		fault("redirected to %s", location)
	}
	if got.StatusCode >= 400 {
		faults = append(faults, checkError(e, got)...)
	}
	if e.WantBody != "" && string(got.body) != e.WantBody {
		fault("body %.300q, want %.300q", got.body, e.WantBody)
	}
	if e.WantJSON != "" && !sameJSON(string(got.body), e.WantJSON) {
		fault("body %.1000s, want %.1000s", got.body, e.WantJSON)
	}
	if e.WantParts != nil {
		if parts, err := parts(got); err != nil || !slices.Equal(parts, e.WantParts) {
			fault("parts %q, want %q (%v)", parts, e.WantParts, err)
		}
	}
	return faults
}

// matches compares the lines of one header.
func matches(values []string, want string) bool {
	if want == "" {
		return len(values) == 0
	}
	got := strings.Join(values, ", ")
	if pattern, ok := strings.CutPrefix(want, "~"); ok {
		return len(values) > 0 && regexp.MustCompile("^(?:"+pattern+")$").MatchString(got)
	}
	return got == want
}

// inside matches what tells of the server's insides: paths, Go's own error texts,
// stacks.
var inside = regexp.MustCompile(`/(tmp|var|home|root|usr|proc|etc)/|\.go\b|goroutine|panic|no such file|` +
	`runtime error|strconv|unexpected EOF|json: |http: |read tcp|invalid character|cannot unmarshal|<nil>|%!`)

func checkError(e Exchange, got *response) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if kind := got.Header.Get("Content-Type"); kind != "application/json" {
		fault("the error's Content-Type is %q", kind)
	}
	if got.Header.Get("X-Content-Type-Options") != "nosniff" {
		fault("a browser may guess the error's type")
	}
	if e.Method == http.MethodHead {
		return faults
	}
	var body ocierr.Body
	if err := json.Unmarshal(got.body, &body); err != nil || len(body.Errors) == 0 {
		fault("the error is %.300q", got.body)
		return faults
	}
	if code := body.Errors[0].Code; code != e.Code {
		fault("code %s, want %s: %.300s", code, e.Code, got.body)
	}
	if body.Errors[0].Message == "" {
		fault("the error has no message: %s", got.body)
	}
	if text := inside.Find(got.body); text != nil {
		fault("the error tells %q: %s", text, got.body)
	}
	return faults
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// parts are those of a multipart/byteranges body, each led by its Content-Range.
func parts(got *response) ([]string, error) {
	mediaType, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" {
		return nil, fmt.Errorf("Content-Type %s: %v", mediaType, err)
	}
	var all []string
	for r := multipart.NewReader(bytes.NewReader(got.body), params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return all, err
		}
		all = append(all, p.Header.Get("Content-Range")+": "+string(data))
	}
}
