package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
)

// What is in each registry: an image with one layer.
const (
	repository   = "team/app"
	tag          = "v1"
	layerSize    = 32 << 20
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// fill pushes the image, and returns its layer's digest.
func (s *server) fill(authorization string) (layer string, err error) {
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	data := make([]byte, layerSize)
	for _, blob := range [][]byte{config, data} {
		if err := s.put("POST", "blobs/uploads/?digest="+digestOf(blob), "application/octet-stream", authorization, blob); err != nil {
			return "", err
		}
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		manifestType, digestOf(config), len(config), digestOf(data), len(data))
	return digestOf(data), s.put("PUT", "manifests/"+tag, manifestType, authorization, []byte(manifest))
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// put sends body and wants 201.
func (s *server) put(method, path, contentType, authorization string, body []byte) error {
	r := request(method, s.url+"/v2/"+repository+"/"+path, authorization)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", contentType)
	c := client(here, false)
	got, err := status(c, r)
	if err == nil && got != http.StatusCreated {
		err = fmt.Errorf("%s %s: %d", method, path, got)
	}
	return err
}
