// The naive way to keep manifests, for the README: they are read into a struct and
// kept under their tags, for that is what one asks for and what one is interested
// in. It works until somebody looks at the bytes, moves a tag, or pulls.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

func main() {
	var mu sync.Mutex
	tags := map[string]manifest{}

	http.HandleFunc("PUT /v2/{name}/manifests/{tag}", func(w http.ResponseWriter, r *http.Request) {
		var m manifest
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		tags[r.PathValue("name")+":"+r.PathValue("tag")] = m
		w.WriteHeader(http.StatusCreated)
	})
	http.HandleFunc("GET /v2/{name}/manifests/{tag}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		m, ok := tags[r.PathValue("name")+":"+r.PathValue("tag")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(m)
	})

	ln, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("serving on http://%s\n", ln.Addr())
	log.Fatal(http.Serve(ln, nil))
}
