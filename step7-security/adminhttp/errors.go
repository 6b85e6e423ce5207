package adminhttp

import (
	"errors"
	"net/http"
	"syscall"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/internal/strictjson"
	"shibafu.dev/step7-security/policy"
)

// The codes of errors that the specification of registries has none for.
const (
	codeInvalid   ocierr.Code = "INVALID"
	codeUnknown   ocierr.Code = "UNKNOWN"
	codeExists    ocierr.Code = "EXISTS"
	codeChanged   ocierr.Code = "CHANGED"
	codeCondition ocierr.Code = "CONDITION_REQUIRED"
	codeFile      ocierr.Code = "BAD_FILE"
	codeNot       ocierr.Code = "NOT_IN_FORCE"
)

// errNothing is a path at which nothing is.
var errNothing = &ocierr.Error{Code: codeUnknown, Status: http.StatusNotFound, Message: "there is nothing at this path"}

// kinds are the errors that say what was wrong, to whoever may use the API: all of them
// speak of what was sent, or of files that can be seen here, and none holds a secret.
// Those of auth are what an Authorize may pass on.
var kinds = []struct {
	of     error
	code   ocierr.Code
	status int
}{
	{admin.ErrNotInForce, codeNot, http.StatusConflict},
	{admin.ErrChanged, codeChanged, http.StatusPreconditionFailed},
	{admin.ErrValue, codeInvalid, http.StatusBadRequest},
	{auth.ErrCredentials, ocierr.Unauthorized, http.StatusUnauthorized},
	{auth.ErrBusy, ocierr.TooManyRequests, http.StatusTooManyRequests},
	{auth.ErrDirectory, codeFile, http.StatusConflict},
	{auth.ErrName, codeInvalid, http.StatusBadRequest},
	{auth.ErrExists, codeExists, http.StatusConflict},
	{auth.ErrUnknown, codeUnknown, http.StatusNotFound},
	{password.ErrPassword, codeInvalid, http.StatusBadRequest},
	{password.ErrWeak, codeInvalid, http.StatusBadRequest},
	{upload.ErrUnknown, codeUnknown, http.StatusNotFound},
}

// ErrorOf is what an error is sent as: for those who tell of it, as in Options.Changed.
func ErrorOf(err error) ocierr.Error {
	e, _ := ocierr.From(classify(err))
	return e
}

// classify turns an error into one of ocierr, if it is known.
func classify(err error) error {
	if _, done := ocierr.From(err); done {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errors.Join(ocierr.StorageFull, err)
	}
	for _, k := range kinds {
		if errors.Is(err, k.of) {
			return &ocierr.Error{Code: k.code, Status: k.status, Message: err.Error()}
		}
	}
	if errors.As(err, new(*strictjson.Error)) || errors.As(err, new(*policy.SyntaxError)) {
		return &ocierr.Error{Code: codeInvalid, Status: http.StatusBadRequest, Message: err.Error()}
	}
	return err
}
