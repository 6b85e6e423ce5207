package metrics

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func written(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	var r Registry
	requests := r.Counter("requests_total", "Requests, by\nkind.", "endpoint", "code")
	plain := r.Counter("plain_total", `A counter \ of its own.`)
	open := r.Gauge("open_sessions", "Sessions.")
	took := r.Histogram("took_seconds", "Time.", []float64{0.1, 1}, "endpoint")
	r.GaugeFunc("answer", "It.", func() float64 { return 42.5 })
	r.CounterFunc("asked_total", "Questions.", func() float64 { return math.Inf(1) })
	r.GaugesFunc("files", "Files.", []string{"name"}, func(tell func(float64, ...string)) {
		tell(1, "b")
		tell(0, "a")
	})
	r.CountersFunc("none_total", "Nothing.", []string{"name"}, func(func(float64, ...string)) {})
	requests.Add(2, "pull blob", "200")
	requests.Add(1, `a"b\c`+"\n", "200")
	requests.Add(1, "pull blob", "404")
	plain.Add(3)
	open.Add(5)
	open.Add(-2)
	for _, x := range []float64{0.05, 0.1, 0.5, 3} {
		took.Observe(x, "x")
	}
	const want = `# HELP requests_total Requests, by\nkind.
# TYPE requests_total counter
requests_total{endpoint="a\"b\\c\n",code="200"} 1
requests_total{endpoint="pull blob",code="200"} 2
requests_total{endpoint="pull blob",code="404"} 1
# HELP plain_total A counter \\ of its own.
# TYPE plain_total counter
plain_total 3
# HELP open_sessions Sessions.
# TYPE open_sessions gauge
open_sessions 3
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{endpoint="x",le="0.1"} 2
took_seconds_bucket{endpoint="x",le="1"} 3
took_seconds_bucket{endpoint="x",le="+Inf"} 4
took_seconds_sum{endpoint="x"} 3.65
took_seconds_count{endpoint="x"} 4
# HELP answer It.
# TYPE answer gauge
answer 42.5
# HELP asked_total Questions.
# TYPE asked_total counter
asked_total +Inf
# HELP files Files.
# TYPE files gauge
files{name="b"} 1
files{name="a"} 0
# HELP none_total Nothing.
# TYPE none_total counter
`
	if got := written(t, &r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Nothing is lost where many count at once, and what is written meanwhile is whole.
func TestAtOnce(t *testing.T) {
	var r Registry
	c, h := r.Counter("c_total", "", "l"), r.Histogram("h", "", []float64{1}, "l")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Add(1, "x")
				h.Observe(0.5, "x")
				if err := r.Write(&strings.Builder{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := written(t, &r)
	for _, want := range []string{`c_total{l="x"} 8000`, `h_bucket{l="x",le="1"} 8000`, `h_sum{l="x"} 4000`, `h_count{l="x"} 8000`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestMistakesPanic(t *testing.T) {
	var r Registry
	c := r.Counter("c_total", "", "l")
	for name, mistake := range map[string]func(){
		"too few labels":    func() { c.Add(1) },
		"too many labels":   func() { c.Add(1, "a", "b") },
		"too many declared": func() { r.Gauge("g", "", "a", "b", "c", "d", "e") },
		"bounds":            func() { r.Histogram("h", "", []float64{2, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("nothing happened")
				}
			}()
			mistake()
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestBrokenWriter(t *testing.T) {
	var r Registry
	if err := r.Write(broken{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// Whatever a label's value is, it stays on its line and between its quotes.
func FuzzLabel(f *testing.F) {
	for _, seed := range []string{"", `"`, "\\", "a\nb", `\"`, "\xff", "}", `x",y="z`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var r Registry
		r.Counter("c_total", "", "l").Add(1, value)
		text := written(t, &r)
		line := strings.TrimPrefix(text, "# HELP c_total \n# TYPE c_total counter\n")
		inner, ok := strings.CutPrefix(line, `c_total{l="`)
		inner, end := strings.CutSuffix(inner, "\"} 1\n")
		if !ok || !end || !utf8.ValidString(text) {
			t.Fatalf("%q", text)
		}
		back := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`).Replace(inner)
		if back != strings.ToValidUTF8(value, "\uFFFD") {
			t.Errorf("%q came back as %q", value, back)
		}
		for i := 0; i < len(inner); i++ {
			switch inner[i] {
			case '\\':
				i++
			case '"', '\n':
				t.Fatalf("%q ends early in %q", value, text)
			}
		}
	})
}

func BenchmarkCounter(b *testing.B) {
	var r Registry
	c := r.Counter("c_total", "", "endpoint", "code")
	b.ReportAllocs()
	for b.Loop() {
		c.Add(1, "pull manifest", "200")
	}
}
