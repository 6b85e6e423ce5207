package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
)

// The naive ways that the README shows, with what comes of them.

func Example_naiveRoute() {
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/{name}/manifests/{tag}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "pushed to "+r.PathValue("name"))
	})
	for _, path := range []string{
		"/v2/alpine/manifests/1",
		"/v2/library/alpine/manifests/1",
		"/v2/alpine/../secret/manifests/1",
		"/v2/%2e%2e/manifests/1",
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("PUT", path, nil))
		fmt.Println(path, w.Code, w.Header().Get("Location")+strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// /v2/alpine/manifests/1 200 pushed to alpine
	// /v2/library/alpine/manifests/1 404 404 page not found
	// /v2/alpine/../secret/manifests/1 307 /v2/secret/manifests/1
	// /v2/%2e%2e/manifests/1 200 pushed to ..
}

func Example_naivePath() {
	asked := "sha256:../../../../../../etc/passwd"
	fmt.Println(filepath.Join("/var/lib/registry/blobs", asked))
	// Output: /etc/passwd
}

func Example_naiveJSON() {
	var manifest struct {
		Layers []string `json:"layers"`
	}
	text := `{"layers": ["what the scanner saw"], "LAYERS": ["what runs"]}`
	fmt.Println(json.Unmarshal([]byte(text), &manifest), manifest.Layers)
	// Output: <nil> [what runs]
}
