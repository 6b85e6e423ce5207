package pullhttp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// etag is the entity tag of content that its digest names: a strong one, as the
// bytes cannot differ.
func etag(d digest.Digest) string { return `"` + d.String() + `"` }

// settleConditions names the content d in the response, and evaluates If-Match and
// If-None-Match, which are gone from r then. If done, there is no content to send:
// the response is written, or is err.
//
// Source: RFC 9110, section 13.2.2. There is no date to compare with, so of the
// conditions there are no others.
func settleConditions(w http.ResponseWriter, r *http.Request, d digest.Digest) (done bool, err error) {
	tag := etag(d)
	h := w.Header()
	h["Docker-Content-Digest"] = []string{d.String()}
	h["Etag"] = []string{tag}
	match, noneMatch := r.Header["If-Match"], r.Header["If-None-Match"]
	switch {
	case len(match) > 0 && !lists(match, tag, false):
		return true, ocierr.Unsupported.WithStatus(http.StatusPreconditionFailed, nil)
	case len(noneMatch) > 0 && lists(noneMatch, tag, true):
		w.WriteHeader(http.StatusNotModified)
		return true, nil
	}
	delete(r.Header, "If-Match")
	delete(r.Header, "If-None-Match")
	return false, nil
}

// lists tells whether a header of entity tags holds etag, or "*"; with weak, the
// weak form of the tag counts too.
func lists(headers []string, etag string, weak bool) bool {
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			item = strings.TrimSpace(item)
			if weak {
				item = strings.TrimPrefix(item, "W/")
			}
			if item == "*" || item == etag {
				return true
			}
		}
	}
	return false
}

// maxRanges is how many ranges one request may ask for; a request for more gets
// the whole, which the protocol allows.
const maxRanges = 256

// settleRange rewrites or drops r's Range header so that http.ServeContent can
// only succeed with it; If-Range is gone then. It returns a 416 if no range can be
// satisfied.
//
// Source: RFC 9110, section 14.2; and a last position before the first is a 416,
// as the conformance program of the specification wants it.
func settleRange(r *http.Request, etag string, size int64) error {
	header := r.Header.Get("Range")
	if header == "" {
		return nil
	}
	condition := r.Header.Get("If-Range")
	r.Header.Del("If-Range")
	if condition != "" && condition != etag || size == 0 {
		r.Header.Del("Range")
		return nil
	}
	ranges, ok := parseRange(header, size)
	if !ok || len(ranges) > maxRanges {
		r.Header.Del("Range")
		return nil
	}
	var settled []string
	for _, p := range ranges {
		if p.first <= p.last {
			settled = append(settled, fmt.Sprintf("%d-%d", p.first, p.last))
		}
	}
	if len(settled) == 0 {
		return ocierr.Unsupported.WithStatus(http.StatusRequestedRangeNotSatisfiable, "no such range of the blob")
	}
	r.Header.Set("Range", "bytes="+strings.Join(settled, ","))
	return nil
}

// span is a range of bytes, both ends included; it is empty, and cannot be
// satisfied, if last comes before first.
type span struct{ first, last int64 }

// parseRange reads a Range header against content of size > 0. Numbers that are
// too large are cut down to the content. ok is false if the header is not of the
// grammar, or of another unit, and is to be ignored.
func parseRange(header string, size int64) (spans []span, ok bool) {
	unit, list, found := strings.Cut(header, "=")
	if !found || !strings.EqualFold(unit, "bytes") {
		return nil, false
	}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.Trim(item, " \t")
		if item == "" {
			continue // empty list elements are allowed: RFC 9110, section 5.6.1
		}
		from, to, found := strings.Cut(item, "-")
		if !found || !isNumber(from) && from != "" || !isNumber(to) && to != "" || from == "" && to == "" {
			return nil, false
		}
		p := span{0, size - 1}
		switch {
		case from == "":
			suffix := clamp(to, size)
			p.first = size - suffix
		case to == "":
			p.first = clamp(from, size)
		default:
			p.first, p.last = clamp(from, size), clamp(to, size-1)
		}
		if len(spans) <= maxRanges {
			spans = append(spans, p)
		}
	}
	return spans, len(spans) > 0
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// clamp reads a number and cuts it down to limit.
func clamp(digits string, limit int64) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > limit {
		return limit
	}
	return n
}
