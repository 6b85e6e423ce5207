package seccomp

import "syscall"

const sysSeccomp = syscall.SYS_SECCOMP

func native() architecture { return arm64() }
