// Package journal keeps on the disk what is needed to go on with uploads after the
// process that began them has died. It is a help and never a truth: an entry that is
// lost, damaged or too old only costs starting again, and what a server says of its
// session counts for more.
//
// Downloads need no journal of their own: the store that they go to keeps their
// bytes, and the hash so far, as an unfinished cas.Writer.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

// MaxAge is how long an entry is believed. Registries forget their sessions after
// a day or a week.
const MaxAge = 7 * 24 * time.Hour

// Journal is a folder of entries. A nil Journal keeps nothing. Its methods may be
// called at once from many goroutines, and processes.
type Journal struct{ dir string }

// Key says which upload an entry is about.
type Key struct {
	// Registry is its origin: "https://example.com".
	Registry string        `json:"registry"`
	Name     ref.Name      `json:"name"`
	Digest   digest.Digest `json:"digest"`
}

// Upload is what is kept of an upload.
type Upload struct {
	Key
	// Location is the URL of its session, a secret to those who do not push there.
	Location string `json:"location"`
	// Offset is how many bytes the registry has acknowledged, and Size how many there
	// are in all.
	Offset  int64     `json:"offset"`
	Size    int64     `json:"size"`
	Updated time.Time `json:"updated"`
}

// DefaultFolder is $XDG_DATA_HOME/shibafu/journal, or what stands for it where that
// is not set.
func DefaultFolder() (string, error) {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the specification of XDG: relative ones are ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "shibafu", "journal"), nil
}

// Open uses a folder, which is made if it is not there, and drops what has expired
// in it.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	j := &Journal{dir}
	return j, j.expire()
}

// path is where the entry of a key is. The key's own text might be no file name.
func (j *Journal) path(k Key) string {
	sum := sha256.Sum256([]byte(k.Registry + "\n" + k.Name.String() + "\n" + k.Digest.String()))
	return filepath.Join(j.dir, hex.EncodeToString(sum[:])+".upload")
}

// Find returns the entry of a key; ok is false if there is none to be believed.
func (j *Journal) Find(k Key) (u Upload, ok bool) {
	if j == nil {
		return Upload{}, false
	}
	raw, err := os.ReadFile(j.path(k))
	if err != nil {
		return Upload{}, false
	}
	u, ok = decode(raw)
	if !ok || u.Key != k || time.Since(u.Updated) > MaxAge {
		j.Forget(k)
		return Upload{}, false
	}
	return u, true
}

// Keep writes an entry, in the place of one that was there. When it returns nil
// the entry survives a loss of power.
func (j *Journal) Keep(u Upload) error {
	if j == nil {
		return nil
	}
	u.Updated = time.Now()
	temp, err := os.CreateTemp(j.dir, ".upload-*") // has mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(encode(u))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), j.path(u.Key)); err != nil {
		return err
	}
	return syncFolder(j.dir)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Forget removes the entry of a key, if there is one.
func (j *Journal) Forget(k Key) {
	if j != nil {
		os.Remove(j.path(k)) // one that stays is found out when it is used
	}
}

// expire removes what nobody has touched for too long: entries, and what is left of
// writes that did not end.
func (j *Journal) expire() error {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		ours := filepath.Ext(f.Name()) == ".upload" || len(f.Name()) > 8 && f.Name()[:8] == ".upload-"
		if err != nil || !ours || time.Since(info.ModTime()) <= MaxAge {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// encode is a checksum in hex, a line end, then JSON.
func encode(u Upload) []byte {
	raw, err := json.Marshal(u)
	if err != nil {
		panic(err) // none of the fields can fail
	}
	return append([]byte(check(raw)+"\n"), raw...)
}

func decode(raw []byte) (u Upload, ok bool) {
	sum, text, found := bytes.Cut(raw, []byte("\n"))
	if !found || string(sum) != check(text) || json.Unmarshal(text, &u) != nil {
		return Upload{}, false
	}
	return u, u.Offset >= 0 && u.Offset <= u.Size
}

func check(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
