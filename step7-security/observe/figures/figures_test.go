package figures

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/usage"
)

func written(t *testing.T, m *metrics.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFigures(t *testing.T) {
	var m metrics.Registry
	seen := Auth(&m)
	seen("basic", "credentials")
	seen("basic", "credentials")
	Passwords(&m, func() int { return 3 })
	Limits(&m, map[string]func() ratelimit.Stats{
		"identity": func() ratelimit.Stats { return ratelimit.Stats{Waited: 4, Refused: 5, Waiting: 6} },
		"address":  func() ratelimit.Stats { return ratelimit.Stats{Refused: 7} },
	})
	Sessions(&m, func() int { return 8 }, 10_000)
	Cache(&m, func() repo.Stats { return repo.Stats{Hits: 9, Misses: 10, Manifests: 11, TagLists: 12} })
	Usage(&m, func() (usage.Usage, time.Time) { return usage.Usage{Blobs: 13, Bytes: 14}, time.Unix(1_700_000_000, 0) })
	Space(&m, func() (usage.Space, error) { return usage.Space{Free: 15, Total: 16}, nil })
	Certificate(&m, func() time.Time { return time.Unix(1_800_000_000, 500_000_000) })
	Files(&m, map[string]func() error{"users": func() error { return nil }, "policy": func() error { return errors.New("bad") }})
	Checks(&m, func(yield func(string, bool)) { yield("storage", true); yield("keys", false) })
	Audit(&m, func() audit.Stats { return audit.Stats{Written: 17, Lost: 18, Unsaid: 19, Failing: true} })
	Webhooks(&m, func() []notify.Status {
		return []notify.Status{{Target: "ci", Queued: 20, Bytes: 21, Delivered: 22, Dropped: 23, Failed: 24, Failing: true}, {Target: "other"}}
	})
	Build(&m, "1.2.3")
	text := written(t, &m)
	for _, want := range []string{
		`shibafu_auth_requests_total{shown="basic",result="credentials"} 2`,
		`shibafu_auth_passwords_waiting 3`,
		`shibafu_ratelimit_waits_total{by="identity"} 4`,
		`shibafu_ratelimit_refusals_total{by="address"} 7`,
		`shibafu_ratelimit_waiting{by="identity"} 6`,
		`shibafu_webhook_queue_events{target="ci"} 20`,
		`shibafu_webhook_queue_bytes{target="ci"} 21`,
		`shibafu_webhook_failing{target="ci"} 1`,
		`shibafu_webhook_failing{target="other"} 0`,
		`shibafu_webhook_delivered_total{target="ci"} 22`,
		`shibafu_webhook_dropped_total{target="ci"} 23`,
		`shibafu_webhook_failures_total{target="ci"} 24`,
		`shibafu_upload_sessions 8`,
		`shibafu_upload_sessions_limit 10000`,
		`shibafu_manifest_cache_hits_total 9`,
		`shibafu_manifest_cache_misses_total 10`,
		`shibafu_cache_bytes{of="tags"} 12`,
		`shibafu_storage_blobs 13`,
		`shibafu_storage_blob_bytes 14`,
		`shibafu_storage_counted_timestamp_seconds 1.7e+09`,
		`shibafu_storage_free_bytes 15`,
		`shibafu_storage_size_bytes 16`,
		`shibafu_tls_certificate_expiry_timestamp_seconds 1.8000000005e+09`,
		`shibafu_config_last_reload_successful{file="policy"} 0`,
		`shibafu_config_last_reload_successful{file="users"} 1`,
		`shibafu_health_check_successful{check="keys"} 0`,
		`shibafu_audit_events_total 17`,
		`shibafu_audit_lost_events_total 18`,
		`shibafu_audit_omitted_events_total 19`,
		`shibafu_audit_failing 1`,
		`shibafu_build_info{version="1.2.3",goversion="go`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
}

// What is not known is not told, or told to be unknown.
func TestUnknown(t *testing.T) {
	var m metrics.Registry
	Usage(&m, func() (usage.Usage, time.Time) { return usage.Usage{}, time.Time{} })
	Space(&m, func() (usage.Space, error) { return usage.Space{}, errors.New("no such folder") })
	if text := written(t, &m); strings.Contains(text, "\nshibafu_storage_blobs ") || !strings.Contains(text, "shibafu_storage_free_bytes NaN\n") {
		t.Error(text)
	}
}

// What is told of this process is what is known of it otherwise.
func TestProcess(t *testing.T) {
	var m metrics.Registry
	Process(&m)
	got := map[string]float64{}
	for line := range strings.Lines(written(t, &m)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil || math.IsNaN(x) {
				t.Errorf("%s: %v", line, err)
			}
			got[name] = x
		}
	}
	now := float64(time.Now().Unix())
	for name, between := range map[string][2]float64{
		"process_start_time_seconds":    {now - 3600, now + 2},
		"process_resident_memory_bytes": {1 << 20, 4 << 30},
		"process_virtual_memory_bytes":  {got["process_resident_memory_bytes"], math.Inf(1)},
		"process_cpu_seconds_total":     {0, 3600},
		"process_open_fds":              {3, got["process_max_fds"]},
		"go_goroutines":                 {1, 1000},
		"go_threads":                    {1, 1000},
		"go_memstats_heap_alloc_bytes":  {1, got["go_memstats_sys_bytes"]},
		"go_memstats_alloc_bytes_total": {got["go_memstats_heap_alloc_bytes"], math.Inf(1)},
	} {
		if x := got[name]; x < between[0] || x > between[1] {
			t.Errorf("%s is %v, not in %v", name, x, between)
		}
	}
	before := openFiles()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := openFiles(); n != before+1 {
		t.Errorf("%v files are open, and %v were before one more", n, before)
	}
}

// A program's name can look like the fields behind it.
func TestStatField(t *testing.T) {
	const fields = " S 2 3 4 5 6 7 8 9 10 11 140 150"
	for _, name := range []string{"shibafu", "a) S 1 (b", ") (", ""} {
		raw := []byte("1 (" + name + ")" + fields)
		if got := statField(raw, 14); got != 140 {
			t.Errorf("%q: %v", name, got)
		}
	}
	if got := statField([]byte("1 (x) S"), 14); !math.IsNaN(got) {
		t.Errorf("too short: %v", got)
	}
}
