package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/client"
)

func TestOpenBlob(t *testing.T) {
	for name, b := range map[string]between{"plain": straight, "cut again and again": cutAnswers(30 << 10), "without ranges": noRanges,
		"without ranges, cut once": once(cutAnswers(30<<10), noRanges), "without HEAD": instead(1, head, status(405))} {
		t.Run(name, func(t *testing.T) {
			data := content(100 << 10)
			inBubble(t, b, client.Options{}, func(t *testing.T, c, direct *client.Client) {
				d := push(t, direct, aName, data)
				o, err := c.OpenBlob(t.Context(), aName, d.Digest)
				if err != nil {
					t.Fatal(err)
				}
				defer o.Close()
				if info := o.Info(); info.Size != d.Size {
					t.Errorf("size %d", info.Size)
				}
				if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				// From anywhere, any number of times.
				for _, at := range []int64{0, 5, 99 << 10, 100 << 10, 50 << 10} {
					if _, err := o.Seek(at, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data[at:]) {
						t.Errorf("from %d: %d bytes, %v", at, len(got), err)
					}
				}
			})
		})
	}
}

// The reader is one that the standard library finds nothing wrong with.
func TestOpenBlobAsReader(t *testing.T) {
	data := content(10 << 10)
	inBubble(t, straight, client.Options{}, func(t *testing.T, c, _ *client.Client) {
		o, err := c.OpenBlob(t.Context(), aName, push(t, c, aName, data).Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if err := iotest.TestReader(o, data); err != nil {
			t.Error(err)
		}
		if _, err := o.Seek(-1, io.SeekStart); err == nil {
			t.Error("sought before the start")
		}
	})
}

// A wrong blob read through never comes out whole, however it is read: the last
// bytes are not handed over.
func TestOpenWrongBlob(t *testing.T) {
	data := content(100 << 10)
	for name, b := range map[string]between{
		"bit in the first byte": flipped(0), "bit in the last byte": flipped(100<<10 - 1), "swapped": replaced(content(100<<10 + 2)[:100<<10]),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, client.Options{}, func(t *testing.T, c, direct *client.Client) {
				o, err := c.OpenBlob(t.Context(), aName, push(t, direct, aName, data).Digest)
				if err != nil {
					t.Fatal(err)
				}
				defer o.Close()
				var got bytes.Buffer
				if n, err := io.CopyN(&got, o, 100<<10); !errors.Is(err, digest.ErrMismatch) || n >= 100<<10 {
					t.Errorf("%d bytes, %v", n, err)
				}
				if n, err := o.Read(make([]byte, 10)); n != 0 || err == nil {
					t.Errorf("read on: %d, %v", n, err)
				}
			})
		})
	}
}

func TestOpenBlobErrors(t *testing.T) {
	inBubble(t, straight, client.Options{}, func(t *testing.T, c, direct *client.Client) {
		push(t, direct, aName, []byte("so that it exists"))
		if _, err := c.OpenBlob(t.Context(), aName, digestOf("x")); !errors.Is(err, ocierr.BlobUnknown) {
			t.Errorf("unknown blob: %v", err)
		}
		if _, err := c.OpenBlob(t.Context(), otherName, digestOf("x")); !errors.Is(err, ocierr.NameUnknown) {
			t.Errorf("unknown repository: %v", err)
		}
		if _, err := c.StatBlob(t.Context(), aName, digestOf("x")); !errors.Is(err, ocierr.BlobUnknown) {
			t.Errorf("StatBlob: %v", err)
		}
	})
}

func head(r *http.Request) bool { return r.Method == "HEAD" }
