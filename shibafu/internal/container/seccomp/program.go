package seccomp

import "syscall"

// What a program may return. The errors carry their number in the low bits.
//
// Source: linux/seccomp.h.
const (
	returnKill  = 0x80000000 // SECCOMP_RET_KILL_PROCESS: by SIGSYS, all threads
	returnError = 0x00050000 // SECCOMP_RET_ERRNO
	returnAllow = 0x7fff0000 // SECCOMP_RET_ALLOW
)

// Where struct seccomp_data has what a program looks at. Both architectures are
// little-endian.
const (
	atNumber       = 0
	atArchitecture = 4
	atArgument     = 16 // the first one's low 32 bits
	atArgumentHigh = 20
)

const (
	x32Bit      = 0x40000000
	notANumber  = 0xffffffff // syscall(-1), which is no call of x32 either
	farthest    = 255        // how far a conditional jump goes
	loadWord    = syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS
	jumpAlways  = syscall.BPF_JMP | syscall.BPF_JA
	jumpEqual   = syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K
	jumpAtLeast = syscall.BPF_JMP | syscall.BPF_JGE | syscall.BPF_K
	jumpAnyBit  = syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K
	returnIt    = syscall.BPF_RET | syscall.BPF_K
)

// Filter returns the program for the architecture that it runs on. It decides by the
// number of a system call alone where no argument counts, so the kernel asks it once
// for each such number and remembers what is allowed (since Linux 5.11).
func Filter() []syscall.SockFilter { return native().program() }

// program is the filter for an architecture.
func (a architecture) program() []syscall.SockFilter {
	p := []syscall.SockFilter{
		load(atArchitecture),
		jump(jumpEqual, a.audit, 1, 0),
		give(returnKill),
		load(atNumber),
	}
	if a.x32 {
		p = append(p,
			jump(jumpAtLeast, x32Bit, 0, 2),
			jump(jumpEqual, notANumber, 1, 0),
			give(returnKill))
	}
	return append(p, decide(ranges(a.actions()))...)
}

// span is a range of numbers, up to the next one's first, with the same action.
type span struct {
	first uint32
	action
}

func ranges(actions []action) []span {
	var spans []span
	for n, do := range actions {
		if n == 0 || do != actions[n-1] {
			spans = append(spans, span{uint32(n), do})
		}
	}
	return spans
}

// decide finds the range of the number that is loaded by halving, and does what is
// to be done there. Nothing goes on behind it.
func decide(spans []span) []syscall.SockFilter {
	if len(spans) == 1 {
		return code(spans[0].action)
	}
	middle := len(spans) / 2
	lower, upper := decide(spans[:middle]), decide(spans[middle:])
	p := []syscall.SockFilter{jump(jumpAtLeast, spans[middle].first, len(lower), 0)}
	if len(lower) > farthest {
		p = []syscall.SockFilter{
			jump(jumpAtLeast, spans[middle].first, 0, 1),
			{Code: jumpAlways, K: uint32(len(lower))},
		}
	}
	return append(append(p, lower...), upper...)
}

// code carries out an action.
func code(do action) []syscall.SockFilter {
	switch do {
	case allow:
		return []syscall.SockFilter{give(returnAllow)}
	case refuse:
		return []syscall.SockFilter{giveError(syscall.EPERM)}
	case checkClone:
		return []syscall.SockFilter{
			load(atArgument),
			jump(jumpAnyBit, namespaces, 0, 1),
			giveError(syscall.EPERM),
			give(returnAllow),
		}
	case checkSocket:
		return among(families, giveError(syscall.EPERM), give(returnAllow))
	case checkPersonality:
		high := []syscall.SockFilter{
			load(atArgumentHigh),
			jump(jumpEqual, 0, 1, 0),
			giveError(syscall.EPERM),
		}
		return append(high, among(personalities, give(returnAllow), giveError(syscall.EPERM))...)
	}
	return []syscall.SockFilter{giveError(syscall.ENOSYS)}
}

// among does one thing if the low 32 bits of the first argument are one of values,
// and otherwise another.
func among(values []uint32, one, otherwise syscall.SockFilter) []syscall.SockFilter {
	p := []syscall.SockFilter{load(atArgument)}
	for i, v := range values {
		p = append(p, jump(jumpEqual, v, len(values)-i, 0))
	}
	return append(p, otherwise, one)
}

func load(offset uint32) syscall.SockFilter { return syscall.SockFilter{Code: loadWord, K: offset} }

// jump goes on so many instructions farther on, if the comparison with k holds or if
// it does not.
func jump(comparison uint16, k uint32, holds, otherwise int) syscall.SockFilter {
	return syscall.SockFilter{Code: comparison, Jt: uint8(holds), Jf: uint8(otherwise), K: k}
}

func give(verdict uint32) syscall.SockFilter { return syscall.SockFilter{Code: returnIt, K: verdict} }

func giveError(err syscall.Errno) syscall.SockFilter { return give(returnError | uint32(err)) }
