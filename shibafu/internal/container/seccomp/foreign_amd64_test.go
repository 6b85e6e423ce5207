package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// The same kernel answers to i386 and x32, with numbers of their own: a filter that
// did not look would be gone around. Whoever tries is killed.
func TestForeignCallsKill(t *testing.T) {
	switch what := os.Getenv("SECCOMP_TEST"); what {
	case "":
		for _, name := range []string{"x32", program386(t)} {
			_, err := again(t, nil, "TestForeignCallsKill", name)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
				t.Errorf("%s: %v, want SIGSYS", name, err)
			}
		}
	case "x32":
		runtime.LockOSThread()
		setNoNewPrivs(t)
		if err := Install(); err != nil {
			t.Fatal(err)
		}
		syscall.RawSyscall(x32Bit|syscall.SYS_GETPID, 0, 0, 0)
	default:
		runtime.LockOSThread()
		setNoNewPrivs(t)
		if err := Install(); err != nil {
			t.Fatal(err)
		}
		t.Fatal(syscall.Exec(what, []string{what}, nil))
	}
}

// program386 is a program of 64 bits that makes a call in the way of i386, and then
// ends without an error.
func program386(t *testing.T) string {
	t.Helper()
	code := []byte{
		0xb8, 20, 0, 0, 0, // mov eax, getpid of i386
		0xcd, 0x80, // int 0x80
		0xb8, 60, 0, 0, 0, // mov eax, exit
		0x31, 0xff, // xor edi, edi
		0x0f, 0x05, // syscall
	}
	const base, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	size := uint64(headers + len(code))
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + headers), uint64(64), uint64(0), // executable, x86-64, entry, program headers
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096), // one segment to load, read and execute
		code,
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
