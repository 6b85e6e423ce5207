package layer

import "syscall"

const (
	sysFstatat = syscall.SYS_NEWFSTATAT
	sysSyncfs  = 306 // the syscall package has no name for it on this architecture
)
