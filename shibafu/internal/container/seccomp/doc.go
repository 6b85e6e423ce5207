// Package seccomp is the filter of system calls that a container's processes run
// under: what nobody in a container needs cannot be called, so that a flaw of the
// kernel behind it cannot be reached either.
//
// The rules are those of the default profile of docker for a container that was
// given no capability beyond the default ones. allowed.go and refused.go list the
// calls, each once, with their numbers; table.go has what depends on arguments;
// program.go makes the kernel's program of it, and install.go sets it up.
//
// Where it is stricter than that profile: system calls of another architecture than
// the program's own (i386 and x32 on amd64, arm on arm64) kill the process, and of a
// socket's family only the 32 bits count that the kernel looks at.
//
// Source: github.com/moby/profiles, seccomp/default.json (June 2026); seccomp(2);
// the kernel's system call tables up to Linux 6.18.
package seccomp
