package uploadhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step4-upload/upload"
)

// A body whose length nobody knew before is held to its Content-Range as it comes.
func TestStreamedChunks(t *testing.T) {
	stream := func(s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) }
	g := newRegistry(t, mem.New(), upload.Limits{})
	session := g.start()
	g.do("PATCH", session, stream("hello"), "Content-Range: 0-4").want(http.StatusAccepted, progress(session, 5)...)
	g.do("PATCH", session, stream("x"), "Content-Range: 0-0").
		wantError(http.StatusRequestedRangeNotSatisfiable, ocierr.BlobUploadInvalid, progress(session, 5)...)
	g.do("PATCH", session, stream(" wo and more"), "Content-Range: 5-7").
		wantError(http.StatusBadRequest, ocierr.SizeInvalid, progress(session, 8)...)
	g.do("PATCH", session, stream("r"), "Content-Range: 8-9").
		wantError(http.StatusBadRequest, ocierr.SizeInvalid, progress(session, 9)...)
	g.finish(session, "ld", "hello world")
}

// A chunk that is refused for its header tells nothing of other sessions.
func TestBadRangeOfUnknownSession(t *testing.T) {
	g := newRegistry(t, mem.New(), upload.Limits{})
	session := uploads + "00000000-0000-4000-8000-000000000000"
	for _, value := range []string{"abc", "1-0", "0-9"} {
		header := "Content-Range: " + value
		g.do("PATCH", session, "x", header).wantError(http.StatusNotFound, ocierr.BlobUploadUnknown, "Location: ", "Range: ")
		g.do("PUT", session+"?digest="+sha256Of("x"), "x", header).
			wantError(http.StatusNotFound, ocierr.BlobUploadUnknown, "Location: ", "Range: ")
	}
}

// The connection's deadline ends a body that dribbles; what came is kept.
func TestSlowBody(t *testing.T) {
	late := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	slow := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s), iotest.ErrReader(late)) }
	g := newRegistry(t, mem.New(), upload.Limits{})
	session := g.start()
	g.do("PATCH", session, slow("hel")).wantError(http.StatusRequestTimeout, ocierr.BlobUploadInvalid, progress(session, 3)...)
	g.do("PUT", session+"?digest="+sha256Of("hello"), slow("l")).
		wantError(http.StatusRequestTimeout, ocierr.BlobUploadInvalid, progress(session, 4)...)
	g.do("POST", uploads+"?digest="+sha256Of("hello"), slow("hel")).
		wantError(http.StatusRequestTimeout, ocierr.BlobUploadInvalid, "Location: ")
	g.finish(session, "o", "hello")
}

func TestTooMany(t *testing.T) {
	g := newRegistry(t, mem.New(), upload.Limits{Sessions: 1})
	session := g.start()
	for _, query := range []string{"", "?digest=" + sha256Of("x"), "?mount=" + sha256Of("y") + "&from=a"} {
		a := g.do("POST", uploads+query, "x")
		a.wantError(http.StatusTooManyRequests, ocierr.TooManyRequests, "Retry-After: 10", "Location: ")
	}
	g.do("PATCH", session, "hello").want(http.StatusAccepted) // a push under way is never refused
	g.finish(session, "", "hello")
	g.start()
}

// A blob that is too large, a full disk and a wrong digest end a session, so the
// answer leads to none.
func TestEnded(t *testing.T) {
	tests := []struct {
		name, target, body string
		status             int
		code               ocierr.Code
	}{
		{"too large", "?digest=" + sha256Of("hello world"), "hello world", http.StatusRequestEntityTooLarge, ocierr.SizeInvalid},
		{"mismatch", "?digest=" + sha256Of("hello"), "jello", http.StatusBadRequest, ocierr.DigestInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRegistry(t, mem.New(), upload.Limits{Blob: 10})
			session := g.start()
			g.do("PUT", session+tt.target, tt.body).wantError(tt.status, tt.code, "Location: ", "Range: ")
			g.do("GET", session, nil).wantError(http.StatusNotFound, ocierr.BlobUploadUnknown)
			g.do("POST", uploads+tt.target, tt.body).wantError(tt.status, tt.code, "Location: ")
		})
	}
}

// broken is a bucket that cannot begin an upload.
type broken struct {
	bucket.Bucket
	err error
}

func (b broken) CreateUpload(context.Context, string) (bucket.Upload, error) {
	return nil, b.err
}

// What is nobody's fault but ours says nothing of itself.
func TestServerFaults(t *testing.T) {
	secret := errors.New("open /var/lib/registry: secret")
	tests := []struct {
		name   string
		err    error
		status int
		code   ocierr.Code
	}{
		{"full", errors.Join(bucket.ErrFull, secret), http.StatusInsufficientStorage, ocierr.StorageFull},
		{"broken", secret, http.StatusInternalServerError, ocierr.InternalError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRegistry(t, broken{mem.New(), tt.err}, upload.Limits{})
			for _, request := range []struct{ method, target string }{
				{"POST", uploads + "?digest=" + sha256Of("x")},
				{"PATCH", g.start()},
				{"PUT", g.start() + "?digest=" + sha256Of("x")},
			} {
				a := g.do(request.method, request.target, "x")
				a.wantError(tt.status, tt.code)
				if strings.Contains(a.Body.String(), "secret") {
					t.Errorf("the client is told %s", a.Body)
				}
			}
		})
	}
}

// While a request is adding to a session, another one is told after a while, and
// where the session stands.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry(t, mem.New(), upload.Limits{})
		session := g.start()
		g.do("PATCH", session, "he").want(http.StatusAccepted)
		r, w := io.Pipe()
		done := make(chan answer)
		go func() { done <- g.do("PATCH", session, r) }()
		io.WriteString(w, "llo")
		for method, target := range map[string]string{"PATCH": session, "PUT": session + "?digest=" + sha256Of("hello")} {
			g.do(method, target, "").wantError(http.StatusRequestedRangeNotSatisfiable, ocierr.BlobUploadInvalid, progress(session, 2)...)
		}
		w.Close()
		(<-done).want(http.StatusAccepted, progress(session, 5)...)
		g.finish(session, "", "hello")
	})
}
