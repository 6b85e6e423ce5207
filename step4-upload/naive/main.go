// Naive is the upload server that one writes first: it is kept to be broken, as
// the README of this step does. It listens at the address that it is given.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
)

var (
	mu      sync.Mutex
	uploads = map[string][]byte{} // by session
	blobs   = map[string][]byte{} // by digest
)

func main() {
	http.HandleFunc("POST /v2/{name}/blobs/uploads/", start)
	http.HandleFunc("PATCH /v2/{name}/blobs/uploads/{id}", chunk)
	http.HandleFunc("PUT /v2/{name}/blobs/uploads/{id}", finish)
	http.HandleFunc("GET /v2/{name}/blobs/{digest}", pull)
	fmt.Println("serving on http://" + os.Args[1])
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

func start(w http.ResponseWriter, r *http.Request) {
	mu.Lock()
	defer mu.Unlock()
	id := strconv.Itoa(len(uploads) + 1)
	uploads[id] = nil
	w.Header().Set("Location", r.URL.Path+id)
	w.WriteHeader(http.StatusAccepted)
}

func chunk(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mu.Lock()
	defer mu.Unlock()
	id := r.PathValue("id")
	uploads[id] = append(uploads[id], data...)
	w.WriteHeader(http.StatusAccepted)
}

func finish(w http.ResponseWriter, r *http.Request) {
	mu.Lock()
	defer mu.Unlock()
	blobs[r.URL.Query().Get("digest")] = uploads[r.PathValue("id")]
	w.WriteHeader(http.StatusCreated)
}

func pull(w http.ResponseWriter, r *http.Request) {
	mu.Lock()
	defer mu.Unlock()
	data, found := blobs[r.PathValue("digest")]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Write(data)
}
