package figures

import (
	"bytes"
	"math"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"

	"shibafu.dev/step7-security/observe/metrics"
)

// Process declares what the process takes, and Go's part of that, under the names that
// Prometheus's own clients use. What the system does not tell is NaN.
//
// Source: Prometheus, "Writing client libraries", process metrics; proc(5).
func Process(m *metrics.Registry) {
	m.CounterFunc("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", func() float64 {
		return (stat(14) + stat(15)) / ticks
	})
	m.GaugeFunc("process_resident_memory_bytes", "Resident memory size in bytes.", func() float64 { return stat(24) * float64(os.Getpagesize()) })
	m.GaugeFunc("process_virtual_memory_bytes", "Virtual memory size in bytes.", func() float64 { return stat(23) })
	m.GaugeFunc("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", func() float64 { return bootTime() + stat(22)/ticks })
	m.GaugeFunc("process_open_fds", "Number of open file descriptors.", openFiles)
	m.GaugeFunc("process_max_fds", "Maximum number of open file descriptors.", maxFiles)
	m.GaugesFunc("go_info", "Information about the Go environment.", []string{"version"}, func(tell func(float64, ...string)) { tell(1, runtime.Version()) })
	m.GaugeFunc("go_threads", "Number of OS threads created.", func() float64 { return stat(20) })
	for _, f := range goFigures() {
		if f.grows {
			m.CounterFunc(f.name, f.help, f.read)
		} else {
			m.GaugeFunc(f.name, f.help, f.read)
		}
	}
}

// goFigure is a metric of Go's runtime under the name that Prometheus knows it by.
type goFigure struct {
	name, help string
	from       string // as package runtime/metrics calls it
	grows      bool
}

func goFigures() []goFigure {
	return []goFigure{
		{"go_goroutines", "Number of goroutines that currently exist.", "/sched/goroutines:goroutines", false},
		{"go_sched_gomaxprocs_threads", "The current runtime.GOMAXPROCS setting.", "/sched/gomaxprocs:threads", false},
		{"go_gc_cycles_total_gc_cycles_total", "Count of all completed GC cycles.", "/gc/cycles/total:gc-cycles", true},
		{"go_gc_gomemlimit_bytes", "Go runtime memory limit configured by the user.", "/gc/gomemlimit:bytes", false},
		{"go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", "/gc/heap/allocs:bytes", true},
		{"go_memstats_heap_alloc_bytes", "Number of heap bytes allocated and currently in use.", "/memory/classes/heap/objects:bytes", false},
		{"go_memstats_next_gc_bytes", "Number of heap bytes when next garbage collection will take place.", "/gc/heap/goal:bytes", false},
		{"go_memstats_sys_bytes", "Number of bytes obtained from system.", "/memory/classes/total:bytes", false},
	}
}

func (f goFigure) read() float64 {
	sample := []runtimemetrics.Sample{{Name: f.from}}
	runtimemetrics.Read(sample)
	if sample[0].Value.Kind() != runtimemetrics.KindUint64 {
		return math.NaN() // one that this version of Go does not have
	}
	return float64(sample[0].Value.Uint64())
}

// ticks is how often the kernel counts in a second, for those who read /proc: USER_HZ,
// which is 100 wherever Go runs.
const ticks = 100

// stat is a field of /proc/self/stat, counted from 1 as in proc(5).
func stat(field int) float64 {
	raw, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return math.NaN()
	}
	return statField(raw, field)
}

// statField counts from behind the program's name, which may hold anything.
func statField(raw []byte, field int) float64 {
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const first = 3
	if i := field - first; i >= 0 && i < len(fields) {
		return parse(fields[i])
	}
	return math.NaN()
}

func parse(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	return orNaN(x, err)
}

// bootTime is when the system was started, in seconds since the epoch.
func bootTime() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return math.NaN()
	}
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			return parse(strings.TrimSpace(text))
		}
	}
	return math.NaN()
}

func openFiles() float64 {
	f, err := os.Open("/proc/self/fd")
	if err != nil {
		return math.NaN()
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return orNaN(float64(len(names)-1), err) // without the one that looks
}

// maxFiles is the limit that is in force.
func maxFiles() float64 {
	raw, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return math.NaN()
	}
	for line := range strings.Lines(string(raw)) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) > 0 && fields[0] != "unlimited" {
			return parse(fields[0])
		}
	}
	return math.NaN()
}
