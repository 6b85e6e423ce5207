package figures

import (
	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/observe/metrics"
)

// Webhooks declares what waits for each target of events, and what became of the rest.
func Webhooks(m *metrics.Registry, status func() []notify.Status) {
	each := func(value func(notify.Status) float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			for _, s := range status() {
				tell(value(s), s.Target)
			}
		}
	}
	label := []string{"target"}
	m.GaugesFunc("shibafu_webhook_queue_events", "Events that wait for a webhook to take them.", label,
		each(func(s notify.Status) float64 { return float64(s.Queued) }))
	m.GaugesFunc("shibafu_webhook_queue_bytes", "Bytes that the events take in the store.", label,
		each(func(s notify.Status) float64 { return float64(s.Bytes) }))
	m.GaugesFunc("shibafu_webhook_failing", "1 where the last delivery to a webhook failed.", label,
		each(func(s notify.Status) float64 {
			if s.Failing {
				return 1
			}
			return 0
		}))
	m.CountersFunc("shibafu_webhook_delivered_total", "Events that a webhook has taken.", label,
		each(func(s notify.Status) float64 { return float64(s.Delivered) }))
	m.CountersFunc("shibafu_webhook_dropped_total", "Events that a webhook will not hear of.", label,
		each(func(s notify.Status) float64 { return float64(s.Dropped) }))
	m.CountersFunc("shibafu_webhook_failures_total", "Deliveries that failed, and are tried again.", label,
		each(func(s notify.Status) float64 { return float64(s.Failed) }))
}
