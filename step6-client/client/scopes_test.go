package client_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
)

// guarded is a registry that lets in who has a token for what they do, which its
// token server gives to who has a password.
func guarded(asked *[]string) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				if name, password, _ := r.BasicAuth(); name != typed.Username || password != typed.Password {
					w.WriteHeader(401)
					return
				}
				scopes := strings.Join(r.URL.Query()["scope"], " ")
				*asked = append(*asked, scopes)
				fmt.Fprintf(w, `{"token":"for|%s","expires_in":300}`, strings.ReplaceAll(scopes, " ", "|"))
				return
			}
			if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer for|") {
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry"`)
				w.WriteHeader(401)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Each request asks for a token that is good for it, and for no more.
func TestScopes(t *testing.T) {
	pull, pushes := "repository:team/app:pull", "repository:team/app:pull,push"
	for _, tt := range []struct {
		name string
		ask  func(ctx context.Context, c *client.Client) error
		want []string
	}{
		{"ping", func(ctx context.Context, c *client.Client) error { return c.Ping(ctx) }, []string{""}},
		{"pull of a manifest", func(ctx context.Context, c *client.Client) error {
			_, _, err := c.Manifest(ctx, aName, tag("a"))
			return err
		}, []string{pull}},
		{"tags", func(ctx context.Context, c *client.Client) error {
			_, _, err := c.Tags(ctx, aName, "", client.All)
			return err
		}, []string{pull}},
		{"blob", func(ctx context.Context, c *client.Client) error {
			_, err := c.StatBlob(ctx, aName, digestOf("{}"))
			return err
		}, []string{pull}},
		{"referrers", func(ctx context.Context, c *client.Client) error {
			_, _, err := c.Referrers(ctx, aName, digestOf("x"), "", digest.Digest{}, 1, 1000)
			return err
		}, []string{pull}},
		{"repositories", func(ctx context.Context, c *client.Client) error {
			_, _, err := c.Repositories(ctx, "", client.All)
			return err
		}, []string{"registry:catalog:*"}},
		{"push of a manifest", func(ctx context.Context, c *client.Client) error {
			return c.PushManifest(ctx, aName, tagged(image(note("x")), "x"))
		}, []string{pushes}},
		{"push of a blob", func(ctx context.Context, c *client.Client) error {
			return c.PushBlob(ctx, aName, blobOf([]byte("new")), client.BytesContent([]byte("new")))
		}, []string{pushes}},
		{"mount", func(ctx context.Context, c *client.Client) error {
			return c.MountBlob(ctx, otherName, aName, digestOf("{}"))
		},
			[]string{"repository:team/app:pull repository:team/other:pull,push"}},
		{"deletion", func(ctx context.Context, c *client.Client) error {
			return c.DeleteTag(ctx, aName, ref.MustTag("a"))
		}, []string{"repository:team/app:delete"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			config := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
			if err := config.Keep(t.Context(), "registry.test", credential.Credential(typed)); err != nil {
				t.Fatal(err)
			}
			opts := impatient
			opts.Credentials = config
			inBubble(t, guarded(&asked), opts, func(t *testing.T, c, direct *client.Client) {
				pushManifest(t, direct, tagged(image(""), "a"))
				if err := tt.ask(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			})
			if !slices.Equal(asked, tt.want) {
				t.Errorf("asked for %q, want %q", asked, tt.want)
			}
		})
	}
}
