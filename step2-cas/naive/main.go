// Naive is the store that one writes first: it is kept to be broken, as the
// README of this step does. It stores what it reads under the folder that it is
// given.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/cas"
)

func main() {
	if err := put(os.Args[1], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
		os.Exit(1)
	}
}

func put(root string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	d := digest.FromBytes(data)
	file := filepath.Join(root, cas.Distribution.Key(d))
	if _, err := os.Stat(file); err == nil {
		fmt.Println("there already:", d)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	fmt.Println("stored:", d)
	return nil
}
