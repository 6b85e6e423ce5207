package server

import (
	"os"
	"sync"
)

// logFile is a file of lines that other programs may rotate: it is opened anew when they
// say so. Its methods may be called at once from many goroutines.
type logFile struct {
	name string
	mu   sync.RWMutex
	file *os.File
}

func openLogFile(name string) (*logFile, error) {
	f, err := appendTo(name)
	if err != nil {
		return nil, err
	}
	return &logFile{name: name, file: f}, nil
}

func appendTo(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.file.Write(p)
}

// Reopen opens the file that has the name now. Where that fails, the one before goes on.
func (l *logFile) Reopen() error {
	f, err := appendTo(l.name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.file
	l.file = f
	return before.Close()
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
