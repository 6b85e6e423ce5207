package control

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// pair is both sides.
func pair(t *testing.T) (ours, theirs *Conn) {
	t.Helper()
	ours, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// open counts the files of this process.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestMessages(t *testing.T) {
	ours, theirs := pair(t)
	for _, m := range []Message{
		{Kind: Signal, Signal: syscall.SIGTERM},
		{Kind: Dial, ID: 1<<64 - 1, Port: 65535},
		{Kind: Failed, Code: 125, Error: "what went wrong"},
	} {
		if err := ours.Send(m, nil); err != nil {
			t.Fatal(err)
		}
		if got, file, err := theirs.Receive(); got != m || file != nil || err != nil {
			t.Errorf("%+v, %v, %v", got, file, err)
		}
	}
	if err := ours.Send(Message{Kind: Failed, Error: strings.Repeat("\x00", 1<<20)}, nil); err != nil {
		t.Fatal(err)
	}
	if m, _, err := theirs.Receive(); err != nil || len(m.Error) != mostError+len(" …") {
		t.Errorf("%d bytes, %v", len(m.Error), err)
	}
	ours.Close()
	if _, _, err := theirs.Receive(); err != io.EOF {
		t.Errorf("%v", err)
	}
}

func TestFileGoesAlong(t *testing.T) {
	ours, theirs := pair(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := ours.Send(Message{Kind: Terminal}, writer); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	_, file, err := theirs.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_GETFD, 0); flags != syscall.FD_CLOEXEC || errno != 0 {
		t.Errorf("flags %d, %v", flags, errno)
	}
	file.WriteString("through")
	file.Close()
	if raw, err := io.ReadAll(reader); string(raw) != "through" || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
}

// What is no message is an error, and leaves no files open.
func TestNoMessages(t *testing.T) {
	ours, theirs := pair(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	for _, tt := range []struct {
		name   string
		raw    string
		rights []int
		want   error
	}{
		{"no JSON", "x", nil, ErrMessage},
		{"no object", "[]", nil, ErrMessage},
		{"a port too large", `{"port":65536}`, nil, ErrMessage},
		{"too long", `{"error":"` + strings.Repeat("x", most) + `"}`, nil, ErrMessage},
		{"no JSON, with a file", "x", []int{fd}, ErrMessage},
		{"two files", "{}", []int{fd, fd}, ErrMessage},
		{"many files", "{}", []int{fd, fd, fd, fd, fd, fd, fd, fd}, ErrMessage},
	} {
		before := open(t)
		var rights []byte
		if tt.rights != nil {
			rights = syscall.UnixRights(tt.rights...)
		}
		if _, _, err := ours.socket.WriteMsgUnix([]byte(tt.raw), rights, nil); err != nil {
			t.Fatal(err)
		}
		if _, file, err := theirs.Receive(); !errors.Is(err, tt.want) || file != nil {
			t.Errorf("%s: %v, %v", tt.name, file, err)
		}
		if after := open(t); after != before {
			t.Errorf("%s: %d files are open, %d were", tt.name, after, before)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"kind":"dial","id":1,"port":80}`))
	f.Add([]byte(`{"kind":"signal","signal":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ours, theirs := pair(t)
		if len(raw) == 0 || len(raw) > 1<<16 {
			return
		}
		if _, _, err := ours.socket.WriteMsgUnix(raw, nil, nil); err != nil {
			return // too much for one packet
		}
		m, file, err := theirs.Receive()
		if file != nil || err != nil && !errors.Is(err, ErrMessage) {
			t.Fatalf("%+v, %v, %v", m, file, err)
		}
	})
}
