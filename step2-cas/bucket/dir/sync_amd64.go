package dir

// The syscall package has no name for it on this architecture.
const sysSyncfs = 306
