package ocierr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
)

func TestTableHoldsTheSpecificationsCodes(t *testing.T) {
	want := []ocierr.Code{
		"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
		"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
		"DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
	}
	form := regexp.MustCompile(`^[A-Z_]+$`)
	i := 0
	for e := range ocierr.Table() {
		if !form.MatchString(string(e.Code)) {
			t.Errorf("%s: want upper case letters and underscores only", e.Code)
		}
		if e.Message == "" || http.StatusText(e.Status) == "" {
			t.Errorf("%s: no message, or status %d", e.Code, e.Status)
		}
		switch {
		case e.ID == "" && e.Status < 500:
			t.Errorf("%s: only 5xx may have codes of our own", e.Code)
		case e.ID != "" && (i >= len(want) || e.Code != want[i] || e.ID != fmt.Sprint("code-", i+1) || e.Status/100 != 4):
			t.Errorf("row %d is %+v", i, e)
		}
		if e.ID != "" {
			i++
		}
	}
	if i != len(want) {
		t.Errorf("%d codes of the specification, want %d", i, len(want))
	}
}

func TestTableStopsWhenAsked(t *testing.T) {
	for range ocierr.Table() {
		break
	}
}

func TestIs(t *testing.T) {
	detailed := fmt.Errorf("context: %w", ocierr.BlobUnknown.With("x"))
	if !errors.Is(detailed, ocierr.BlobUnknown) {
		t.Error("an Error is not its code")
	}
	if errors.Is(detailed, ocierr.ManifestUnknown) {
		t.Error("an Error is another code")
	}
	if !errors.Is(fmt.Errorf("context: %w", ocierr.Denied), ocierr.Denied) {
		t.Error("a bare code is not itself")
	}
	if errors.Is(detailed, fs.ErrNotExist) {
		t.Error("an Error is a foreign error")
	}
}

func TestFrom(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		code    ocierr.Code
		status  int
		message string
		ok      bool
		reason  string
	}{
		{"bare code", ocierr.NameUnknown, "NAME_UNKNOWN", 404, "repository name not known to registry", true, "status and text from the table"},
		{"detail", ocierr.NameUnknown.With(1), "NAME_UNKNOWN", 404, "repository name not known to registry", true, "the same with a detail"},
		{"own status", ocierr.ManifestInvalid.WithStatus(413, nil), "MANIFEST_INVALID", 413, "manifest invalid", true, "narrower than the table's"},
		{"own message", &ocierr.Error{Code: ocierr.Denied, Message: "no"}, "DENIED", 403, "no", true, ""},
		{"wrapped", fmt.Errorf("at /secret/path: %w", ocierr.SizeInvalid), "SIZE_INVALID", 400, "provided length did not match content length", true, "the wrapping stays behind"},
		{"foreign", errors.New("open /secret/path"), "INTERNAL_ERROR", 500, "internal error", false, "nothing of its text goes out"},
		{"unknown code", ocierr.Code("RANGE_INVALID"), "RANGE_INVALID", 500, "RANGE_INVALID", true, "another registry's, seen by a client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := ocierr.From(tt.err)
			if e.Code != tt.code || e.Status != tt.status || e.Message != tt.message || ok != tt.ok {
				t.Errorf("From = %+v, %v (%s)", e, ok, tt.reason)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"code", ocierr.Denied, "DENIED: requested access to the resource is denied"},
		{"unknown code", ocierr.Code("X"), "X"},
		{"error", ocierr.Denied.With(nil), "DENIED: requested access to the resource is denied"},
		{"own message", &ocierr.Error{Code: ocierr.Denied, Message: "no"}, "DENIED: no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error = %q, want %q", got, tt.want)
			}
		})
	}
}

// The body has the form of the specification, and the status is not in it.
func TestBody(t *testing.T) {
	e, _ := ocierr.From(ocierr.DigestInvalid.With(map[string]string{"digest": "x"}))
	got, err := json.Marshal(ocierr.Body{Errors: []ocierr.Error{e}})
	const want = `{"errors":[{"code":"DIGEST_INVALID","message":"provided digest is invalid or did not match uploaded content","detail":{"digest":"x"}}]}`
	if string(got) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
