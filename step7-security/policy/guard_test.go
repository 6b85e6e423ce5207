package policy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/policy"
)

func guard(t testing.TB, text string, s policy.Subject) policy.Guard {
	p := parse(t, text)
	return policy.Guard{
		Policy:  func() *policy.Policy { return p },
		Subject: func(context.Context) policy.Subject { return s },
	}
}

// tag is a Pusher in which one tag points at current, and that counts as a store
// does.
type tag struct {
	current digest.Digest
	err     error
}

func (t *tag) PushManifest(_ context.Context, _ ref.Name, p repo.Push) error {
	if p.If != nil && !p.If(t.current) {
		return repo.ErrCondition
	}
	if t.err == nil {
		t.current = p.Digest
	}
	return t.err
}

func TestPusher(t *testing.T) {
	a, b := digest.FromBytes([]byte("a")), digest.FromBytes([]byte("b"))
	absent := func(current digest.Digest) bool { return current.IsZero() }
	tests := []struct {
		name    string
		subject policy.Subject
		current digest.Digest
		push    repo.Push
		fault   error
		want    error
		reason  string
	}{
		{"create", user("ann"), digest.Digest{}, repo.Push{Digest: a}, nil, nil, ""},
		{"move", user("ann"), a, repo.Push{Digest: b}, nil, policy.ErrTagExists, ""},
		{"again", user("ann"), a, repo.Push{Digest: a}, nil, nil, "what was cut off is tried again"},
		{"move with push", user("bob", "team"), a, repo.Push{Digest: b}, nil, nil, ""},
		{"create under a condition", user("ann"), digest.Digest{}, repo.Push{Digest: a, If: absent}, nil, nil, ""},
		{"again under a condition", user("ann"), a, repo.Push{Digest: a, If: absent}, nil, repo.ErrCondition, "the client's own condition"},
		{"move under a condition", user("bob", "team"), a, repo.Push{Digest: b, If: absent}, nil, repo.ErrCondition, ""},
		{"the store's error", user("ann"), digest.Digest{}, repo.Push{Digest: a}, repo.ErrNameUnknown, repo.ErrNameUnknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &tag{tt.current, tt.fault}
			err := guard(t, example, tt.subject).Pusher(store).PushManifest(t.Context(), ref.MustName("team/a"), tt.push)
			if !errors.Is(err, tt.want) || err == nil && store.current != tt.push.Digest || err != nil && store.current != tt.current {
				t.Errorf("%v, want %v, tag at %v (%s)", err, tt.want, store.current, tt.reason)
			}
		})
	}
}

// shelf is a catalog that counts the names that it was asked for.
type shelf struct {
	names []string
	given int
}

func (s *shelf) Repositories(_ context.Context, after string, n int) ([]string, bool, error) {
	i, found := slices.BinarySearch(s.names, after)
	if found {
		i++
	}
	rest := s.names[i:]
	s.given += min(n, len(rest))
	return rest[:min(n, len(rest))], len(rest) > n, nil
}

func newShelf(names ...string) *shelf {
	slices.Sort(names)
	return &shelf{names: names}
}

func TestCatalogShowsWhatMayBePulled(t *testing.T) {
	all := newShelf("base/a", "base/b", "other", "team", "team/a", "team/b-dev", "team/old/x", "team/secret", "teamwork", "z")
	tests := []struct {
		name    string
		subject policy.Subject
		want    string
	}{
		{"nobody", nil, "base/a base/b"},
		{"bob", user("bob"), "base/a base/b"},
		{"team", user("bob", "team"), "base/a base/b team/a team/b-dev team/old/x"},
		{"ops", user("root", "ops"), "base/a base/b other team team/a team/b-dev team/old/x teamwork z"},
		{"node", &who{kind: policy.Certificate, name: "node"}, "base/a base/b team/b-dev"},
		{"fired", user("eve", "ops"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.Fields(tt.want)
			for n := 1; n < 12; n++ {
				if got := pages(t, guard(t, example, tt.subject).Catalog(all), n); !slices.Equal(got, want) {
					t.Errorf("in pages of %d: %q, want %q", n, got, want)
				}
			}
		})
	}
}

// pages reads a list page by page, each of which must be full but for the last.
func pages(t *testing.T, list policy.Repositories, n int) []string {
	t.Helper()
	got := []string{}
	for after, more := "", true; more; {
		var page []string
		var err error
		if page, more, err = list.Repositories(t.Context(), after, n); err != nil {
			t.Fatal(err)
		}
		if len(page) > n || more && len(page) != n || more == false && len(page) == 0 && len(got) > 0 {
			t.Errorf("a page of %d, more %v: it tells of what is not shown", len(page), more)
		}
		if got = append(got, page...); more {
			after = page[len(page)-1]
		}
	}
	return got
}

// A page costs what is in it, wherever it lies in the registry.
func TestCatalogCost(t *testing.T) {
	var names []string
	for i := range 100_000 {
		names = append(names, fmt.Sprintf("other-%05d/app", i), fmt.Sprintf("z/%05d", i))
	}
	all := newShelf(append(names, "team/a", "team/b", "base/a")...)
	got := pages(t, guard(t, example, user("bob", "team")).Catalog(all), 100)
	if want := []string{"base/a", "team/a", "team/b"}; !slices.Equal(got, want) || all.given > 500 {
		t.Errorf("%q, for which %d names were looked at", got, all.given)
	}
}

// tagged is a Tags with one tag in each repository.
type tagged struct{}

func (tagged) Tags(context.Context, ref.Name, string, int) ([]string, bool, error) {
	return []string{"v1"}, false, nil
}

func TestTags(t *testing.T) {
	list := guard(t, example, user("bob", "team")).Tags(tagged{})
	if got, _, err := list.Tags(t.Context(), ref.MustName("team/a"), "", 10); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	if _, _, err := list.Tags(t.Context(), ref.MustName("team/secret"), "", 10); !errors.Is(err, repo.ErrNameUnknown) {
		t.Errorf("of what may not be pulled: %v", err)
	}
}
