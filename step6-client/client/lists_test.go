package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/wire"
)

func lists(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/tags/list") || strings.HasSuffix(r.URL.Path, "/_catalog")
}

// pagesOf makes a registry's pages no larger than so many names, as some do whatever
// is asked for.
func pagesOf(n string) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); lists(r) && q.Get("n") != "0" {
				q.Set("n", n)
				r.URL.RawQuery = q.Encode()
			}
			next.ServeHTTP(w, r)
		})
	}
}

// noPages is a registry that does not look at n.
func noPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); lists(r) {
			q.Del("n")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

func TestTags(t *testing.T) {
	for name, b := range map[string]between{"pages": straight, "small pages": pagesOf("2"), "no pages": noPages} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, impatient, func(t *testing.T, c, direct *client.Client) {
				pushManifest(t, direct, tagged(image(""), "a", "b", "c", "d", "e"))
				for _, tt := range []struct {
					after string
					n     int
					want  string
				}{
					{"", client.All, "[a b c d e] false"}, {"", 5, "[a b c d e] false"}, {"", 4, "[a b c d] true"}, {"", 1, "[a] true"},
					{"b", client.All, "[c d e] false"}, {"b", 2, "[c d] true"}, {"bb", 9, "[c d e] false"}, {"e", 9, "[] false"}, {"", 0, "[] false"},
				} {
					tags, more, err := c.Tags(t.Context(), aName, tt.after, tt.n)
					if got := fmt.Sprint(tags, more); got != tt.want || err != nil || tags == nil {
						t.Errorf("%d after %q: %s, %v; want %s", tt.n, tt.after, got, err, tt.want)
					}
				}
				push(t, direct, otherName, []byte("x"))
				names, more, err := c.Repositories(t.Context(), "", client.All)
				if got := fmt.Sprint(names, more); got != "[team/app team/other] false" || err != nil {
					t.Errorf("repositories %s, %v", got, err)
				}
			})
		})
	}
}

func TestBadLists(t *testing.T) {
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }
	}
	link := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", target)
			fmt.Fprint(w, `{"tags":["a"]}`)
		}
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"not JSON", body("<html>"), client.ErrAnswer},
		{"cut", body(`{"tags":["a"`), client.ErrAnswer},
		{"longer", body(`{"tags":["a"]}{}`), client.ErrAnswer},
		{"tags no list", body(`{"tags":"a"}`), client.ErrAnswer},
		{"too large", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "99999999999") }, client.ErrTooLarge},
		{"without end", forever, client.ErrTooLarge},
		{"pages without end", link(`</v2/team/app/tags/list>; rel="next"`), client.ErrTooLarge},
		{"link that is none", link(`/v2/`), client.ErrAnswer},
		{"link to another host", link(`<http://example.com/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to another port", link(`<http://registry.test:81/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to another scheme", link(`<https://registry.test/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to the metadata of a cloud", link(`<http://169.254.169.254/latest>; rel="next"`), wire.ErrAddress},
		{"link without scheme", link(`<//example.com/v2/>; rel="next"`), wire.ErrOrigin},
		{"link with a user", link(`<http://u:p@registry.test/v2/>; rel="next"`), wire.ErrOrigin},
		{"500", status(500), ocierr.InternalError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, answered(lists, tt.answer), impatient, func(t *testing.T, c, _ *client.Client) {
				if tags, _, err := c.Tags(t.Context(), aName, "", client.All); !errors.Is(err, tt.want) || tags != nil {
					t.Errorf("%v, %v; want %v", tags, err, tt.want)
				}
			})
		})
	}
	// What cannot be a name is left out: it would be sent to a terminal.
	evil := body(`{"tags":["a","\u001b[2J","-b","../c",""],"repositories":["a","A","\u0000","a/../b"]}`)
	inBubble(t, answered(lists, evil), impatient, func(t *testing.T, c, _ *client.Client) {
		tags, _, err := c.Tags(t.Context(), aName, "", client.All)
		names, _, err2 := c.Repositories(t.Context(), "", client.All)
		if got := fmt.Sprint(tags, names); got != "[a] [a]" || err != nil || err2 != nil {
			t.Errorf("got %s, %v, %v", got, err, err2)
		}
	})
}
