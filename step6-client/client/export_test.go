package client

// What tests look at.
var (
	NextLink      = nextLink
	ParseProgress = parseProgress
)

// ParseContentRange is parseContentRange.
func ParseContentRange(s string) (first, last, size int64, err error) {
	p, err := parseContentRange(s)
	return p.first, p.last, p.size, err
}
