//go:build !race

package container_test

// In containers this program runs itself.
const product = ""
