package api_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step3-api/api"
)

// The frames of RFC 9113, section 6, that these tests send.
const (
	frameHeaders      = 1
	frameSettings     = 4
	frameWindowUpdate = 8
)

// frame is one frame of HTTP/2.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = append(head, flags)
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// wideGet is how a connection of HTTP/2 begins that asks for / and lets the server send
// as much as it can: it is not flow control that stops it.
func wideGet() []byte {
	const most = 1<<31 - 1
	window := binary.BigEndian.AppendUint32([]byte{0, 4}, most) // SETTINGS_INITIAL_WINDOW_SIZE
	// Fields of HPACK's static table, and :authority in plain.
	get := []byte{0x82, 0x84, 0x86, 0x41, 1, 'x'}
	return bytes.Join([][]byte{[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		frame(frameSettings, 0, 0, window),
		frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, most-1<<16)),
		frame(frameHeaders, 0x5, 1, get), // END_STREAM, END_HEADERS
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
