// Naive is the registry that one writes first: it is kept to be broken, as the
// README of this step does. It listens at the address that it is given, and serves
// the files of the folder it is given: blobs/<digest>, manifests/<tag>.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	http.HandleFunc("/v2/", pull)
	fmt.Println("serving on http://" + os.Args[1])
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

func pull(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		fmt.Fprintln(w, "{}")
		return
	}
	parts := strings.SplitN(r.URL.Path, "/", 5) // "", "v2", name, kind, reference
	if len(parts) < 5 {
		http.NotFound(w, r)
		return
	}
	kind, reference := parts[3], parts[4]
	data, err := os.ReadFile(filepath.Join(os.Args[2], kind, reference))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Write(data)
}
