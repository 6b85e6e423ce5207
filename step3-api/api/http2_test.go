package api_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step3-api/api"
)

// The frames of RFC 9113, section 6, that these tests send.
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameWindowUpdate = 8
)

// frame is one frame of HTTP/2.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = append(head, flags)
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// getRoot is the header of GET /: fields of HPACK's static table, and :authority in plain.
var getRoot = []byte{0x82, 0x84, 0x86, 0x41, 1, 'x'}

// wideGet is how a connection of HTTP/2 begins that asks for / and lets the server send
// as much as it can: it is not flow control that stops it.
func wideGet() []byte {
	const most = 1<<31 - 1
	window := binary.BigEndian.AppendUint32([]byte{0, 4}, most) // SETTINGS_INITIAL_WINDOW_SIZE
	return bytes.Join([][]byte{[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		frame(frameSettings, 0, 0, window),
		frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, most-1<<16)),
		frame(frameHeaders, 0x5, 1, getRoot), // END_STREAM, END_HEADERS
	}, nil)
}

// A client of HTTP/2 that reads nothing any more would hold its connection, and what is
// written to it, for as long as it likes: a stream's deadline ends the stream, and telling
// the client so is one more write.
func TestDeafHTTP2ClientIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		start := time.Now()
		ended := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		})
		t.Cleanup(serve(t, ln, h, api.Limits{UnencryptedHTTP2: true}))
		c := ln.client(t)
		c.send(string(wideGet()))
		io.ReadFull(c.r, make([]byte, 64)) // what the server says of itself
		if err := <-ended; err == nil || time.Since(start) != window {
			t.Errorf("the handler ends after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
		if _, err := c.Write(frame(frameWindowUpdate, 0, 0, []byte{0, 0, 0, 1})); err != io.ErrClosedPipe {
			t.Errorf("the connection is open after %v: %v", time.Since(start), err)
		}
	})
}

// Streams that are opened and reset at once (CVE-2023-44487) are work for the server and
// none for the client, so there are few at a time, and then no more.
func TestResetStreamsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		var running atomic.Int32
		release := make(chan struct{})
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { running.Add(1); <-release })
		t.Cleanup(serve(t, ln, h, api.Limits{UnencryptedHTTP2: true}))
		c := ln.client(t)
		go io.Copy(io.Discard, c)
		c.Write(wideGet())
		for id := uint32(3); id < 2000; id += 2 {
			c.Write(append(frame(frameHeaders, 0x5, id, getRoot), frame(frameReset, 0, id, []byte{0, 0, 0, 8})...))
		}
		time.Sleep(2 * time.Second) // the server says why, and waits for a second
		if n := running.Load(); n != 100 {
			t.Errorf("%d handlers run", n)
		}
		if _, err := c.Write(frame(frameWindowUpdate, 0, 0, []byte{0, 0, 0, 1})); err != io.ErrClosedPipe {
			t.Errorf("after a thousand streams the connection is open: %v", err)
		}
		close(release)
	})
}
