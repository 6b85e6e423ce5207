package uploadhttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

// mounts is a Mounter that has one blob in one repository, and notes what it was
// asked for.
type mounts struct {
	from  string
	d     string
	err   error
	asked []string
}

func (m *mounts) MountBlob(_ context.Context, name, from ref.Name, d digest.Digest) error {
	m.asked = append(m.asked, name.String()+" from "+from.String())
	switch {
	case m.err != nil:
		return m.err
	case d.String() != m.d || !from.IsZero() && from.String() != m.from:
		return bucket.ErrNotExist
	}
	return nil
}

func TestMount(t *testing.T) {
	d, other := sha256Of("there"), sha256Of("elsewhere")
	const found, session = http.StatusCreated, http.StatusAccepted
	tests := []struct {
		name, query string
		status      int
		asked       string
		reason      string
	}{
		{"found", "mount=" + d + "&from=team/base", found, "team/app from team/base", ""},
		{"anonymous", "mount=" + d, found, "team/app from ", "the mounter may know a repository"},
		{"empty from", "mount=" + d + "&from=", found, "team/app from ", "the same"},
		{"not there", "mount=" + other + "&from=team/base", session, "team/app from team/base", ""},
		{"another repository", "mount=" + d + "&from=team/x", session, "team/app from team/x", "as if it were not there"},
		{"from no name", "mount=" + d + "&from=../X", session, "", "no such repository, so no such blob"},
		{"from itself", "mount=" + d + "&from=team/app", session, "team/app from team/app", ""},
		{"with digest", "mount=" + other + "&digest=" + d, session, "team/app from ", "the mount is looked at first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &mounts{from: "team/base", d: d}
			g := newRegistryWith(t, cas.New(mem.New(), cas.Distribution), upload.Limits{}, m)
			a := g.do("POST", uploads+"?"+tt.query, nil)
			a.want(tt.status)
			if asked := strings.Join(m.asked, ","); asked != tt.asked {
				t.Errorf("the mounter was asked for %q, want %q (%s)", asked, tt.asked, tt.reason)
			}
			location := a.ResponseRecorder.Header().Get("Location")
			if tt.status == found {
				a.want(found, "Location: "+blob(d), "Docker-Content-Digest: "+d)
				return
			}
			a.want(session, progress(location, 0)...)
			g.finish(location, "hello", "hello")
		})
	}
}

// A mounter's own errors go to the client as they are.
func TestMountRefused(t *testing.T) {
	m := &mounts{err: ocierr.Denied}
	g := newRegistryWith(t, cas.New(mem.New(), cas.Distribution), upload.Limits{}, m)
	g.do("POST", uploads+"?from=a&mount="+sha256Of("x"), nil).wantError(http.StatusForbidden, ocierr.Denied)
}

// blind is a bucket whose uploads cannot be read back, so that the algorithm must
// be known in time.
type blind struct{ bucket.Bucket }

type blindUpload struct{ bucket.Upload }

func (b blind) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.Bucket.OpenUpload(ctx, id)
	return blindUpload{u}, err
}

func (b blind) Write(ctx context.Context, changes ...bucket.Change) error {
	for i := range changes {
		if u, ok := changes[i].From.(blindUpload); ok {
			changes[i].From = u.Upload
		}
	}
	return b.Bucket.Write(ctx, changes...)
}

func TestDigestAlgorithm(t *testing.T) {
	d := digest.SHA512.FromBytes([]byte("hello")).String()
	tests := []struct {
		name, query string
		announced   bool
	}{
		{"nothing said", "", false},
		{"another one", "?digest-algorithm=sha256", false},
		{"announced", "?digest-algorithm=sha512", true},
		{"by the digest of a mount", "?mount=" + d, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRegistry(t, blind{mem.New()}, upload.Limits{})
			session := g.do("POST", uploads+tt.query, nil).ResponseRecorder.Header().Get("Location")
			g.do("PATCH", session, "hello").want(http.StatusAccepted)
			a := g.do("PUT", session+"?digest="+d, nil)
			if tt.announced {
				a.want(http.StatusCreated, "Docker-Content-Digest: "+d)
				return
			}
			a.wantError(http.StatusBadRequest, ocierr.DigestInvalid, progress(session, 5)...)
			if !strings.Contains(a.Body.String(), "digest-algorithm") {
				t.Errorf("the client is not told what to do: %s", a.Body)
			}
			g.finish(session, "", "hello")
		})
	}
}
