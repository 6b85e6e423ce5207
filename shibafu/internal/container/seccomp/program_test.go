package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// data is a system call as a filter sees it.
type data struct {
	number uint32
	audit  uint32
	args   [6]uint64
}

func (d data) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, d.number)
	b = binary.LittleEndian.AppendUint32(b, d.audit)
	b = binary.LittleEndian.AppendUint64(b, 0x7fff_dead_beef)
	for _, a := range d.args {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	return b
}

// answer runs a program as the kernel would, and tells whether the answer came
// from the number and the architecture alone.
func answer(t *testing.T, program []syscall.SockFilter, d data) (verdict uint32, constant bool) {
	t.Helper()
	b, a := d.bytes(), uint32(0)
	constant = true
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		holds := false
		switch i.Code {
		case loadWord:
			a = binary.LittleEndian.Uint32(b[i.K:])
			constant = constant && i.K < 8
			continue
		case returnIt:
			return i.K, constant
		case jumpAlways:
			pc += int(i.K)
			continue
		case jumpEqual:
			holds = a == i.K
		case jumpAtLeast:
			holds = a >= i.K
		case jumpAnyBit:
			holds = a&i.K != 0
		default:
			t.Fatalf("instruction %d: code %#x", pc, i.Code)
		}
		if holds {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	t.Fatalf("%+v: ran off the end", d)
	return 0, false
}

const (
	isAllowed = uint32(returnAllow)
	isKilled  = uint32(returnKill)
	isEPERM   = uint32(returnError | syscall.EPERM)
	isENOSYS  = uint32(returnError | syscall.ENOSYS)
)

// expected looks a system call up in the lists themselves.
func expected(a architecture, d data) uint32 {
	if d.audit != a.audit || a.x32 && d.number >= x32Bit && d.number != notANumber {
		return isKilled
	}
	has := func(c call) bool { return a.number(c) != none && uint32(a.number(c)) == d.number }
	switch {
	case slices.ContainsFunc(allowed, has):
		return isAllowed
	case slices.ContainsFunc(refused, has):
		return isEPERM
	}
	for _, c := range checked {
		if has(c.call) {
			return expectedByArgument(c.name, d.args[0])
		}
	}
	return isENOSYS
}

func expectedByArgument(name string, arg uint64) uint32 {
	granted := false
	switch name {
	case "clone":
		granted = arg&(syscall.CLONE_NEWNS|syscall.CLONE_NEWCGROUP|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC|
			syscall.CLONE_NEWUSER|syscall.CLONE_NEWPID|syscall.CLONE_NEWNET) == 0
	case "socket":
		const vsock = 40
		granted = uint32(arg) != syscall.AF_ALG && uint32(arg) != vsock
	case "personality":
		granted = arg == 0 || arg == 8 || arg == 0x20000 || arg == 0x20008 || arg == 0xffffffff
	}
	if granted {
		return isAllowed
	}
	return isEPERM
}

func architectures() map[string]architecture {
	return map[string]architecture{"amd64": amd64(), "arm64": arm64()}
}

// Every number, also with arguments that matter to the calls that have such.
func TestEveryNumber(t *testing.T) {
	args := []uint64{0, 1, 2, 8, 17, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0x40000, 0x80, 0xffffffff, 1<<63 | 38, 1<<32 | 40, 1 << 32, 1<<64 - 1}
	for bit := range 64 {
		args = append(args, 1<<bit)
	}
	for name, a := range architectures() {
		program := a.program()
		for number := range uint32(601) {
			for _, arg := range args {
				d := data{number: number, audit: a.audit, args: [6]uint64{arg, arg, 0, 1}}
				if got, _ := answer(t, program, d); got != expected(a, d) {
					t.Fatalf("%s: %d(%#x): %#x, want %#x", name, number, arg, got, expected(a, d))
				}
			}
		}
	}
}

// What can be looked up in this table by hand holds whatever the lists say.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name         string
		amd64, arm64 uint32
		arg          uint64
		want         uint32
	}{
		{"read", 0, 63, 0, isAllowed},
		{"execve", 59, 221, 0, isAllowed},
		{"exit_group", 231, 94, 0, isAllowed},
		{"chroot", 161, 51, 0, isAllowed},
		{"removexattrat, the profile's newest", 466, 466, 0, isAllowed},
		{"mount", 165, 40, 0, isEPERM},
		{"unshare of nothing", 272, 97, 0, isEPERM},
		{"setns", 308, 268, 0, isEPERM},
		{"bpf", 321, 280, 0, isEPERM},
		{"keyctl", 250, 219, 0, isEPERM},
		{"open_by_handle_at", 304, 265, 0, isEPERM},
		{"io_uring_setup", 425, 425, 0, isEPERM},
		{"userfaultfd", 323, 282, 0, isEPERM},
		{"clone3", 435, 435, 0, isENOSYS},
		{"open_tree_attr, newer than the profile", 467, 467, 0, isENOSYS},
		{"a number that no kernel has", 400, 400, 0, isENOSYS},
		{"a number of the future", 500, 500, 0, isENOSYS},
		{"-1", 0xffffffff, 0xffffffff, 0, isENOSYS},
		{"clone of a thread", 56, 220, 0x3d0f00, isAllowed},
		{"clone of a process", 56, 220, 17, isAllowed},
		{"clone with CLONE_NEWUSER", 56, 220, 0x10000000 | 17, isEPERM},
		{"clone with CLONE_NEWNS", 56, 220, 0x20000 | 17, isEPERM},
		{"clone with CLONE_NEWNET and bits above", 56, 220, 1<<40 | 0x40000000, isEPERM},
		{"socket AF_UNIX", 41, 198, 1, isAllowed},
		{"socket AF_ALG", 41, 198, 38, isEPERM},
		{"socket AF_ALG, with bits that the kernel does not look at", 41, 198, 1<<32 | 38, isEPERM},
		{"socket between the two", 41, 198, 39, isAllowed},
		{"socket AF_VSOCK", 41, 198, 40, isEPERM},
		{"personality PER_LINUX", 135, 92, 0, isAllowed},
		{"personality as a question", 135, 92, 0xffffffff, isAllowed},
		{"personality ADDR_NO_RANDOMIZE", 135, 92, 0x40000, isEPERM},
		{"personality with bits above", 135, 92, 1 << 32, isEPERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, a := range architectures() {
				number := tt.amd64
				if name == "arm64" {
					number = tt.arm64
				}
				if got, _ := answer(t, a.program(), data{number: number, audit: a.audit, args: [6]uint64{tt.arg}}); got != tt.want {
					t.Errorf("%s: %#x, want %#x", name, got, tt.want)
				}
			}
		})
	}
}

func TestForeignArchitectures(t *testing.T) {
	for _, tt := range []struct {
		name string
		on   architecture
		data data
		want uint32
	}{
		{"i386 on amd64", amd64(), data{number: 3, audit: 0x40000003}, isKilled},
		{"x32's read", amd64(), data{number: x32Bit, audit: amd64().audit}, isKilled},
		{"x32's own execve", amd64(), data{number: x32Bit | 520, audit: amd64().audit}, isKilled},
		{"just above x32's bit", amd64(), data{number: x32Bit<<1 - 1, audit: amd64().audit}, isKilled},
		{"arm64 on amd64", amd64(), data{number: 63, audit: arm64().audit}, isKilled},
		{"arm on arm64", arm64(), data{number: 3, audit: 0x40000028}, isKilled},
		{"amd64 on arm64", arm64(), data{audit: amd64().audit}, isKilled},
		{"x32's bit on arm64, where it means nothing", arm64(), data{number: x32Bit | 63, audit: arm64().audit}, isENOSYS},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := answer(t, tt.on.program(), tt.data); got != tt.want {
				t.Errorf("%#x, want %#x", got, tt.want)
			}
		})
	}
}

// The kernel remembers what is allowed by the number alone, so a container mostly
// does not pay for the filter; what it asks the program for comes soon.
func TestProgramIsSmall(t *testing.T) {
	for name, a := range architectures() {
		program := a.program()
		if len(program) > 256 { // the kernel takes 4096
			t.Errorf("%s: %d instructions", name, len(program))
		}
		for _, c := range allowed {
			if n := a.number(c); n != none {
				if _, constant := answer(t, program, data{number: uint32(n), audit: a.audit}); !constant {
					t.Errorf("%s: the answer to %s depends on arguments", name, c.name)
				}
			}
		}
	}
}

// Ranges may be so many that a conditional jump does not reach.
func TestFarJumps(t *testing.T) {
	actions := make([]action, 1200)
	for n := range actions {
		actions[n] = action(n % 3)
	}
	program := decide(ranges(actions))
	program = append([]syscall.SockFilter{load(atNumber)}, program...)
	want := map[action]uint32{missing: isENOSYS, refuse: isEPERM, allow: isAllowed}
	for n := range uint32(1300) {
		do := actions[min(n, 1199)]
		if got, _ := answer(t, program, data{number: n}); got != want[do] {
			t.Fatalf("%d: %#x, want %#x", n, got, want[do])
		}
	}
}

func TestListsAreSound(t *testing.T) {
	names := map[string]bool{}
	numbers := map[string]string{}
	all := slices.Concat(allowed, refused, unknown)
	for _, c := range checked {
		all = append(all, c.call)
	}
	for _, c := range all {
		if names[c.name] {
			t.Errorf("%s is listed twice", c.name)
		}
		names[c.name] = true
		for name, a := range architectures() {
			if n := a.number(c); n != none {
				key := fmt.Sprint(name, " ", n)
				if numbers[key] != "" {
					t.Errorf("%s is %s and %s", key, c.name, numbers[key])
				}
				numbers[key] = c.name
			}
		}
	}
}

func FuzzProgram(f *testing.F) {
	f.Add(uint32(56), amd64().audit, uint64(namespaces))
	f.Add(uint32(198), arm64().audit, uint64(38))
	f.Add(uint32(x32Bit), amd64().audit, uint64(0))
	programs := map[string][]syscall.SockFilter{}
	for name, a := range architectures() {
		programs[name] = a.program()
	}
	f.Fuzz(func(t *testing.T, number, audit uint32, arg uint64) {
		for name, a := range architectures() {
			for _, d := range []data{{number: number, audit: audit}, {number: number, audit: a.audit}, {number: number % 600, audit: a.audit}} {
				d.args[0] = arg
				if got, _ := answer(t, programs[name], d); got != expected(a, d) {
					t.Errorf("%s: %+v: %#x, want %#x", name, d, got, expected(a, d))
				}
			}
		}
	})
}
