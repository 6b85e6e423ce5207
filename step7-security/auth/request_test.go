package auth_test

import (
	"errors"
	"net/url"
	"reflect"
	"testing"

	"shibafu.dev/step7-security/auth"
)

func TestParseRequests(t *testing.T) {
	tests := []struct {
		name, query string
		form        bool
		want        auth.Request
		err         error
	}{
		{"docker pulls", "account=alice&scope=repository%3Aa%3Apull&service=registry", false,
			auth.Request{Service: "registry", Scopes: []auth.Scope{{Type: "repository", Name: "a", Actions: []string{"pull"}}}}, nil},
		{"docker logs in", "account=alice&client_id=docker&offline_token=true&service=registry", false, auth.Request{Service: "registry", Offline: true}, nil},
		{"nothing", "", false, auth.Request{}, nil},
		{"bad scope", "scope=x", false, auth.Request{}, auth.ErrScope},
		{"service twice", "service=a&service=b", false, auth.Request{}, auth.ErrRequest},
		{"containerd", "grant_type=password&username=alice&password=x&service=registry&client_id=containerd-client", true,
			auth.Request{Service: "registry", GrantType: "password", Username: "alice", Password: "x"}, nil},
		{"helm", "grant_type=refresh_token&refresh_token=t&access_type=offline", true, auth.Request{GrantType: "refresh_token", RefreshToken: "t", Offline: true}, nil},
		{"no grant", "username=alice", true, auth.Request{}, auth.ErrRequest},
		{"another grant", "grant_type=client_credentials", true, auth.Request{}, auth.ErrRequest},
		{"password twice", "grant_type=password&username=alice&password=x&password=y", true, auth.Request{}, auth.ErrRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			parse := auth.ParseQuery
			if tt.form {
				parse = auth.ParseForm
			}
			got, err := parse(values)
			if !errors.Is(err, tt.err) || err == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read %+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// What is read from a request is within its bounds, and a form has a grant.
func FuzzParseForm(f *testing.F) {
	f.Add("grant_type=password&username=alice&password=x&service=registry&scope=repository:a:pull+repository:b:pull,push")
	f.Add("grant_type=refresh_token&refresh_token=t&access_type=offline")
	f.Add("scope=a&scope=b&grant_type=%00")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		for _, parse := range []func(url.Values) (auth.Request, error){auth.ParseQuery, auth.ParseForm} {
			if _, err := parse(values); err != nil && !errors.Is(err, auth.ErrRequest) && !errors.Is(err, auth.ErrScope) {
				t.Fatalf("%q: %v", text, err)
			}
		}
		r, err := auth.ParseForm(values)
		if err == nil && (r.GrantType != "password" && r.GrantType != "refresh_token" || len(r.Scopes) > 64) {
			t.Fatalf("%q: %+v", text, r)
		}
	})
}
