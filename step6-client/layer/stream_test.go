package layer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
)

func zstandard(t testing.TB, raw []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("zstd", append([]string{"--stdout", "--quiet"}, args...)...)
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every way in which a layer may be compressed comes to the same tree.
func TestCompressions(t *testing.T) {
	raw := archive(t, "d a\nf a/b hello")
	half := len(raw) / 2
	for _, tt := range []struct {
		name, mediaType string
		raw             []byte
	}{
		{"plain", oci.MediaTypeImageLayer, raw},
		{"plain, Docker's", oci.MediaTypeDockerLayer, raw},
		{"plain, not distributable", oci.MediaTypeImageLayerNonDistributable, raw},
		{"gzip", oci.MediaTypeImageLayerGzip, gzipped(t, raw)},
		{"gzip, Docker's", oci.MediaTypeDockerLayerGzip, gzipped(t, raw)},
		{"gzip, not distributable", oci.MediaTypeDockerForeignLayerGzip, gzipped(t, raw)},
		{"gzip of two members", oci.MediaTypeImageLayerGzip, append(gzipped(t, raw[:half]), gzipped(t, raw[half:])...)},
		{"gzip with an empty member at its end", oci.MediaTypeImageLayerGzip, append(gzipped(t, raw), gzipped(t, nil)...)},
		{"zstd", oci.MediaTypeImageLayerZstd, zstandard(t, raw)},
		{"zstd, Docker's", oci.MediaTypeDockerLayerZstd, zstandard(t, raw)},
		{"zstd of two frames", oci.MediaTypeImageLayerZstd, append(zstandard(t, raw[:half]), zstandard(t, raw[half:])...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			if err := layer.Unpack(t.Context(), h.target(), blob(tt.mediaType, tt.raw, raw), layer.Options{UserXattr: true}); err != nil {
				t.Fatal(err)
			}
			wantTree(t, h.target(), "d a\nf a/b hello")
			h.check("root")
		})
	}
}

// What is not the bytes that manifest and config announce is refused, whatever is
// wrong with it.
func TestStreamIsVerified(t *testing.T) {
	raw := archive(t, "f a "+strings.Repeat("hello ", 20))
	zipped := gzipped(t, raw)
	other := archive(t, "f b hello")
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	add := func(b []byte, more ...byte) []byte { return append(bytes.Clone(b), more...) }
	gz, zs := oci.MediaTypeImageLayerGzip, oci.MediaTypeImageLayerZstd
	is := func(b layer.Blob, change func(*layer.Blob)) layer.Blob { change(&b); return b }
	serve := func(b []byte) func(*layer.Blob) {
		return func(to *layer.Blob) { to.Open = blob("", b, nil).Open }
	}
	for _, tt := range []struct {
		name   string
		blob   layer.Blob
		want   error
		reason string
	}{
		{"gzip with garbage behind it", blob(gz, add(zipped, []byte("some garbage")...), raw), layer.ErrInvalid, "gzip: invalid header"},
		{"gzip with one byte behind it", blob(gz, add(zipped, 0x1f), raw), layer.ErrInvalid, "unexpected EOF"},
		{"gzip with zeros behind it", blob(gz, add(zipped, make([]byte, 512)...), raw), layer.ErrInvalid, "gzip: invalid header"},
		{"gzip without its last byte", blob(gz, cut(zipped, 1), raw), layer.ErrInvalid, "unexpected EOF"},
		{"gzip without its trailer", blob(gz, cut(zipped, 8), raw), layer.ErrInvalid, "unexpected EOF"},
		{"gzip cut in the middle", blob(gz, zipped[:len(zipped)/2], raw), layer.ErrInvalid, "unexpected EOF"},
		{"gzip cut in its header", blob(gz, zipped[:5], raw), layer.ErrInvalid, "unexpected EOF"},
		{"gzip of nothing", blob(gz, nil, raw), layer.ErrInvalid, "not even a header"},
		{"gzip whose checksum is wrong", blob(gz, flip(add(zipped), len(zipped)-6), raw), layer.ErrInvalid, "gzip: invalid checksum"},
		{"says gzip, is plain", blob(gz, raw, raw), layer.ErrInvalid, "gzip: invalid header"},
		{"says plain, is gzip", blob(oci.MediaTypeImageLayer, zipped, raw), digest.ErrMismatch, "got sha256:"},
		{"gzip in gzip", blob(gz, gzipped(t, zipped), raw), digest.ErrMismatch, "got sha256:"},
		{"zstd with garbage behind it", blob(zs, add(zstandard(t, raw), []byte("some garbage")...), raw), layer.ErrInvalid, "zstd: "},
		{"zstd cut", blob(zs, cut(zstandard(t, raw), 5), raw), layer.ErrInvalid, "zstd: "},
		{"zstd with a window of 2 GiB", blob(zs, wideZstd, raw), layer.ErrInvalid, "zstd: "},
		{"says zstd, is gzip", blob(zs, zipped, raw), layer.ErrInvalid, "not zstd"},
		{"says zstd, is empty", blob(zs, nil, raw), layer.ErrInvalid, "not zstd"},
		{"a media type that is no layer's", blob("application/json", zipped, raw), layer.ErrMediaType, `"application/json"`},
		{"no media type", blob("", zipped, raw), layer.ErrMediaType, `""`},

		{"another blob of the same size", is(blob(gz, zipped, raw), serve(flip(add(zipped), 4))), digest.ErrMismatch, "got sha256:"},
		{"the blob of another layer", is(blob(gz, zipped, raw), serve(gzipped(t, other))), layer.ErrSize, "bytes, not"},
		{"a blob without its last byte", is(blob(gz, zipped, raw), serve(cut(zipped, 1))), layer.ErrSize, "bytes, not"},
		{"a blob with a member more", is(blob(gz, zipped, raw), serve(add(zipped, zipped...))), layer.ErrSize, "more than"},
		{"a size that is too small", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.Descriptor.Size-- }), layer.ErrSize, "more than"},
		{"a size that is too large", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.Descriptor.Size++ }), layer.ErrSize, "bytes, not"},
		{"a plain blob without its last byte", is(plain(raw), serve(cut(raw, 1))), layer.ErrSize, "bytes, not"},
		{"the same for zstd", is(blob(zs, zstandard(t, raw), raw), func(b *layer.Blob) { b.Descriptor.Size++ }), layer.ErrSize, "bytes, not"},
		{"another digest", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.Descriptor.Digest = digest.FromBytes(nil) }), digest.ErrMismatch, "got sha256:"},
		{"no digest", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.Descriptor.Digest = digest.Digest{} }), digest.ErrMismatch, "got "},
		{"another diff ID", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.DiffID = digest.FromBytes(zipped) }), digest.ErrMismatch, "got sha256:"},
		{"no diff ID", is(blob(gz, zipped, raw), func(b *layer.Blob) { b.DiffID = digest.Digest{} }), digest.ErrMismatch, "got "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newHost(t).refuses(tt.blob, layer.Options{UserXattr: true}, tt.want, tt.reason)
		})
	}
}

// wideZstd is a frame whose window has 2 GiB, and one empty block: RFC 8878, 3.1.1.
var wideZstd = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00}

// The program is gone when Unpack returns, also when it still had much to say.
func TestZstdEnds(t *testing.T) {
	raw := append(rawHeader("bomb", '0', 64<<20), make([]byte, 64<<20)...)
	b := blob(oci.MediaTypeImageLayerZstd, zstandard(t, raw), raw)
	newHost(t).refuses(b, layer.Options{UserXattr: true, Limits: layer.Limits{Bytes: 1 << 20}}, layer.ErrLimit, "more than 1048576 bytes")
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("there are children: %d, %v", pid, err)
	}
}

func TestZstdIsMissing(t *testing.T) {
	raw := archive(t, "f a b")
	b := blob(oci.MediaTypeImageLayerZstd, zstandard(t, raw), raw)
	t.Setenv("PATH", t.TempDir())
	newHost(t).refuses(b, layer.Options{UserXattr: true}, layer.ErrNoZstd, "install it")
}

func TestOpenFails(t *testing.T) {
	broken := errors.New("broken")
	b := plain(archive(t, "f a b"))
	b.Open = func(context.Context) (io.ReadCloser, error) { return nil, broken }
	newHost(t).refuses(b, layer.Options{UserXattr: true}, broken, "broken")
}

// closing tells when it is closed.
type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error { *c.closed = true; return nil }

// A caller that gives up gets its reader closed, and nothing is left, wherever the
// layer was.
func TestCancel(t *testing.T) {
	raw := archive(t, "f a "+strings.Repeat("x", 1<<20))
	b := plain(raw)
	ctx, cancel := context.WithCancel(t.Context())
	closed := false
	b.Open = func(ctx context.Context) (io.ReadCloser, error) {
		wait := readerFunc(func([]byte) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		})
		return closing{io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), wait), &closed}, nil
	}
	h := newHost(t)
	if err := layer.Unpack(ctx, h.target(), b, layer.Options{UserXattr: true}); !errors.Is(err, context.Canceled) || !closed {
		t.Errorf("Unpack: %v; closed: %t", err, closed)
	}
	h.check()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// zeros yields n zeros.
func zeros(n int64) io.Reader {
	return io.LimitReader(readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }), n)
}

// A bomb is found while it goes off: neither its size nor its digest is known at
// the front.
func TestBombs(t *testing.T) {
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	const size = 40 << 20
	if _, err := w.Write(rawHeader("bomb", '0', size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, zeros(size+1024)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := blob(oci.MediaTypeImageLayerGzip, bomb.Bytes(), nil)
	newHost(t).refuses(b, layer.Options{UserXattr: true}, layer.ErrLimit, "more than 200 times as many")

	sparse := paxRecords('0', "GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.size", "1073741824", "GNU.sparse.numblocks", "0", "GNU.sparse.map", "")
	newHost(t).refuses(plain(sparse), layer.Options{UserXattr: true}, layer.ErrLimit, "more than 200 times as many")
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		limits       layer.Limits
		reason       string
	}{
		{"entries", "f a\nf b\nf c", layer.Limits{Entries: 3}, "more than 3 entries"}, // the root is one
		{"folders that are not listed", "f a/b/c", layer.Limits{Entries: 3}, "more than 3 entries"},
		{"bytes of one file", "f a " + strings.Repeat("x", 5000), layer.Limits{Bytes: 4999}, "more than 4999 bytes"},
		{"bytes of the tar", "f a\nf b", layer.Limits{Bytes: 1000}, "more than 1000 bytes"},
		{"depth", "f a/b/c/d", layer.Limits{Depth: 3}, "4 folders deep"},
		{"path", "f abcd", layer.Limits{Path: 3}, "name of 4 bytes"},
		{"records", "f \xffé", layer.Limits{Records: 3}, "bytes of PAX records"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newHost(t).refuses(plain(archive(t, tt.script)), layer.Options{UserXattr: true, Limits: tt.limits}, layer.ErrLimit, tt.reason)
		})
	}
	t.Run("layers", func(t *testing.T) {
		h := newHost(t)
		b := plain(archive(t, "f a"))
		layers := make([]layer.Blob, 501)
		for i := range layers {
			layers[i] = b
		}
		if err := layer.Flatten(t.Context(), h.target(), layers, layer.Options{}); !errors.Is(err, layer.ErrLimit) {
			t.Error(err)
		}
		h.check()
	})
}

// As many entries as there may be, and one more.
func TestEntriesAtTheLimit(t *testing.T) {
	h := newHost(t)
	b := plain(archive(t, "f a\nf b/c"))
	if err := layer.Unpack(t.Context(), h.target(), b, layer.Options{UserXattr: true, Limits: layer.Limits{Entries: 4}}); err != nil {
		t.Fatal(err)
	}
	wantTree(t, h.target(), "f a\nd b\nf b/c")
}

// Whatever a layer announces, memory stays. The headers come from a pipe that never
// ends, so nothing but a limit ends this.
func TestMemoryIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		front []byte
		more  string
	}{
		{"a PAX record of a gigabyte", rawHeader("pax", 'x', 1<<30), "x"},
		{"a million attributes", rawHeader("pax", 'x', 1<<30), record("SCHILY.xattr.user.a", "b")},
		{"a sparse map of ten million entries", sparseMap(), "1\n"},
		{"a long name of GNU tar", rawHeader("././@LongLink", 'L', 1<<30), "a/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			b := plain(nil)
			b.Descriptor.Size = 1 << 40
			b.Open = func(context.Context) (io.ReadCloser, error) {
				more := []byte(strings.Repeat(tt.more, 4096))
				endless := readerFunc(func(p []byte) (int, error) { return copy(p, more), nil })
				return io.NopCloser(io.MultiReader(bytes.NewReader(tt.front), endless)), nil
			}
			before := resetPeak(t)
			h.refuses(b, layer.Options{UserXattr: true}, layer.ErrInvalid, "")
			if grown := peak(t) - before; grown > 64<<10 {
				t.Errorf("memory grew by %d KiB", grown)
			}
		})
	}
}

func sparseMap() []byte {
	raw := paxRecords('0', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "99", "size", "1073741824")
	return append(raw[:len(raw)-1024], "10000000\n"...)
}

// resetPeak makes peak count from what the process has now, which it returns.
func resetPeak(t *testing.T) (kib int) {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return peak(t)
}

// peak is the most memory that the process has had, in KiB.
func peak(t *testing.T) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	for _, c := range strings.TrimSpace(after) {
		if c < '0' || c > '9' {
			break
		}
		kib = kib*10 + int(c-'0')
	}
	return kib
}
