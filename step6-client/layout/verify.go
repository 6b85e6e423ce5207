package layout

import (
	"io"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// Verified passes r through, which should be d. Read from its start to its end, the
// bytes that would complete it come with digest.ErrMismatch in their place if it is
// not; what follows d.Size bytes is not looked at.
func Verified(r io.ReadSeekCloser, d oci.Descriptor) io.ReadSeekCloser {
	return &verified{r: r, digest: d.Digest, size: d.Size, check: digest.NewVerifier(d.Digest)}
}

type verified struct {
	r           io.ReadSeekCloser
	digest      digest.Digest
	size        int64
	at, checked int64 // where the next Read is; how many bytes from the start check has seen
	check       *digest.Verifier
	bad         error
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	if v.bad != nil {
		return 0, v.bad
	}
	if v.at >= v.size {
		if v.size == 0 {
			v.bad = v.check.Verify()
		}
		if v.bad != nil {
			return 0, v.bad
		}
		return 0, io.EOF
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.size-v.at)])
	if v.checked == v.at {
		v.check.Write(p[:n])
		if v.checked += int64(n); v.checked == v.size {
			v.bad = v.check.Verify()
		}
	}
	if v.bad != nil {
		return 0, v.bad
	}
	v.at += int64(n)
	if err == io.EOF && v.at < v.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (v *verified) Seek(offset int64, whence int) (int64, error) {
	at, err := v.r.Seek(offset, whence)
	if err != nil {
		return at, err
	}
	if v.at = at; at == 0 {
		v.check, v.checked, v.bad = digest.NewVerifier(v.digest), 0, nil
	}
	return at, nil
}

// Close implements io.Closer.
func (v *verified) Close() error { return v.r.Close() }
