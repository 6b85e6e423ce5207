package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// helper is the last part of the name of a program docker-credential-*.
//
// Source: docker-credential-helpers, "Development".
type helper string

const (
	// maxOutput bounds what is read of a program, in bytes.
	maxOutput = 64 << 10
	// helperTime is how long it may take; it may have to ask for a password.
	helperTime = time.Minute
	// tokenUser is who a program says for an identity token.
	tokenUser = "<token>"
)

// stored is what a program reads and writes.
type stored struct {
	ServerURL string
	Username  string
	Secret    string
}

// get returns the zero Credential if the program has none.
func (h helper) get(ctx context.Context, server string) (Credential, error) {
	out, err := h.run(ctx, "get", []byte(server))
	if err != nil {
		if strings.Contains(string(out), "credentials not found") {
			return Credential{}, nil
		}
		return Credential{}, err
	}
	var s stored
	if json.Unmarshal(out, &s) != nil {
		return Credential{}, fmt.Errorf("%w: %s: answer is not JSON", ErrHelper, h)
	}
	if s.Username == tokenUser {
		return Credential{IdentityToken: s.Secret}, nil
	}
	return Credential{Username: s.Username, Password: s.Secret}, nil
}

func (h helper) store(ctx context.Context, server string, cred Credential) error {
	s := stored{server, cred.Username, cred.Password}
	if cred.IdentityToken != "" {
		s.Username, s.Secret = tokenUser, cred.IdentityToken
	}
	in, err := json.Marshal(s)
	if err == nil {
		_, err = h.run(ctx, "store", in)
	}
	return err
}

func (h helper) erase(ctx context.Context, server string) error {
	out, err := h.run(ctx, "erase", []byte(server))
	if err != nil && strings.Contains(string(out), "credentials not found") {
		return nil
	}
	return err
}

// run starts the program. Its name comes from a file, so it is one word, looked
// for where programs are.
func (h helper) run(ctx context.Context, verb string, in []byte) ([]byte, error) {
	if !isWord(string(h)) {
		return nil, fmt.Errorf("%w: not the name of a program", ErrHelper)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+string(h), verb)
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	cmd.Stdin = bytes.NewReader(in)
	out := limited{left: maxOutput}
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("%w: docker-credential-%s %s: %w", ErrHelper, h, verb, err)
	}
	return out.Bytes(), nil
}

func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_.", c) < 0 {
			return false
		}
	}
	return s != ""
}

var errTooMuch = errors.New("too much output")

// limited is a buffer that takes in no more than it has left.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errTooMuch
	}
	l.left -= len(p)
	return l.Buffer.Write(p)
}

// ReadFrom hides that of bytes.Buffer, which has no limit.
func (l *limited) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{l}, r)
}
