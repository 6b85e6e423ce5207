// Package figures declares what the parts of a registry count, under the names and in the
// units that Prometheus wants. Each function declares the figures of one part, and takes
// as functions what it asks for: the parts know nothing of it.
//
// figures.go has the registry's own figures, process.go those of the process and Go.
package figures

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/usage"
)

// Auth declares how requests showed who makes them, and what came of it. The function it
// returns counts one: shown and result are words such as those of package authhttp.
func Auth(m *metrics.Registry) (seen func(shown, result string)) {
	c := m.Counter("shibafu_auth_requests_total", "Requests that somebody was asked for, by what they showed of who they are and what came of it.", "shown", "result")
	return func(shown, result string) { c.Add(1, shown, result) }
}

// Passwords declares how many passwords wait to be verified.
func Passwords(m *metrics.Registry, waiting func() int) {
	m.GaugeFunc("shibafu_auth_passwords_waiting", "Passwords that wait to be verified.", func() float64 { return float64(waiting()) })
}

// Limits declares what limits do, each under the name of what its sources are told apart
// by: "identity", "address".
func Limits(m *metrics.Registry, by map[string]func() ratelimit.Stats) {
	names := slices.Sorted(maps.Keys(by))
	each := func(value func(ratelimit.Stats) float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			for _, name := range names {
				tell(value(by[name]()), name)
			}
		}
	}
	label := []string{"by"}
	m.CountersFunc("shibafu_ratelimit_waits_total", "Requests that had to wait for their source's limits.", label,
		each(func(s ratelimit.Stats) float64 { return float64(s.Waited) }))
	m.CountersFunc("shibafu_ratelimit_refusals_total", "Requests that were refused as their source took too much.", label,
		each(func(s ratelimit.Stats) float64 { return float64(s.Refused) }))
	m.GaugesFunc("shibafu_ratelimit_waiting", "Requests that wait for their source's limits.", label,
		each(func(s ratelimit.Stats) float64 { return float64(s.Waiting) }))
}

// Sessions declares how many uploads are open, and how many may be.
func Sessions(m *metrics.Registry, open func() int, limit int) {
	m.GaugeFunc("shibafu_upload_sessions", "Upload sessions that are open.", func() float64 { return float64(open()) })
	m.GaugeFunc("shibafu_upload_sessions_limit", "Upload sessions that may be open.", func() float64 { return float64(limit) })
}

// Cache declares what is remembered of manifests.
func Cache(m *metrics.Registry, stats func() repo.Stats) {
	m.CounterFunc("shibafu_manifest_cache_hits_total", "Manifests that were asked for and remembered.", func() float64 { return float64(stats().Hits) })
	m.CounterFunc("shibafu_manifest_cache_misses_total", "Manifests that were asked for and had to be looked for.", func() float64 { return float64(stats().Misses) })
	m.GaugesFunc("shibafu_cache_bytes", "Memory for what is remembered of the store.", []string{"of"}, func(tell func(float64, ...string)) {
		s := stats()
		tell(float64(s.Manifests), "manifests")
		tell(float64(s.TagLists), "tags")
	})
}

// Usage declares what the store held when it was last counted. Before that there is
// nothing to tell.
func Usage(m *metrics.Registry, last func() (usage.Usage, time.Time)) {
	each := func(value func(usage.Usage, time.Time) float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			if u, at := last(); !at.IsZero() {
				tell(value(u, at))
			}
		}
	}
	m.GaugesFunc("shibafu_storage_blobs", "Blobs in the store, as last counted.", nil,
		each(func(u usage.Usage, _ time.Time) float64 { return float64(u.Blobs) }))
	m.GaugesFunc("shibafu_storage_blob_bytes", "Bytes of the blobs in the store, as last counted.", nil,
		each(func(u usage.Usage, _ time.Time) float64 { return float64(u.Bytes) }))
	m.GaugesFunc("shibafu_storage_counted_timestamp_seconds", "When the store was last counted.", nil,
		each(func(_ usage.Usage, at time.Time) float64 { return unix(at) }))
}

// Space declares the room of the file system that the store is on.
func Space(m *metrics.Registry, space func() (usage.Space, error)) {
	m.GaugeFunc("shibafu_storage_free_bytes", "Bytes that can still be written to the store's file system.", func() float64 {
		s, err := space()
		return orNaN(float64(s.Free), err)
	})
	m.GaugeFunc("shibafu_storage_size_bytes", "Size of the store's file system.", func() float64 {
		s, err := space()
		return orNaN(float64(s.Total), err)
	})
}

// Certificate declares when the first of the certificates ends.
func Certificate(m *metrics.Registry, expiry func() time.Time) {
	m.GaugeFunc("shibafu_tls_certificate_expiry_timestamp_seconds", "When the first of the server's certificates ends.", func() float64 { return unix(expiry()) })
}

// Files declares whether what each file says is in force, by its name: "users", "policy".
// A function returns the error of the last look, nil if that was good.
func Files(m *metrics.Registry, last map[string]func() error) {
	names := slices.Sorted(maps.Keys(last))
	m.GaugesFunc("shibafu_config_last_reload_successful", "Whether a file could be read when it last changed; if not, the version before is in force.", []string{"file"}, func(tell func(float64, ...string)) {
		for _, name := range names {
			tell(truth(last[name]() == nil), name)
		}
	})
}

// Checks declares whether each check was good when it was last made.
func Checks(m *metrics.Registry, last func(yield func(name string, good bool))) {
	m.GaugesFunc("shibafu_health_check_successful", "Whether a check of the server's health was good when it was last made.", []string{"check"}, func(tell func(float64, ...string)) {
		last(func(name string, good bool) { tell(truth(good), name) })
	})
}

// Audit declares what became of events.
func Audit(m *metrics.Registry, stats func() audit.Stats) {
	count := func(name, help string, value func(audit.Stats) uint64) {
		m.CounterFunc(name, help, func() float64 { return float64(value(stats())) })
	}
	count("shibafu_audit_events_total", "Events that were written to the audit log.", func(s audit.Stats) uint64 { return s.Written })
	count("shibafu_audit_lost_events_total", "Events that could not be written to the audit log.", func(s audit.Stats) uint64 { return s.Lost })
	count("shibafu_audit_omitted_events_total", "Refusals that were left out of the audit log as their source had too many.", func(s audit.Stats) uint64 { return s.Unsaid })
	m.GaugeFunc("shibafu_audit_failing", "Whether the audit log can not be written.", func() float64 { return truth(stats().Failing) })
}

// Build declares which program this is.
func Build(m *metrics.Registry, version string) {
	m.GaugesFunc("shibafu_build_info", "The version of the program, and of Go.", []string{"version", "goversion"}, func(tell func(float64, ...string)) {
		tell(1, version, runtime.Version())
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func orNaN(x float64, err error) float64 {
	if err != nil {
		return math.NaN()
	}
	return x
}
