package observe

import (
	"net/http"
	"strings"
)

// TraceOf is the identity of the trace that a request is a part of, "" for none.
// Source: W3C Trace Context, "traceparent Header".
func TraceOf(r *http.Request) string {
	version, rest, ok := strings.Cut(r.Header.Get("Traceparent"), "-")
	trace, rest, more := strings.Cut(rest, "-")
	parent, flags, all := strings.Cut(rest, "-")
	if flags, _, extended := strings.Cut(flags, "-"); extended && version != "00" {
		return valid(ok && more && all, version, trace, parent, flags)
	}
	return valid(ok && more && all, version, trace, parent, flags)
}

func valid(whole bool, version, trace, parent, flags string) string {
	const zeros = "00000000000000000000000000000000"
	if !whole || !isHex(version, 2) || version == "ff" || !isHex(trace, 32) || trace == zeros ||
		!isHex(parent, 16) || parent == zeros[:16] || !isHex(flags, 2) {
		return ""
	}
	return trace
}

// isHex tells whether text is so many digits, in lower case.
func isHex(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}
