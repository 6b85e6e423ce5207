package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"shibafu.dev/step2-cas/bucket"
)

// writeBackEvery is after how many bytes the kernel is asked to start writing them to
// the disk, so that the sync at the end has little left to do.
const writeBackEvery = 8 << 20

// Append implements bucket.Upload.
func (u *upload) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if err := u.usable(); err != nil {
		return 0, err
	}
	if offset != u.size {
		return 0, bucket.ErrOffset
	}
	if u.file == nil {
		if err := u.openFile(); err != nil {
			return 0, err
		}
	}
	buf := newBuffer()
	defer buf.release()
	var total int64
	for {
		n, readErr := r.Read(buf.bytes())
		if n > 0 {
			written, err := u.write(buf.bytes()[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		buf.filled(n)
		if readErr == io.EOF {
			return total, nil
		}
		if readErr != nil {
			return total, fmt.Errorf("%w: %w", bucket.ErrSource, readErr)
		}
		if err := ctx.Err(); err != nil {
			return total, fmt.Errorf("%w: %w", bucket.ErrSource, err)
		}
	}
}

// write adds data to the file.
func (u *upload) write(data []byte) (written int, err error) {
	trims := u.bucket.trims.Load()
	written, err = u.file.WriteAt(data, u.size)
	if err != nil && errors.Is(classify(err), bucket.ErrFull) && u.bucket.makeRoom(trims) {
		var more int
		more, err = u.file.WriteAt(data[written:], u.size+int64(written))
		written += more
	}
	u.size += int64(written)
	u.writeBack(int64(written))
	return written, classify(err)
}

// writeBack starts to write to the disk, without waiting for it, each time the
// last n bytes have completed another stretch. It is a hint and cannot fail.
func (u *upload) writeBack(n int64) {
	const syncFileRangeWrite = 2
	if end := u.size / writeBackEvery; end > (u.size-n)/writeBackEvery {
		syscall.SyncFileRange(int(u.file.Fd()), 0, end*writeBackEvery, syncFileRangeWrite)
	}
}

// Reread implements bucket.Rereader.
func (u *upload) Reread() (io.ReadCloser, error) {
	f, err := os.Open(u.path(dataFile))
	if missing(err) && u.size == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, u.size), f}, nil
}
