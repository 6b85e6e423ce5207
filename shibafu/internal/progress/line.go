package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"shibafu.dev/step6-client/report"
)

// width of the beginning of a digest that tells one from another.
const shortDigest = 12

// line is an item in so many columns, or fewer. It is ASCII, a byte a column.
func (i *item) line(columns int) string {
	name := i.digest.Hex()[:shortDigest]
	if i.outcome != "" {
		return fit(columns, fmt.Sprintf("%s  %9s  %s", name, report.Size(i.size), i.outcome), name+"  "+i.outcome, name)
	}
	amount := fmt.Sprintf("%9s / %s", report.Size(i.done), report.Size(i.size))
	rate := strings.Repeat(" ", 11) // it is not known yet
	if i.speed.rate >= 1 {
		rate = fmt.Sprintf("%9s/s", report.Size(int64(i.speed.rate)))
	}
	rest := "      "
	if d, ok := left(i.size-i.done, i.speed.rate); ok {
		rest = fmt.Sprintf("%6s", short(d))
	}
	percent := fmt.Sprintf("%3d%%", share(i.done, i.size, 100))
	for _, tail := range []string{amount + "  " + rate + "  " + rest, amount + "  " + rate, amount, percent} {
		const least = 10
		if room := columns - shortDigest - len(tail) - 4; room >= least {
			return name + "  " + bar(share(i.done, i.size, 100), min(room, 40)) + "  " + tail
		}
	}
	return fit(columns, name+"  "+percent, name)
}

// bar draws a share of a hundred in so many columns.
func bar(percent, columns int) string {
	inner := columns - 2
	full := inner * percent / 100
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", inner-full) + "]"
}

// share is how many parts of parts are done.
func share(done, size int64, parts int) int {
	if size <= 0 {
		return parts
	}
	return int(float64(max(0, min(done, size))) / float64(size) * float64(parts))
}

// line is the last one.
func (t sum) line(columns, hidden int) string {
	text := fmt.Sprintf("%d of %d done", t.finished, t.all)
	brief := text
	text += fmt.Sprintf(", %s of %s", report.Size(t.done), report.Size(t.size))
	if t.rate >= 1 {
		text += fmt.Sprintf(", %s/s", report.Size(int64(t.rate)))
	}
	if hidden > 0 {
		text += fmt.Sprintf(" (%d more lines)", hidden)
	}
	return fit(columns, text, brief)
}

// fit is the first of the texts that fits, or the beginning of the last.
func fit(columns int, texts ...string) string {
	for _, t := range texts {
		if len(t) <= columns {
			return t
		}
	}
	last := texts[len(texts)-1]
	return last[:max(0, min(columns, len(last)))]
}

// short is "59s", "3m20s" or "2h05m".
func short(d time.Duration) string {
	seconds := int(d.Seconds())
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%dh%02dm", seconds/3600, seconds/60%60)
}

// plainText is a text in ASCII, which no terminal obeys.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
