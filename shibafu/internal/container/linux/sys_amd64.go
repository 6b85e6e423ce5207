package linux

const sysMemfdCreate = 319
