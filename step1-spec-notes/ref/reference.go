package ref

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
)

// Reference says where content is: [host[:port]/]name[:tag][@digest].
type Reference struct {
	// Host is "" where the text named none; no default is assumed here.
	Host string
	Name Name
	// Tag and Digest may be zero, alone or both. Where both are there the digest
	// decides and the tag is a remark.
	Tag    Tag
	Digest digest.Digest
}

// ParseReference reads a reference. The first component is a host if a slash
// follows it and it holds a dot or a colon, is "localhost", or cannot be a name
// because of capitals. Its errors are ErrReference, and with it ErrName, ErrTag
// or digest.ErrInvalid.
func ParseReference(s string) (Reference, error) {
	fail := func(err error) (Reference, error) {
		return Reference{}, fmt.Errorf("%w: %w", ErrReference, err)
	}
	var r Reference
	var err error
	rest, sum, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if r.Digest, err = digest.Parse(sum); err != nil {
			return fail(err)
		}
	}
	if first, after, found := strings.Cut(rest, "/"); found && looksLikeHost(first) {
		if !isHost(first) {
			return Reference{}, fmt.Errorf("%w: host", ErrReference)
		}
		r.Host, rest = first, after
	}
	rest, tag, hasTag := strings.Cut(rest, ":")
	if hasTag {
		if r.Tag, err = ParseTag(tag); err != nil {
			return fail(err)
		}
	}
	if r.Name, err = ParseName(rest); err != nil {
		return fail(err)
	}
	return r, nil
}

func looksLikeHost(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:[") || s != strings.ToLower(s)
}

// isHost accepts host, host:port, IPv4 and bracketed IPv6, each with a port or
// without.
func isHost(s string) bool {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return false
		}
		if strings.HasPrefix(s, "[") {
			h = "[" + h + "]"
		}
		host = h
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && !strings.Contains(inner, "%") && net.ParseIP(inner) != nil
	}
	return isDomain(host)
}

// isDomain matches labels of letters, digits and inner dashes, joined by dots.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLowerAlnum(c) && (c < 'A' || c > 'Z') && c != '-' {
				return false
			}
		}
	}
	return true
}

// TagOrDigest is the digest if there is one, else the tag; ok is false if there
// is neither.
func (r Reference) TagOrDigest() (t TagOrDigest, ok bool) {
	switch {
	case !r.Digest.IsZero():
		return ByDigest(r.Digest), true
	case !r.Tag.IsZero():
		return ByTag(r.Tag), true
	}
	return TagOrDigest{}, false
}

// String is the text that ParseReference reads as r.
func (r Reference) String() string {
	var b strings.Builder
	if r.Host != "" {
		b.WriteString(r.Host + "/")
	}
	b.WriteString(r.Name.String())
	if !r.Tag.IsZero() {
		b.WriteString(":" + r.Tag.String())
	}
	if !r.Digest.IsZero() {
		b.WriteString("@" + r.Digest.String())
	}
	return b.String()
}
