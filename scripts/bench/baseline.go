package main

import (
	"net/http"
	"os"
	"strconv"
	"time"
)

// baseline serves what a registry serves, and nothing else: the bar that the cost
// of a request is held against. args are an address and a file.
func baseline(args []string) error {
	manifest, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/{$}", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("GET /v2/{name}/manifests/{reference}", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		h.Set("Docker-Content-Digest", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
		h.Set("Content-Length", strconv.Itoa(len(manifest)))
		w.Write(manifest)
	})
	mux.HandleFunc("GET /v2/{name}/blobs/{digest}", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(args[1])
		if err != nil {
			http.Error(w, "", http.StatusNotFound)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, f)
	})
	return http.ListenAndServe(args[0], mux)
}
