// Package ocierr is the vocabulary of errors of a registry: the codes of the
// specification, each with the status and the text that go with it unless a
// particular error says otherwise.
//
// A Code is itself an error, so a handler may return it bare, and
// errors.Is(err, ocierr.BlobUnknown) holds for every error of that code, on the
// server that makes it and on the client that reads it.
//
// Source: OCI distribution specification, "Error Codes".
package ocierr

import (
	"errors"
	"iter"
	"net/http"
)

// Code is the identifier of a kind of error: "BLOB_UNKNOWN".
type Code string

// The codes of the specification, code-1 to code-14, and two of ours for 5xx,
// for which it names none.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     Code = "MANIFEST_INVALID"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
	NameInvalid         Code = "NAME_INVALID"
	NameUnknown         Code = "NAME_UNKNOWN"
	SizeInvalid         Code = "SIZE_INVALID"
	Unauthorized        Code = "UNAUTHORIZED"
	Denied              Code = "DENIED"
	Unsupported         Code = "UNSUPPORTED"
	TooManyRequests     Code = "TOOMANYREQUESTS"

	InternalError Code = "INTERNAL_ERROR"
	StorageFull   Code = "STORAGE_FULL"
)

// Entry is a row of the table of codes.
type Entry struct {
	// ID is the specification's: "code-1". It is "" for a code that is ours.
	ID   string
	Code Code
	// Status is what an error of this code is sent with by default.
	Status int
	// Message is its default text.
	Message string
}

var table = []Entry{
	{"code-1", BlobUnknown, http.StatusNotFound, "blob unknown to registry"},
	{"code-2", BlobUploadInvalid, http.StatusBadRequest, "blob upload invalid"},
	{"code-3", BlobUploadUnknown, http.StatusNotFound, "blob upload unknown to registry"},
	{"code-4", DigestInvalid, http.StatusBadRequest, "provided digest is invalid or did not match uploaded content"},
	{"code-5", ManifestBlobUnknown, http.StatusBadRequest, "manifest references a manifest or blob unknown to registry"},
	{"code-6", ManifestInvalid, http.StatusBadRequest, "manifest invalid"},
	{"code-7", ManifestUnknown, http.StatusNotFound, "manifest unknown to registry"},
	{"code-8", NameInvalid, http.StatusBadRequest, "invalid repository name"},
	{"code-9", NameUnknown, http.StatusNotFound, "repository name not known to registry"},
	{"code-10", SizeInvalid, http.StatusBadRequest, "provided length did not match content length"},
	{"code-11", Unauthorized, http.StatusUnauthorized, "authentication required"},
	{"code-12", Denied, http.StatusForbidden, "requested access to the resource is denied"},
	{"code-13", Unsupported, http.StatusMethodNotAllowed, "the operation is unsupported"},
	{"code-14", TooManyRequests, http.StatusTooManyRequests, "too many requests"},
	{"", InternalError, http.StatusInternalServerError, "internal error"},
	{"", StorageFull, http.StatusInsufficientStorage, "no space left to store this"},
}

// Table lists all codes, in the specification's order.
func Table() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range table {
			if !yield(e) {
				return
			}
		}
	}
}

// Lookup returns the row of c; ok is false if the table has none.
func Lookup(c Code) (e Entry, ok bool) {
	for _, e := range table {
		if e.Code == c {
			return e, true
		}
	}
	return Entry{}, false
}

// Error is the code's default text, so that a bare Code is an error.
func (c Code) Error() string {
	if e, ok := Lookup(c); ok {
		return string(c) + ": " + e.Message
	}
	return string(c)
}

// Error is one entry of a response's "errors", with the status it was or is to
// be sent with.
type Error struct {
	Code Code `json:"code"`
	// Status is the HTTP status; 0 stands for the table's.
	Status int `json:"-"`
	// Message is for people; "" stands for the table's.
	Message string `json:"message,omitempty"`
	// Detail is for programs: anything that encodes as JSON. It goes to the
	// client, so it never holds a path or an internal error's text.
	Detail any `json:"detail,omitempty"`
}

// With is an error of code c whose detail is detail.
func (c Code) With(detail any) *Error { return &Error{Code: c, Detail: detail} }

// WithStatus is an error of code c sent with a status other than the table's.
func (c Code) WithStatus(status int, detail any) *Error {
	return &Error{Code: c, Status: status, Detail: detail}
}

// Error is "CODE: message".
func (e *Error) Error() string {
	if e.Message != "" {
		return string(e.Code) + ": " + e.Message
	}
	return e.Code.Error()
}

// Is makes errors.Is(e, code) true for e's code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// From finds the Error or the Code in err's chain and fills what it leaves to
// the table. An err that holds neither is an InternalError, ok is false, and
// nothing of its text is in the result.
func From(err error) (e Error, ok bool) {
	var full *Error
	var bare Code
	switch {
	case errors.As(err, &full):
		e = *full
	case errors.As(err, &bare):
		e.Code = bare
	default:
		e.Code = InternalError
	}
	row, known := Lookup(e.Code)
	if !known {
		row = Entry{Status: http.StatusInternalServerError, Message: string(e.Code)}
	}
	if e.Status == 0 {
		e.Status = row.Status
	}
	if e.Message == "" {
		e.Message = row.Message
	}
	return e, full != nil || bare != ""
}

// Body is the JSON form of a response that reports errors.
type Body struct {
	Errors []Error `json:"errors"`
}
