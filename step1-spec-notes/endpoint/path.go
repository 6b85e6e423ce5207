package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
)

// What the errors of ParsePath are, besides ref.ErrName, ref.ErrTag and
// digest.ErrInvalid.
var (
	ErrUnknownPath = errors.New("no endpoint has this path")
	ErrSession     = errors.New("invalid upload session")
)

// Path is a request's path, taken apart. Which of the last three fields is set
// depends on the shape.
type Path struct {
	// Pattern is the shape, as in Endpoint.Pattern.
	Pattern   string
	Name      ref.Name
	Reference ref.TagOrDigest
	Digest    digest.Digest
	Session   string
}

// ParsePath reads the path of a URL as it was sent, percent-encoded (what
// (*url.URL).EscapedPath returns). A name may hold slashes and even the words of
// the API, so the path is cut from its right end, where those words stand.
// Everything that is not exactly one of the shapes, with every part right by its
// grammar, is an error.
func ParsePath(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/v2")
	switch {
	case !ok:
		return Path{}, ErrUnknownPath
	case rest == "" || rest == "/":
		return Path{Pattern: Base.Pattern}, nil
	case rest[0] != '/':
		return Path{}, ErrUnknownPath
	case rest == "/_catalog":
		return Path{Pattern: ListCatalog.Pattern}, nil
	}
	head, last := cutLast(rest)
	head, word := cutLast(head)
	switch {
	case last == "list" && word == "tags":
		return parse(ListTags.Pattern, head, "")
	case word == "manifests":
		return parse(PullManifest.Pattern, head, last)
	case word == "referrers":
		return parse(ListReferrers.Pattern, head, last)
	case last == "uploads" && word == "blobs":
		return parse(StartUpload.Pattern, head, "")
	case word == "blobs":
		return parse(PullBlob.Pattern, head, last)
	}
	head, before := cutLast(head)
	switch {
	case word != "uploads" || before != "blobs":
		return Path{}, ErrUnknownPath
	case last == "":
		return parse(StartUpload.Pattern, head, "")
	}
	return parse(UploadStatus.Pattern, head, last)
}

// cutLast splits "/a/b/c" into "/a/b" and "c".
func cutLast(s string) (head, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// parse checks the parts of a path whose shape is known. head is the name, led by
// a slash.
func parse(pattern, head, last string) (p Path, err error) {
	p.Pattern = pattern
	// A name that needs no decoding is the rule; one with an encoded slash is
	// refused, as it would be another name to whoever looked at the raw path.
	name := strings.TrimPrefix(head, "/")
	text, err := url.PathUnescape(name)
	if err != nil || strings.Count(text, "/") != strings.Count(name, "/") {
		return Path{}, fmt.Errorf("%w: encoded slash or bad escape", ref.ErrName)
	}
	if p.Name, err = ref.ParseName(text); err != nil {
		return Path{}, err
	}
	if last, err = url.PathUnescape(last); err != nil {
		last = "%" // in none of the grammars
	}
	switch pattern {
	case PullManifest.Pattern:
		p.Reference, err = ref.ParseTagOrDigest(last)
	case PullBlob.Pattern, ListReferrers.Pattern:
		p.Digest, err = digest.Parse(last)
	case UploadStatus.Pattern:
		if p.Session = last; !IsSession(last) {
			err = ErrSession
		}
	}
	if err != nil {
		return Path{}, err
	}
	return p, nil
}

// IsSession tells whether s has the form of an upload session's ID, a UUID in
// lower case.
func IsSession(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// String is the path in its one canonical form, with the slashes of the name as
// they are: what a client sends.
func (p Path) String() string { return p.build(p.Name.String()) }

// Folded is the path with the name as one segment, its slashes encoded, so that
// it matches Pattern in an http.ServeMux.
func (p Path) Folded() string {
	return p.build(strings.ReplaceAll(p.Name.String(), "/", "%2F"))
}

func (p Path) build(name string) string {
	switch p.Pattern {
	case ListTags.Pattern:
		return "/v2/" + name + "/tags/list"
	case PullManifest.Pattern:
		return "/v2/" + name + "/manifests/" + p.Reference.String()
	case ListReferrers.Pattern:
		return "/v2/" + name + "/referrers/" + p.Digest.String()
	case PullBlob.Pattern:
		return "/v2/" + name + "/blobs/" + p.Digest.String()
	case StartUpload.Pattern, UploadStatus.Pattern:
		return "/v2/" + name + "/blobs/uploads/" + p.Session
	}
	return p.Pattern
}

// Allow lists the methods that have an endpoint on the shape p, in the order of
// the table: the Allow header of a 405.
func (p Path) Allow() []string {
	var methods []string
	for _, e := range table {
		if e.Pattern == p.Pattern {
			methods = append(methods, e.Methods...)
		}
	}
	return methods
}

// Match returns the endpoint that answers to method on the shape p, or nil.
func (p Path) Match(method string) *Endpoint {
	for _, e := range table {
		if e.Pattern == p.Pattern && slices.Contains(e.Methods, method) {
			return e
		}
	}
	return nil
}

// Refusal is how a registry answers a request whose path ParsePath refused with
// err. A tag that cannot be one names no manifest, and a session that cannot be
// one no session.
func Refusal(err error) *ocierr.Error {
	switch {
	case errors.Is(err, ref.ErrName):
		return ocierr.NameInvalid.With(nil)
	case errors.Is(err, digest.ErrInvalid):
		return ocierr.DigestInvalid.With(nil)
	case errors.Is(err, ref.ErrTag):
		return ocierr.ManifestUnknown.With(nil)
	case errors.Is(err, ErrSession):
		return ocierr.BlobUploadUnknown.With(nil)
	}
	return ocierr.Unsupported.WithStatus(http.StatusNotFound, nil)
}
