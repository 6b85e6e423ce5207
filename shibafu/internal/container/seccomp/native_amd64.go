package seccomp

const sysSeccomp = 317 // the syscall package has no name for it on this architecture

func native() architecture { return amd64() }
