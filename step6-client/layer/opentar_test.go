package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os/exec"
	"testing"
)

func TestOpenTar(t *testing.T) {
	var plain, zipped bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&zipped)
	z.Write(plain.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zstd := exec.Command("zstd", "--stdout")
	zstd.Stdin = bytes.NewReader(plain.Bytes())
	squeezed, err := zstd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"plain", plain.Bytes(), nil},
		{"gzip", zipped.Bytes(), nil},
		{"zstd", squeezed, nil},
		{"gzip, cut", zipped.Bytes()[:zipped.Len()-3], ErrInvalid},
		{"zstd, cut", squeezed[:len(squeezed)-3], ErrInvalid},
		{"not a tar", []byte("not a tar at all, not even of a length that one could have"), ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, end, err := OpenTar(t.Context(), bytes.NewReader(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			made, err := FromTar(t.Context(), io.Discard, r, MakeOptions{})
			if err == nil { // what follows the archive's end is looked at too
				_, err = io.Copy(io.Discard, r)
				err = classify(err)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v", made, err)
			}
		})
	}
}
