// Package metrics counts, and writes what it has counted in the text format of
// Prometheus.
//
// What is counted is declared once, with the names of its labels; then it is told of
// events by the values of those. The number of values is the program's to bound: a
// label is never something that a client can make up.
//
// Source: Prometheus, "Exposition formats", text format 0.0.4; "Metric and label
// naming".
package metrics

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// ContentType is that of what Write writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// MaxLabels is how many labels a metric may have.
const MaxLabels = 4

// Registry is a set of metrics. The zero value is an empty one. Metrics are declared
// before the first event; all else may be done at once from many goroutines.
type Registry struct {
	families []family
}

// family is all that has one name.
type family interface{ write(w *strings.Builder) }

// values are those of the labels of one series, "" behind the last.
type values [MaxLabels]string

// desc is what all kinds have in common.
type desc struct {
	name, help, kind string
	labels           []string
}

func (r *Registry) add(f family) { r.families = append(r.families, f) }

func newDesc(name, help, kind string, labels []string) desc {
	if len(labels) > MaxLabels {
		panic(fmt.Sprintf("metrics: %s has more than %d labels", name, MaxLabels))
	}
	return desc{name, help, kind, labels}
}

func (d *desc) key(given []string) (v values) {
	if len(given) != len(d.labels) {
		panic(fmt.Sprintf("metrics: %s has %d labels, not %d", d.name, len(d.labels), len(given)))
	}
	copy(v[:], given)
	return v
}

// Write writes all metrics, in the order in which they were declared.
func (r *Registry) Write(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.families {
		f.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// series are the values of a metric, one for each set of its labels' values.
type series[T any] struct {
	mu  sync.RWMutex
	all map[values]*T
}

// get returns the one for v, which is made if it is new.
func (s *series[T]) get(v values) *T {
	s.mu.RLock()
	found := s.all[v]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[values]*T{}
	}
	if s.all[v] == nil {
		s.all[v] = new(T)
	}
	return s.all[v]
}

// sorted calls f for all, in the order of their labels.
func (s *series[T]) sorted(f func(values, *T)) {
	s.mu.RLock()
	keys := make([]values, 0, len(s.all))
	for v := range s.all {
		keys = append(keys, v)
	}
	s.mu.RUnlock()
	slices.SortFunc(keys, func(a, b values) int { return slices.Compare(a[:], b[:]) })
	for _, v := range keys {
		f(v, s.get(v))
	}
}

// Counter counts what only grows.
type Counter struct {
	desc
	series series[atomic.Uint64]
}

// Counter declares a counter. Its name ends with "_total".
func (r *Registry) Counter(name, help string, labels ...string) *Counter {
	c := &Counter{desc: newDesc(name, help, "counter", labels)}
	if len(labels) == 0 {
		c.Add(0)
	}
	r.add(c)
	return c
}

// Add adds n to the series of those values of the labels.
func (c *Counter) Add(n uint64, labels ...string) { c.series.get(c.key(labels)).Add(n) }

func (c *Counter) write(b *strings.Builder) {
	c.header(b)
	c.series.sorted(func(v values, n *atomic.Uint64) {
		c.line(b, "", v, "", strconv.FormatUint(n.Load(), 10))
	})
}

// Gauge is what goes up and down.
type Gauge struct {
	desc
	series series[atomic.Int64]
}

// Gauge declares a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) *Gauge {
	g := &Gauge{desc: newDesc(name, help, "gauge", labels)}
	if len(labels) == 0 {
		g.Add(0)
	}
	r.add(g)
	return g
}

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64, labels ...string) { g.series.get(g.key(labels)).Add(n) }

// Set sets the value.
func (g *Gauge) Set(n int64, labels ...string) { g.series.get(g.key(labels)).Store(n) }

func (g *Gauge) write(b *strings.Builder) {
	g.header(b)
	g.series.sorted(func(v values, n *atomic.Int64) {
		g.line(b, "", v, "", strconv.FormatInt(n.Load(), 10))
	})
}

// fromFunc is asked when metrics are written.
type fromFunc struct {
	desc
	ask func(tell func(value float64, labels ...string))
}

func one(ask func() float64) func(func(float64, ...string)) {
	return func(tell func(float64, ...string)) { tell(ask()) }
}

// GaugeFunc and CounterFunc declare what is known elsewhere, and asked for when
// metrics are written.
func (r *Registry) GaugeFunc(name, help string, ask func() float64) {
	r.add(&fromFunc{newDesc(name, help, "gauge", nil), one(ask)})
}

// CounterFunc is GaugeFunc for what only grows.
func (r *Registry) CounterFunc(name, help string, ask func() float64) {
	r.add(&fromFunc{newDesc(name, help, "counter", nil), one(ask)})
}

// GaugesFunc and CountersFunc are those for metrics with labels: ask tells the value of
// each series, each once, in the order in which they are to be written.
func (r *Registry) GaugesFunc(name, help string, labels []string, ask func(tell func(value float64, labels ...string))) {
	r.add(&fromFunc{newDesc(name, help, "gauge", labels), ask})
}

// CountersFunc is GaugesFunc for what only grows.
func (r *Registry) CountersFunc(name, help string, labels []string, ask func(tell func(value float64, labels ...string))) {
	r.add(&fromFunc{newDesc(name, help, "counter", labels), ask})
}

func (f *fromFunc) write(b *strings.Builder) {
	f.header(b)
	f.ask(func(value float64, labels ...string) {
		f.line(b, "", f.key(labels), "", number(value))
	})
}

// Histogram counts events by how much of something they took.
type Histogram struct {
	desc
	bounds []float64
	series series[distribution]
}

// distribution is one series. counts has one more than there are bounds.
type distribution struct {
	once   sync.Once
	counts []atomic.Uint64
	sum    atomic.Uint64 // the bits of a float64
}

// Histogram declares a histogram with those upper bounds, in ascending order.
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...string) *Histogram {
	if !slices.IsSorted(bounds) {
		panic("metrics: the bounds of " + name + " are not sorted")
	}
	h := &Histogram{desc: newDesc(name, help, "histogram", labels), bounds: bounds}
	r.add(h)
	return h
}

// Observe counts an event that took x.
func (h *Histogram) Observe(x float64, labels ...string) {
	d := h.series.get(h.key(labels))
	d.once.Do(func() { d.counts = make([]atomic.Uint64, len(h.bounds)+1) })
	at, _ := slices.BinarySearch(h.bounds, x)
	d.counts[at].Add(1)
	for {
		old := d.sum.Load()
		if d.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

func (h *Histogram) write(b *strings.Builder) {
	h.header(b)
	h.series.sorted(func(v values, d *distribution) {
		d.once.Do(func() { d.counts = make([]atomic.Uint64, len(h.bounds)+1) })
		var n uint64
		for i, bound := range append(slices.Clone(h.bounds), math.Inf(1)) {
			n += d.counts[i].Load()
			h.line(b, "_bucket", v, number(bound), strconv.FormatUint(n, 10))
		}
		h.line(b, "_sum", v, "", number(math.Float64frombits(d.sum.Load())))
		h.line(b, "_count", v, "", strconv.FormatUint(n, 10))
	})
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (d *desc) header(b *strings.Builder) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", d.name, escapeHelp.Replace(d.help), d.name, d.kind)
}

// line writes a value. le is the bound of a histogram's bucket, "" for none.
func (d *desc) line(b *strings.Builder, suffix string, v values, le, value string) {
	b.WriteString(d.name + suffix)
	open := "{"
	for i, label := range d.labels {
		fmt.Fprintf(b, `%s%s="%s"`, open, label, escapeValue.Replace(strings.ToValidUTF8(v[i], "\uFFFD")))
		open = ","
	}
	if le != "" {
		fmt.Fprintf(b, `%sle="%s"`, open, le)
		open = ","
	}
	if open == "," {
		b.WriteByte('}')
	}
	b.WriteString(" " + value + "\n")
}

func number(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "+Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	case math.IsNaN(x):
		return "NaN"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
