package linux

const (
	sysMemfdCreate = 319
	sysKeyctl      = 250
)
