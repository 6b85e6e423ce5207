package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// get makes n GET requests for path over that many connections. It speaks just
// enough HTTP to cost little beside the server: the two share the machine.
func (p *process) get(path string, n, connections int) error {
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + p.addr + "\r\nAccept: " + manifestType + "\r\n\r\n")
	var left atomic.Int64
	left.Store(int64(n))
	return parallel(connections, func(int) error {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		r := bufio.NewReaderSize(conn, 64<<10)
		for left.Add(-1) >= 0 {
			if _, err := conn.Write(request); err != nil {
				return err
			}
			if err := skipResponse(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// skipResponse reads one response with a Content-Length, or in chunks.
func skipResponse(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answer is %q", status)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); textproto.CanonicalMIMEHeaderKey(string(name)) == "Content-Length" {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length >= 0 {
		_, err = r.Discard(length)
		return err
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := r.Discard(int(size) + 2); err != nil || size == 0 {
			return err
		}
	}
}

// parallel runs f in n goroutines and returns the first error.
func parallel(n int, f func(i int) error) error {
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// do makes a request and wants a status.
func (b *bench) do(method, url string, body io.Reader, length int64, contentType string, want int) (*http.Response, error) {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.ContentLength = length
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %.200s", method, url, response.Status, text)
	}
	return response, nil
}

const octets = "application/octet-stream"

// pushBlob uploads a blob: POST, PATCH and PUT, or without the PATCH.
func (b *bench) pushBlob(p *process, repo, digest string, open func() io.Reader, size int64, patch bool) error {
	response, err := b.do("POST", p.base+"/v2/"+repo+"/blobs/uploads/", nil, 0, "", 202)
	if err != nil {
		return err
	}
	at := func(location string) string {
		if strings.HasPrefix(location, "/") {
			location = p.base + location
		}
		return location
	}
	location := at(response.Header.Get("Location"))
	final, length := open(), size
	if patch {
		if response, err = b.do("PATCH", location, final, size, octets, 202); err != nil {
			return err
		}
		location, final, length = at(response.Header.Get("Location")), nil, 0
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	_, err = b.do("PUT", location+separator+"digest="+digest, final, length, octets, 201)
	return err
}

func (b *bench) pushBytes(p *process, repo string, data []byte, patch bool) (digest string, err error) {
	digest = digestOf(data)
	return digest, b.pushBlob(p, repo, digest, func() io.Reader { return bytes.NewReader(data) }, int64(len(data)), patch)
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// noise is n random bytes.
func noise(n int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	data := make([]byte, n)
	rand.NewChaCha8(seed).Read(data)
	return data
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// pushImage pushes an image whose layers have that many random bytes each, and
// returns its manifest.
func (b *bench) pushImage(p *process, repo, tag string, layers, size int, patch bool) ([]byte, error) {
	config := []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"author":"%x"}`, noise(8)))
	digest, err := b.pushBytes(p, repo, config, patch)
	if err != nil {
		return nil, err
	}
	image := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, manifestType, descriptor{"application/vnd.oci.image.config.v1+json", digest, len(config)}, nil}
	for range layers {
		layer := noise(size)
		if digest, err = b.pushBytes(p, repo, layer, patch); err != nil {
			return nil, err
		}
		image.Layers = append(image.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar", digest, size})
	}
	raw, err := json.Marshal(image)
	if err != nil {
		return nil, err
	}
	return raw, b.putManifest(p, repo, tag, raw)
}

func (b *bench) putManifest(p *process, repo, tag string, raw []byte) error {
	_, err := b.do("PUT", p.base+"/v2/"+repo+"/manifests/"+tag, bytes.NewReader(raw), int64(len(raw)), manifestType, 201)
	return err
}
