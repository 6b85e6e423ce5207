package notify_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/notify"
)

// What a push of a manifest costs by the number of those who are to hear of it.
func BenchmarkPush(b *testing.B) {
	for _, targets := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("%d targets", targets), func(b *testing.B) {
			files, err := dir.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer files.Close()
			options := repo.Options{Missing: repo.AllowMissing}
			if targets > 0 {
				entry := `{"name": "t%d", "url": "https://t.test"}`
				var all []string
				for i := range targets {
					all = append(all, fmt.Sprintf(entry, i))
				}
				parsed, err := notify.Parse([]byte(`{"targets": [` + strings.Join(all, ",") + `]}`))
				if err != nil {
					b.Fatal(err)
				}
				n, err := notify.Open(b.Context(), notify.Options{Bucket: files, Sender: &sender{}}, parsed)
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); n.Run(ctx) }()
				defer func() { cancel(); <-ended }()
				options.Outbox = n
			}
			repos := repo.New(files, repo.CASBlobs{Store: cas.New(files, cas.Distribution)}, options)
			var number atomic.Int64
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					raw := manifestBytes(fmt.Sprint(number.Add(1)))
					m, err := manifest.Parse("", raw)
					if err != nil {
						b.Error(err)
						return
					}
					if err := repos.PushManifest(b.Context(), app, repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
