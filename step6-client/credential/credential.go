// Package credential reads and writes what other clients keep too: the
// credentials in docker's config.json, and in the programs that it names. Nothing
// here sends them anywhere.
//
// credential.go has what a credential is, config.go the file's text, file.go the
// file, helper.go the programs.
package credential

import (
	"context"
	"errors"
)

// What the errors of this package are, besides those of files and programs.
var (
	// ErrConfig says that a file is not a config.json.
	ErrConfig = errors.New("credential: not a docker config.json")
	// ErrHelper says that a program did not answer as one of docker-credential-*.
	ErrHelper = errors.New("credential: helper failed")
)

// Credential is what a registry knows somebody by. The zero value is nobody.
type Credential struct {
	Username, Password string
	// IdentityToken is what a token server takes in the place of a password, and
	// RegistryToken what the registry itself takes: nobody need be asked for one.
	IdentityToken, RegistryToken string
}

// Fixed is one credential for all hosts: what somebody has typed, before it is
// kept.
type Fixed Credential

// Credential returns f for any host.
func (f Fixed) Credential(context.Context, string) (Credential, error) { return Credential(f), nil }
