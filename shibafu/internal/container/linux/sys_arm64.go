package linux

const (
	sysMemfdCreate = 279
	sysKeyctl      = 219
)
