package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/observe/figures"
	"shibafu.dev/step7-security/observe/metrics"
)

// world is a registry whose events go to targets that a test plays.
type world struct {
	*testing.T
	n      *notify.Notifier
	bucket *disturbed
	repos  *repo.Store
	sender *sender
	log    *strings.Builder
	limits notify.Limits
}

// oneTarget is a file with one target that hears of everything.
const oneTarget = `{"targets": [{"name": "ci", "url": "https://ci.test/hook", "events": ["push", "pull", "mount", "delete"]}]}`

func newWorld(t *testing.T, file string) *world {
	w := &world{T: t, bucket: &disturbed{Bucket: mem.New()}, log: &strings.Builder{}}
	w.restart(file)
	return w
}

// restart forgets all but what is in the bucket.
func (w *world) restart(file string) {
	w.Helper()
	w.sender = &sender{}
	n, err := notify.Open(w.Context(), notify.Options{
		Bucket: w.bucket, Sender: w.sender, Limits: w.limits,
		Cause: func(context.Context) notify.Cause {
			return notify.Cause{
				Request: notify.Request{ID: "r1", Addr: "192.0.2.1", Host: "reg.test", Method: "PUT", UserAgent: "docker/29"},
				Actor:   "alice", BaseURL: "https://reg.test",
			}
		},
		Source: notify.Source{Addr: "reg.test:443", InstanceID: "i1"},
		Log:    slog.New(slog.NewTextHandler(w.log, nil)),
	}, w.parse(file))
	if err != nil {
		w.Fatal(err)
	}
	w.n = n
	w.repos = repo.New(w.bucket, repo.CASBlobs{Store: cas.New(w.bucket, cas.Distribution)}, repo.Options{Outbox: n})
}

func (w *world) parse(file string) []*notify.Target {
	w.Helper()
	targets, err := notify.Parse([]byte(file))
	if err != nil {
		w.Fatal(err)
	}
	return targets
}

// run delivers until the function that it returns is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.n.Run(ctx) }()
	return func() { cancel(); <-ended }
}

var (
	app = ref.MustName("team/app")
	tag = ref.MustTag
)

// push pushes a manifest that is another for each text.
func (w *world) push(name ref.Name, text string, tags ...string) error {
	raw := manifestBytes(text)
	parsed, err := manifest.Parse("", raw)
	if err != nil {
		return err
	}
	p := repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: parsed}
	for _, tag := range tags {
		p.Tags = append(p.Tags, ref.MustTag(tag))
	}
	return w.repos.PushManifest(w.Context(), name, p)
}

// mustPush is push with what the manifest refers to.
func (w *world) mustPush(text string, tags ...string) {
	w.Helper()
	w.blob(app, "{}")
	if err := w.push(app, text, tags...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) blob(name ref.Name, data string) digest.Digest {
	w.Helper()
	ctx, d := w.Context(), digest.FromBytes([]byte(data))
	writer, err := cas.New(w.bucket, cas.Distribution).NewWriter(ctx, fmt.Sprintf("upload-%p", &d), digest.SHA256, nil)
	if err != nil {
		w.Fatal(err)
	}
	defer writer.Cancel(ctx)
	if _, err := writer.Append(ctx, 0, strings.NewReader(data)); err != nil {
		w.Fatal(err)
	}
	if err := w.repos.CommitBlob(ctx, name, writer, d); err != nil {
		w.Fatal(err)
	}
	return d
}

// queued are the keys of the events that wait in the bucket.
func (w *world) queued() (keys []string) {
	w.Helper()
	for info, err := range w.bucket.List(context.Background(), "shibafu/queues/", "", false) {
		if err != nil {
			w.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// sender takes deliveries down, and answers what it is told to.
type sender struct {
	mu     sync.Mutex
	got    []delivery
	answer func(ctx context.Context, d notify.Delivery) error
}

type delivery struct {
	target    string
	at        time.Time
	events    []notify.Event
	body      string
	signature string
	err       error
}

func (s *sender) Send(ctx context.Context, d notify.Delivery) error {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	got := delivery{target: d.Target.Name, at: time.Now(), body: string(d.Body), signature: d.Signature}
	var e struct{ Events []notify.Event }
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return err
	}
	got.events = e.Events
	if answer != nil {
		got.err = answer(ctx, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, got)
	return got.err
}

func (s *sender) answers(answer func(ctx context.Context, d notify.Delivery) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// taken lists what targets took, as "push team/app:v1"; all of it, or what one took.
func (s *sender) taken(target string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.got {
		if d.err != nil || target != "" && d.target != target {
			continue
		}
		for _, e := range d.events {
			all = append(all, words(e))
		}
	}
	return all
}

// attempts are all deliveries, those that failed too.
func (s *sender) attempts() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func words(e notify.Event) string {
	text := string(e.Action) + " " + e.Target.Repository
	if e.Target.Tag != "" {
		return text + ":" + e.Target.Tag
	}
	return text + "@" + e.Target.Digest.String()[:15]
}

// disturbed is a bucket whose Writes can be refused, and its reads.
type disturbed struct {
	bucket.Bucket
	mu     sync.Mutex
	before func(changes []bucket.Change) error
	opens  func(key string) error
}

func (d *disturbed) SoleWriter() bool { return true }

func (d *disturbed) disturb(before func(changes []bucket.Change) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

func (d *disturbed) Write(ctx context.Context, changes ...bucket.Change) error {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before != nil {
		if err := before(changes); err != nil {
			return err
		}
	}
	return d.Bucket.Write(ctx, changes...)
}

func (d *disturbed) Open(ctx context.Context, key string) (bucket.Object, error) {
	d.mu.Lock()
	opens := d.opens
	d.mu.Unlock()
	if opens != nil {
		if err := opens(key); err != nil {
			return nil, err
		}
	}
	return d.Bucket.Open(ctx, key)
}

var errIO = errors.New("input/output error")

// ofQueues tells whether changes are all of queues.
func ofQueues(changes []bucket.Change) bool {
	for _, c := range changes {
		if !strings.HasPrefix(c.Key, "shibafu/queues/") {
			return false
		}
	}
	return true
}

// figures is what Prometheus reads.
func (w *world) figures() string {
	var m metrics.Registry
	figures.Webhooks(&m, w.n.Status)
	var b strings.Builder
	if err := m.Write(&b); err != nil {
		w.Fatal(err)
	}
	return b.String()
}

// manifestOf is the digest of what push pushes.
func manifestOf(text string) digest.Digest {
	return digest.FromBytes(manifestBytes(text))
}

func manifestBytes(text string) []byte {
	raw, _ := json.Marshal(oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: oci.EmptyDescriptor, Annotations: map[string]string{"text": text}})
	return raw
}

// pushAll is push with what the manifest refers to, where any of it may fail.
func (w *world) pushAll(tag string) error {
	ctx, d := w.Context(), digest.FromBytes([]byte("{}"))
	writer, err := cas.New(w.bucket, cas.Distribution).NewWriter(ctx, "upload-"+tag, digest.SHA256, nil)
	if err != nil {
		return err
	}
	defer writer.Cancel(ctx)
	if _, err := writer.Append(ctx, 0, strings.NewReader("{}")); err != nil {
		return err
	}
	if err := w.repos.CommitBlob(ctx, app, writer, d); err != nil {
		return err
	}
	return w.push(app, tag, tag)
}
