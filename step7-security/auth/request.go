package auth

import (
	"fmt"
	"net/url"
)

// Request is what somebody asks a token server for.
type Request struct {
	// Service is who the token is for; "" stands for this registry.
	Service string
	Scopes  []Scope
	// Offline asks for a refresh token too.
	Offline bool
	// GrantType is "password" or "refresh_token" in a form, and "" in a query, where the
	// credentials are elsewhere.
	GrantType                        string
	Username, Password, RefreshToken string
}

const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

// ParseQuery reads the query of a GET, as docker, podman and most others send it:
// scopes in as many parameters as there are, "account" (which is not looked at, as the
// credentials say it), "offline_token=true" and "client_id" at a login. Its errors are
// ErrRequest and ErrScope.
//
// Source: CNCF distribution, "Token Authentication Specification".
func ParseQuery(query url.Values) (Request, error) {
	r, err := parse(query)
	if err != nil {
		return Request{}, err
	}
	offline, err := one(query, "offline_token")
	r.Offline = offline == "true" || offline == "1"
	return r, err
}

// ParseForm reads the body of a POST, as containerd, helm and oras send it. Its errors are
// ErrRequest and ErrScope.
//
// Source: CNCF distribution, "Oauth2 Token Authentication"; RFC 6749, sections 4.3 and 6.
func ParseForm(form url.Values) (Request, error) {
	r, err := parse(form)
	if err != nil {
		return Request{}, err
	}
	var accessType string
	for name, into := range map[string]*string{
		"grant_type": &r.GrantType, "username": &r.Username, "password": &r.Password,
		"refresh_token": &r.RefreshToken, "access_type": &accessType,
	} {
		if *into, err = one(form, name); err != nil {
			return Request{}, err
		}
	}
	r.Offline = accessType == "offline"
	if r.GrantType != grantPassword && r.GrantType != grantRefresh {
		return Request{}, fmt.Errorf("%w: grant_type is neither password nor refresh_token", ErrRequest)
	}
	return r, nil
}

func parse(values url.Values) (r Request, err error) {
	if r.Service, err = one(values, "service"); err != nil {
		return Request{}, err
	}
	r.Scopes, err = ParseScopes(values["scope"])
	return r, err
}

// one is a parameter that may be there once.
func one(values url.Values, name string) (string, error) {
	if len(values[name]) > 1 {
		return "", fmt.Errorf("%w: %s is there twice", ErrRequest, name)
	}
	return values.Get(name), nil
}
