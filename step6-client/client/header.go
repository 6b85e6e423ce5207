package client

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
)

// span is the range of bytes that an answer holds, both ends included.
type span struct {
	first, last int64
	size        int64 // of the whole; -1 if it is not said
}

// parseContentRange reads "bytes first-last/size", in which size may be "*". What
// is not of that form, or has its last byte before the first or behind the end, is
// ErrAnswer.
//
// Source: RFC 9110, section 14.4.
func parseContentRange(s string) (span, error) {
	bad := fmt.Errorf("%w: Content-Range", ErrAnswer)
	unit, rest, found := strings.Cut(s, " ")
	if !found || !strings.EqualFold(unit, "bytes") {
		return span{}, bad
	}
	ends, whole, found := strings.Cut(rest, "/")
	from, to, found2 := strings.Cut(ends, "-")
	first, err1 := strconv.ParseUint(from, 10, 63)
	last, err2 := strconv.ParseUint(to, 10, 63)
	if !found || !found2 || err1 != nil || err2 != nil || last < first {
		return span{}, bad
	}
	p := span{int64(first), int64(last), -1}
	if whole != "*" {
		size, err := strconv.ParseUint(whole, 10, 63)
		if err != nil || last >= size {
			return span{}, bad
		}
		p.size = int64(size)
	}
	return p, nil
}

// parseProgress reads the Range of an upload session: "0-last". It returns how many
// bytes the registry has. sure is false for "0-0", by which some mean one byte, and
// most none.
//
// Source: OCI distribution specification, "Pushing a blob in chunks".
func parseProgress(s string) (kept int64, sure bool, err error) {
	bad := fmt.Errorf("%w: Range of a session", ErrAnswer)
	rest, found := strings.CutPrefix(strings.TrimPrefix(s, "bytes="), "0-")
	if !found {
		return 0, false, bad
	}
	if rest == "-1" {
		return 0, true, nil
	}
	last, err := strconv.ParseUint(rest, 10, 62)
	if err != nil {
		return 0, false, bad
	}
	if last == 0 {
		return 0, false, nil
	}
	return int64(last) + 1, true, nil
}

// maxLink is how long a Link header may be, in bytes.
const maxLink = 16 << 10

// nextLink is where the Link headers say that the next page is, "" if they name
// none. What is not of the grammar is ErrAnswer: a list that ends early would pass
// for a whole one.
//
// Source: RFC 8288, section 3.
func nextLink(values []string) (string, error) {
	for _, rest := range values {
		if len(rest) > maxLink {
			return "", fmt.Errorf("%w: Link is too long", ErrAnswer)
		}
		for rest = strings.Trim(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			after, found := strings.CutPrefix(rest, "<")
			target, params, closed := strings.Cut(after, ">")
			if !found || !closed || strings.ContainsAny(target, " <\"\\") {
				return "", fmt.Errorf("%w: Link", ErrAnswer)
			}
			var rel string
			var err error
			if rel, rest, err = linkParams(params); err != nil {
				return "", err
			}
			for word := range strings.FieldsSeq(rel) {
				if strings.EqualFold(word, "next") && target != "" {
					return target, nil
				}
			}
		}
	}
	return "", nil
}

// linkParams reads the parameters of one link, up to the comma before the next one.
// It returns the first rel; others do not count.
func linkParams(s string) (rel, rest string, err error) {
	bad := fmt.Errorf("%w: parameters of a Link", ErrAnswer)
	seen := false
	for s = strings.TrimLeft(s, " \t"); strings.HasPrefix(s, ";"); s = strings.TrimLeft(s, " \t") {
		s = strings.TrimLeft(s[1:], " \t")
		n := strings.IndexAny(s, "=;, \t")
		if n < 0 {
			n = len(s)
		}
		name, value := s[:n], ""
		if s = strings.TrimLeft(s[n:], " \t"); strings.HasPrefix(s, "=") {
			s = strings.TrimLeft(s[1:], " \t")
			if quoted, found := strings.CutPrefix(s, `"`); found {
				if value, s, found = strings.Cut(quoted, `"`); !found || strings.Contains(value, `\`) {
					return "", "", bad
				}
			} else {
				n := strings.IndexAny(s, ";, \t")
				if n < 0 {
					n = len(s)
				}
				value, s = s[:n], s[n:]
			}
		}
		if strings.EqualFold(name, "rel") && !seen {
			rel, seen = value, true
		}
	}
	if s != "" && s[0] != ',' {
		return "", "", bad
	}
	return rel, s, nil
}

// contentDigest is the Docker-Content-Digest of an answer; the zero Digest if it has
// none. ErrAnswer if that is not one.
func contentDigest(h http.Header) (digest.Digest, error) {
	text := h.Get("Docker-Content-Digest")
	if text == "" {
		return digest.Digest{}, nil
	}
	d, err := digest.Parse(text)
	if err != nil {
		return d, fmt.Errorf("%w: Docker-Content-Digest: %w", ErrAnswer, err)
	}
	return d, nil
}

// agrees returns digest.ErrMismatch if the answer names other content than want.
func agrees(h http.Header, want digest.Digest) error {
	got, err := contentDigest(h)
	if err == nil && !got.IsZero() && got.Algorithm() == want.Algorithm() && got != want {
		err = fmt.Errorf("%w: the registry sends %s for %s", digest.ErrMismatch, got, want)
	}
	return err
}
