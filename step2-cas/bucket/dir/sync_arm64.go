package dir

// The syscall package has a name for it here, but not on amd64.
const sysSyncfs = 267
