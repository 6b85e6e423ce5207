//go:build race

package container_test

// A program that looks for races takes a second to start, and a container starts some:
// in there the product's runs as it is.
const product = "shibafu.dev/shibafu"
