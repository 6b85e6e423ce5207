package linux

import (
	"runtime"
	"syscall"
	"testing"
)

// A thread with a new keyring has another session's keys than before: none.
func TestNewKeyring(t *testing.T) {
	ids := make(chan [2]uintptr)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its keyring
		before := session(t)
		if err := NewKeyring(); err != nil {
			t.Error(err)
		}
		ids <- [2]uintptr{before, session(t)}
	}()
	if got := <-ids; got[0] == got[1] {
		t.Errorf("the keyring is %x, as before", got[0])
	}
}

// session is the number of this thread's session keyring.
func session(t *testing.T) uintptr {
	const getID, sessionKeyring = 0, -3
	which := sessionKeyring
	id, err := call(sysKeyctl, getID, uintptr(which), 1)
	if err != nil && err != syscall.ENOKEY {
		t.Error(err)
	}
	return id
}
