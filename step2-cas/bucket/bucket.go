// Package bucket is the one port to storage: named byte strings that can be
// read, listed, changed under conditions, and uploaded in pieces. Everything
// that a registry keeps is written over it; a backend is this port and nothing
// more. Package buckettest holds every backend to what is said here.
//
// # Visible means durable
//
// When Write returns nil, its effects survive the death of the process and the
// loss of power. Nobody sees an effect before that: a reader that comes upon a
// key which is being changed waits until the change is safe, or sees what was
// there before.
package bucket

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
)

// What the errors of a Bucket are. Others are faults of the backend.
var (
	ErrNotExist = errors.New("bucket: no such key")
	// ErrChanged says that a Change's condition did not hold.
	ErrChanged = errors.New("bucket: condition does not hold")
	// ErrInUse says that an upload is open already.
	ErrInUse = errors.New("bucket: upload is open already")
	// ErrOffset says that bytes were to be appended elsewhere than at the end.
	ErrOffset = errors.New("bucket: not the end of the upload")
	// ErrFull says that the backend has no room; once there is some again, the
	// same call succeeds.
	ErrFull = errors.New("bucket: no space left")
	ErrKey  = errors.New("bucket: invalid key")
	// ErrSource wraps an error of the reader that was handed to Append, to tell
	// it from a fault of the backend.
	ErrSource = errors.New("bucket: reading the bytes to append")
)

// A Bucket keeps named byte strings. A key is a clean slash-separated path, its
// parts at most 255 bytes long (CheckKey). A key that is also the folder of
// another ("a" and "a/b") is not supported. All methods may be called at once
// from many goroutines.
type Bucket interface {
	// Open returns the object to read, which the caller closes. It goes on reading
	// the bytes it was opened on, whatever happens to the key. ErrNotExist.
	Open(ctx context.Context, key string) (Object, error)
	// Stat is Open for those who want only the Info. ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)
	// Write makes all changes, or none if a condition does not hold (ErrChanged).
	// Each is atomic; they are not atomic together, so a crash may leave some of
	// them made. No two changes may have the same key. To delete what is not there
	// is no error.
	Write(ctx context.Context, changes ...Change) error
	// List yields the keys that start with prefix and come after the key after, in
	// byte order of the whole key. With oneLevel, keys that hold a slash behind the
	// prefix are folded into one entry that ends with that slash and has no other
	// field set; that entry may name a folder which holds no key (any more). The
	// walk ends after an error.
	List(ctx context.Context, prefix, after string, oneLevel bool) iter.Seq2[Info, error]
	// CreateUpload starts an upload of that ID (a key of one part). Until its first
	// Save nothing of it outlives its Close. The caller closes it.
	CreateUpload(ctx context.Context, id string) (Upload, error)
	// OpenUpload takes an upload up where it was last saved. One upload may be open
	// once at a time: ErrInUse, also of CreateUpload, if the backend can tell.
	// ErrNotExist, also for one that is too damaged to be taken up;
	// what is left of that is removed.
	OpenUpload(ctx context.Context, id string) (Upload, error)
	// Uploads yields the IDs of the uploads that were saved and neither written nor
	// aborted.
	Uploads(ctx context.Context) iter.Seq2[string, error]
}

// Info describes an object.
type Info struct {
	Key string
	// Size is in bytes.
	Size    int64
	ModTime time.Time
	// Version changes whenever the object does. It is opaque.
	Version string
}

// Object is an open object. One that is a plain file also has the file's
// SyscallConn, so that the kernel can send it.
type Object interface {
	io.ReadSeekCloser
	Info() Info
}

// SoleWriter is a Bucket that may know that all writes to it go through it, so
// that what was read may be remembered.
type SoleWriter interface{ SoleWriter() bool }

// IsSoleWriter tells whether b says so.
func IsSoleWriter(b Bucket) bool {
	s, ok := b.(SoleWriter)
	return ok && s.SoleWriter()
}

// Change is one key's part of a Write: Delete, else the bytes of the upload
// From, else Data.
type Change struct {
	Key  string
	Data []byte
	// From is an upload whose bytes become the object's, replacing what was there.
	// After a Write that returned nil the upload is gone; after an error it is as
	// it was.
	From   Upload
	Delete bool
	// Last puts the change off until those without it are durable: it leads to
	// them, and a crash must not leave it leading nowhere.
	Last bool
	// If is checked for all changes before any is made. The zero Condition always
	// holds.
	If Condition
}

// Condition says in which state a key must be for a Write to go ahead.
type Condition struct {
	absent  bool
	version string
}

// Absent holds where there is no such key.
var Absent = Condition{absent: true}

// IfVersion holds where the key is there in that version.
func IfVersion(version string) Condition { return Condition{version: version} }

// Always tells whether c is the condition that always holds.
func (c Condition) Always() bool { return c == Condition{} }

// Holds tells whether c holds for a key that is there, in the given version, or
// that is not.
func (c Condition) Holds(exists bool, version string) bool {
	switch {
	case c.absent:
		return !exists
	case c.version != "":
		return exists && version == c.version
	}
	return true
}

// Upload is a byte string that grows at its end until a Change publishes it. It
// is used by one goroutine at a time. Where the backend may have lost bytes that
// it had taken, Append, Save and the Write return that error from then on, and
// OpenUpload takes the upload up where it was last saved.
type Upload interface {
	ID() string
	// Size is the number of bytes appended so far, saved or not.
	Size() int64
	// State is what was last saved, nil if nothing was.
	State() []byte
	// Append adds the bytes of r at offset, which must be Size (ErrOffset). It
	// returns how many it took; with an error those stay appended. An error of r is
	// wrapped in ErrSource.
	Append(ctx context.Context, offset int64, r io.Reader) (int64, error)
	// Save makes durable, together, all that was appended and state.
	Save(ctx context.Context, state []byte) error
	// Abort ends the upload for good and frees its bytes.
	Abort(ctx context.Context) error
	// Close lets go of the upload, so that it can be opened again; what was not
	// saved is lost. It does nothing after Abort, or after a Write that took it.
	Close() error
}

// Rereader is an Upload whose bytes can be read back, up to Size.
type Rereader interface{ Reread() (io.ReadCloser, error) }

// UploadsFolder is where a backend may keep its uploads; no key lies in it.
const UploadsFolder = "uploads"

// MaxKeyPart is the length that a file system allows a name, in bytes.
const MaxKeyPart = 255

// CheckKey returns ErrKey unless key is a clean path that every backend can
// carry.
func CheckKey(key string) error {
	if !fs.ValidPath(key) || key == "." || strings.IndexByte(key, 0) >= 0 {
		return ErrKey
	}
	if first, _, _ := strings.Cut(key, "/"); first == UploadsFolder {
		return ErrKey
	}
	for part := range strings.SplitSeq(key, "/") {
		if len(part) > MaxKeyPart {
			return ErrKey
		}
	}
	return nil
}

// ReadAll returns the bytes of key, which must be at most limit, and its Info.
func ReadAll(ctx context.Context, b Bucket, key string, limit int64) ([]byte, Info, error) {
	o, err := b.Open(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	defer o.Close()
	info := o.Info()
	if info.Size > limit {
		return nil, info, errors.New("bucket: object larger than expected")
	}
	data := make([]byte, info.Size)
	_, err = io.ReadFull(o, data)
	return data, info, err
}
