package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The frames of RFC 9113, section 6, and their flags that are sent here.
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameWindowUpdate = 8
	frameContinuation = 9

	endStream  = 1
	endHeaders = 4

	widest = 1<<31 - 1 // a window
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = append(head, flags)
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// get is the header of a GET, in HPACK without compression (RFC 7541): fields of the
// static table, and two values.
func get(path string) []byte {
	return bytes.Join([][]byte{{0x82, 0x87, 0x41, 8}, []byte("registry"), {0x04}, hpackString(path)}, nil)
}

// hpackString is a string that is shorter than 16 KiB.
func hpackString(s string) []byte {
	if len(s) < 127 {
		return append([]byte{byte(len(s))}, s...)
	}
	n := len(s) - 127
	length := []byte{127}
	for ; n >= 128; n /= 128 {
		length = append(length, byte(n%128)|128)
	}
	return append(append(length, byte(n)), s...)
}

// hello is how a client of HTTP/2 begins that lets the server send as much as it can.
func hello() []byte {
	return bytes.Join([][]byte{
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		frame(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, widest)),
		frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, widest-1<<16)),
	}, nil)
}

// http2 makes a connection speak HTTP/2 over TLS.
func http2(c net.Conn) (*tls.Conn, error) {
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	c.SetDeadline(time.Now().Add(10 * time.Second))
	defer c.SetDeadline(time.Time{})
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	if got := t.ConnectionState().NegotiatedProtocol; got != "h2" {
		return nil, fmt.Errorf("the server speaks %q", got)
	}
	_, err := t.Write(hello())
	return t, err
}

// deaf is clients of HTTP/2 that ask for blobs and read nothing: not flow control stops
// the server, but the connection.
func (a *abuse) deaf() (string, error) {
	return a.secure(func(s *server, blob string) (string, error) {
		const n = 50 // what the kernel keeps for each is some MiB
		// To say goodbye over TLS may take as long as package tls gives it.
		const goodbye = 5 * time.Second
		lives, err := s.gather(crowd{name: "deaf clients", n: n, within: window + goodbye, buffer: 4 << 10, behave: func(c net.Conn, _ int) {
			t, err := http2(c)
			if err != nil {
				return
			}
			for id := range uint32(4) {
				t.Write(frame(frameHeaders, endStream|endHeaders, 2*id+1, get("/v2/"+repository+"/blobs/"+blob)))
			}
			time.Sleep(2 * (window + goodbye))
		}})
		return fmt.Sprintf("%d clients of HTTP/2 that read nothing are gone after %s", n, seconds(lives[0])), err
	})
}

// resets is streams that are reset as soon as they are opened (CVE-2023-44487).
func (a *abuse) resets() (string, error) {
	return a.secure(func(s *server, _ string) (string, error) {
		const connections, most = 8, 3 * time.Second
		header := get("/v2/" + repository + "/manifests/" + tag)
		var streams, refused atomic.Int64
		err := s.each(connections, func(t *tls.Conn) {
			go io.Copy(io.Discard, t)
			end := time.Now().Add(most)
			for id := uint32(1); time.Now().Before(end) && id < widest; {
				var batch []byte
				for range 100 {
					batch = append(batch, frame(frameHeaders, endStream|endHeaders, id, header)...)
					batch = append(batch, frame(frameReset, 0, id, []byte{0, 0, 0, 8})...) // CANCEL
					id += 2
				}
				if _, err := t.Write(batch); err != nil {
					refused.Add(1)
					return
				}
				streams.Add(100)
				time.Sleep(10 * time.Millisecond)
			}
		})
		return fmt.Sprintf("%d streams reset over %d connections in %v, of which the server has cut %d", streams.Load(), connections, most, refused.Load()), err
	})
}

// continuation is headers that never end (CVE-2023-45288).
func (a *abuse) continuation() (string, error) {
	return a.secure(func(s *server, _ string) (string, error) {
		const connections, most = 8, 64 << 20
		field := append([]byte{0x00}, append(hpackString("x-field"), hpackString(string(bytes.Repeat([]byte{'x'}, 16000)))...)...)
		var sent, endless atomic.Int64
		err := s.each(connections, func(t *tls.Conn) {
			go io.Copy(io.Discard, t)
			t.SetDeadline(time.Now().Add(10 * time.Second))
			t.Write(frame(frameHeaders, endStream, 1, get("/v2/")))
			for n := 0; n < most; n += len(field) {
				if _, err := t.Write(frame(frameContinuation, 0, 1, field)); err != nil {
					return
				}
				sent.Add(int64(len(field)))
			}
			endless.Add(1)
		})
		if n := endless.Load(); err == nil && n > 0 {
			err = fmt.Errorf("%d of %d may send headers without end", n, connections)
		}
		return fmt.Sprintf("%d connections are cut after %.1f MiB of header each", connections, float64(sent.Load())/connections/(1<<20)), err
	})
}

// each runs f on so many connections at once, each from its own address.
func (s *server) each(n int, f func(t *tls.Conn)) error {
	var all sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		all.Go(func() {
			c, err := s.dial(address(0, i), 0)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			t, err := http2(c)
			if err != nil {
				errs <- err
				return
			}
			f(t)
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}
