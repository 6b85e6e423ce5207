package seccomp

// call is a system call and its number on each architecture.
type call struct {
	name         string
	amd64, arm64 int
}

// none stands for the number of a call that an architecture does not have.
const none = -1

// action is what the filter does about a system call.
type action uint8

const (
	missing action = iota // ENOSYS
	refuse                // EPERM
	allow
	checkClone
	checkSocket
	checkPersonality
)

// checked lists the calls that an argument decides about.
var checked = []struct {
	call
	action
}{
	{call{"socket", 41, 198}, checkSocket},
	{call{"clone", 56, 220}, checkClone},
	{call{"personality", 135, 92}, checkPersonality},
}

// namespaces are the flags of clone(2) that make a namespace: CLONE_NEWNS, NEWCGROUP,
// NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME is none of clone's: its
// bit is part of the signal there.
const namespaces = 0x7e020000

// families are those of sockets that are refused: AF_ALG, the kernel's cryptography,
// and AF_VSOCK, which reaches the host of a virtual machine.
var families = []uint32{38, 40}

// personalities are what personality(2) may be asked for: PER_LINUX and PER_LINUX32,
// each also with UNAME26, and what asks without changing anything.
var personalities = []uint32{0, 0x8, 0x20000, 0x20008, 0xffffffff}

// architecture is what differs from one to the other.
type architecture struct {
	audit  uint32 // what the kernel calls it: AUDIT_ARCH_…
	number func(call) int
	x32    bool // it has a second set of numbers, from 1<<30
}

func amd64() architecture {
	return architecture{audit: 0xc000003e, number: func(c call) int { return c.amd64 }, x32: true}
}

func arm64() architecture {
	return architecture{audit: 0xc00000b7, number: func(c call) int { return c.arm64 }}
}

// actions returns what is done about each number, from 0 to beyond the last that is
// in a list. What is beyond is missing.
func (a architecture) actions() []action {
	var all []action
	set := func(c call, do action) {
		n := a.number(c)
		if n == none {
			return
		}
		for len(all) < n+2 {
			all = append(all, missing)
		}
		all[n] = do
	}
	for _, c := range allowed {
		set(c, allow)
	}
	for _, c := range refused {
		set(c, refuse)
	}
	for _, c := range unknown {
		set(c, missing)
	}
	for _, c := range checked {
		set(c.call, c.action)
	}
	return all
}
