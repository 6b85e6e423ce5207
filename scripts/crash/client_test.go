package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
)

func TestRead(t *testing.T) {
	right := digest.FromBytes([]byte("right")).String()
	for _, tt := range []struct {
		name   string
		kind   string
		status int
		header string // Docker-Content-Digest
		body   string
		value  string
		err    string
	}{
		{"there", "blob", 200, "", "right", present, ""},
		{"not there", "blob", 404, "", "", absent, ""},
		{"other bytes", "blob", 200, "", "wrong", "", "WRONG BYTES"},
		{"no bytes", "manifest", 200, "", "", "", "WRONG BYTES"},
		{"a tag", "tag", 200, right, "right", right, ""},
		{"a tag with other bytes than it says", "tag", 200, right, "wrong", "", "WRONG BYTES"},
		{"a tag that does not say what it is", "tag", 200, "", "right", "", "announced"},
		{"a fault", "blob", 500, "", "", "", "answered 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Docker-Content-Digest", tt.header)
				w.WriteHeader(tt.status)
				w.Write([]byte(tt.body))
			}))
			defer s.Close()
			value, _, err := newClient(s.URL).read(t.Context(), thing{tt.kind, "a", right})
			if value != tt.value || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v", value, err)
			}
		})
	}
}

func TestReceived(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   int
	}{
		{"0-0", 0}, {"0-1", 2}, {"0-99", 100}, {"", -1}, {"bytes=0-9", -1}, {"1-9", -1}, {"0-x", -1},
	} {
		if got := received(response{header: http.Header{"Range": {tt.header}}}); got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.header, got, tt.want)
		}
	}
}

func TestFaultyError(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, body, want string
	}{
		{"as the specification has it", "application/json", `{"errors":[{"code":"STORAGE_FULL","message":"no space left"}]}`, ""},
		{"plain text", "text/plain", "no space left", "the error is not JSON"},
		{"no code", "application/json", `{"errors":[{}]}`, "the error has not the form of the specification"},
		{"no errors", "application/json", `{}`, "the error has not the form of the specification"},
		{"a path", "application/json", `{"errors":[{"code":"X","message":"write /var/lib/registry"}]}`, "the error names a path"},
	} {
		r := response{header: http.Header{"Content-Type": {tt.contentType}}, body: []byte(tt.body)}
		if got := faultyError(r); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	if got := choose(rng, 4, 2, true); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("all of 4 are %v", got)
	}
	if got := choose(rng, 2, 3, false); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("a sample of 3 of 2 is %v", got)
	}
	for range 100 {
		got := choose(rng, 30, 3, false)
		if len(got) != 3 || got[0] < 1 || got[0] > 10 || got[1] < 11 || got[1] > 20 || got[2] < 21 || got[2] > 30 {
			t.Fatalf("a sample of 3 of 30 is %v", got)
		}
	}
}

// Two runs from the same seed ask for the same things.
func TestImagesFollowTheSeed(t *testing.T) {
	image := func() *image {
		return newImage(rand.New(rand.NewPCG(7, 1)), newLoad(t.Context(), nil, newModel(), 7), nil)
	}
	one, two := image(), image()
	if one.digest != two.digest || one.repo != two.repo {
		t.Errorf("%s in %s, %s in %s", one.digest, one.repo, two.digest, two.repo)
	}
	for _, b := range one.blobs {
		d := digest.MustParse(b.digest)
		if d.Algorithm().FromBytes(b.data) != d {
			t.Errorf("%s is not the digest of its bytes", d)
		}
	}
}
