package progress

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// screen is a terminal: what is on it after all that was written.
type screen struct {
	*testing.T
	columns, rows int
	lines         []string // of the screen, and above it what has left it
	row, column   int      // row counts from the first of lines
	writes        int
}

func newScreen(t *testing.T, columns, rows int) *screen {
	return &screen{T: t, columns: columns, rows: rows, lines: []string{""}}
}

// top is the first line that is on the screen.
func (s *screen) top() int { return max(0, len(s.lines)-s.rows) }

// Write understands what bars writes, and nothing else.
func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	text := string(p)
	for text != "" {
		switch {
		case text[0] == '\r':
			s.column, text = 0, text[1:]
		case text[0] == '\n':
			if s.row++; s.row == len(s.lines) {
				s.lines = append(s.lines, "")
			}
			text = text[1:]
		case text[0] == 0x1b:
			text = s.obey(text)
		case text[0] < ' ' || text[0] > '~':
			s.Fatalf("%q is not printed", text[0])
		default:
			if s.column == s.columns {
				s.Fatalf("a line is longer than %d columns: %q", s.columns, s.lines[s.row])
			}
			line := fmt.Sprintf("%-*s", s.columns, s.lines[s.row])
			s.lines[s.row] = strings.TrimRight(line[:s.column]+text[:1]+line[s.column+1:], " ")
			s.column, text = s.column+1, text[1:]
		}
	}
	return len(p), nil
}

func (s *screen) obey(text string) (rest string) {
	var n int
	var what byte
	switch {
	case strings.HasPrefix(text, "\x1b[K"):
		s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
		return text[3:]
	case strings.HasPrefix(text, "\x1b[J"):
		s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
		for i := s.row + 1; i < len(s.lines); i++ {
			s.lines[i] = ""
		}
		return text[3:]
	}
	if _, err := fmt.Sscanf(text, "\x1b[%d%c", &n, &what); err != nil || what != 'A' {
		s.Fatalf("unknown: %q", text)
	}
	s.row = max(s.top(), s.row-n)
	return text[strings.IndexByte(text, 'A')+1:]
}

// shown is what stands there, without empty lines at its end.
func (s *screen) shown() string { return strings.TrimRight(strings.Join(s.lines, "\n"), "\n") }

// pause lets a time pass, and all be drawn that is due then.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
