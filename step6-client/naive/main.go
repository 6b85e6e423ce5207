// The naive way to pull, for the README: each blob goes into the file that has its
// name, and what is there need not be fetched again. It works until a download ends
// early, or somebody sends something else.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

type descriptor struct {
	Digest string `json:"digest"`
}

type manifest struct {
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

func get(url string) io.ReadCloser {
	resp, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	return resp.Body
}

func main() {
	repository, tag, folder := os.Args[1], os.Args[2], os.Args[3]
	var m manifest
	if err := json.NewDecoder(get(repository + "/manifests/" + tag)).Decode(&m); err != nil {
		log.Fatal(err)
	}
	for _, d := range append(m.Layers, m.Config) {
		path := filepath.Join(folder, d.Digest)
		if _, err := os.Stat(path); err == nil {
			fmt.Println(d.Digest[:19], "already there")
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(f, get(repository+"/blobs/"+d.Digest)); err != nil {
			log.Fatal("download failed")
		}
		f.Close()
		fmt.Println(d.Digest[:19], "pulled")
	}
}
