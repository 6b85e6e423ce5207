package layer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// zstdMemory bounds the window, and with it the memory of the program. It is what
// the program itself takes for the most, and what its level 22 makes.
const zstdMemory = "--memory=128MB"

// startZstd decompresses src by the program zstd: the standard library cannot. The
// program gets no environment, and its input only through a pipe. It ends with ctx;
// the caller calls wait in any case.
func startZstd(ctx context.Context, src fallible) (*zstd, error) {
	program, err := exec.LookPath("zstd")
	if err != nil {
		return nil, ErrNoZstd
	}
	in := bufio.NewReader(src)
	if magic, err := in.Peek(4); err != nil && err != io.EOF {
		return nil, err
	} else if !isZstd(magic) {
		// The program would unpack gzip, xz and lz4 as well.
		return nil, invalid("not zstd, though its media type says so")
	}
	z := &zstd{source: src}
	z.cmd = exec.CommandContext(ctx, program, "--decompress", "--stdout", "--quiet", zstdMemory)
	z.cmd.Env, z.cmd.Stdin, z.cmd.Stderr = []string{}, in, &z.said
	z.cmd.WaitDelay = time.Second // for a blob that hangs although its context has ended
	z.wait = sync.OnceValue(z.cmd.Wait)
	if z.out, err = z.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return z, z.cmd.Start()
}

// fallible is a reader that remembers why it failed: the program only knows that it got
// no more.
type fallible interface {
	io.Reader
	failure() error
}

// isZstd tells whether a frame begins so, one with content or one to be skipped.
//
// Source: RFC 8878, 3.1.
func isZstd(magic []byte) bool {
	if len(magic) < 4 {
		return false
	}
	n := binary.LittleEndian.Uint32(magic)
	return n == 0xfd2fb528 || n&^0xf == 0x184d2a50
}

type zstd struct {
	cmd    *exec.Cmd
	source fallible
	out    io.Reader
	said   bytes.Buffer
	wait   func() error
}

// Read reaches the end only if the program says that all was well.
func (z *zstd) Read(p []byte) (int, error) {
	n, err := z.out.Read(p)
	if err == nil {
		return n, nil
	}
	ended := z.wait()
	var exit *exec.ExitError
	switch {
	case z.source.failure() != nil && z.source.failure() != io.EOF:
		return n, z.source.failure()
	case errors.As(ended, &exit):
		return n, invalid("zstd: %.200s", strings.TrimSpace(z.said.String()))
	case ended != nil:
		return n, fmt.Errorf("zstd: %w", ended)
	}
	return n, err
}
