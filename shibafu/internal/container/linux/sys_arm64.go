package linux

const sysMemfdCreate = 279
