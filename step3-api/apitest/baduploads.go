package apitest

import (
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// BadUploads are sessions that are not there, chunks that do not fit, and digests
// that are none. They need no more than what step 4 has.
func BadUploads() []Exchange {
	return slices.Concat(unknownSessions(), badChunks(), badDigests())
}

func unknownSessions() []Exchange {
	name := freshName("sessions")
	list := []Exchange{pushBlob(name, fresh("so that it exists"))}
	for what, id := range map[string]string{
		"unknown": "00000000-0000-4000-8000-000000000000", "no UUID": "x", "in capitals": "ABCDEF00-0000-4000-8000-000000000000",
		"climbing out": "..%2f..%2fetc", "dots": "%2e%2e", "NUL": "%00",
	} {
		for _, e := range gone("x", "a session "+what) {
			e.Target = strings.Replace(e.Target, "{upload}", uploadsOf(name)+id, 1)
			list = append(list, e)
		}
	}
	return list
}

func badChunks() []Exchange {
	name, content := freshName("chunks"), "0123456789"+fresh("bad chunks")
	var list []Exchange
	bad := func(what, contentRange, body string, status int, code ocierr.Code) {
		chunk := patch(name, body, 0, "Content-Range: "+contentRange).named("PATCH "+what, "")
		chunk.Status, chunk.Code = status, code
		last := finish(name, content, body, "Content-Range: "+contentRange).refused(status, code).named("PUT "+what, "the session lives on")
		list = append(list, chunk, last)
	}
	list = append(list, start(name))
	bad("of no range", "abc", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of an HTTP range", "bytes 0-4/5", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of half a range", "0-", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of a negative range", "-5--1", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of signed numbers", "+0-+4", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of spaces", "0 - 4", "hello", 400, ocierr.BlobUploadInvalid)
	bad("of two ranges", "0-4,5-9", "hello", 400, ocierr.BlobUploadInvalid)
	bad("past all numbers", "0-9223372036854775808", "hello", 400, ocierr.BlobUploadInvalid)
	bad("far past all numbers", "0-"+strings.Repeat("9", 40), "hello", 400, ocierr.BlobUploadInvalid)
	bad("up to the last number", "0-9223372036854775807", "hello", 400, ocierr.SizeInvalid)
	bad("that is shorter than its range", "0-9", "hello", 400, ocierr.SizeInvalid)
	bad("that is longer than its range", "0-1", "hello", 400, ocierr.SizeInvalid)
	bad("not at the start", "5-9", "hello", 416, ocierr.BlobUploadInvalid)
	bad("backwards", "1-0", "", 416, ocierr.BlobUploadInvalid)
	twice := patch(name, "hello", 0, "Content-Range: 0-4", "Content-Range: 0-4").named("PATCH with two Content-Ranges", "")
	twice.Status, twice.Code = 400, ocierr.BlobUploadInvalid
	streamed := patch(name, "hello", 0, "Content-Range: 0-9").named("streamed PATCH that is too short", "").refused(400, ocierr.SizeInvalid)
	streamed.Chunked = true
	return append(list, twice, status(name, 0).named("status after all that", "nothing was taken"),
		finish(name, content, content).named("PUT after all that", ""),
		start(name), streamed)
}

func badDigests() []Exchange {
	name, content := freshName("digests"), fresh("bad digests")
	list := []Exchange{start(name), patch(name, content, len(content))}
	bad := map[string]string{
		"without digest": "", "with an empty digest": "digest=", "with a short digest": "digest=sha256:ab",
		"with an old algorithm": "digest=md5:" + strings.Repeat("ab", 16), "with a digest in capitals": "digest=" + strings.ToUpper(sha256Of(content)),
		"with a path": "digest=sha256:../../etc/passwd", "with a tag": "digest=latest",
	}
	for what, query := range bad {
		put := finish(name, content, "").refused(400, ocierr.DigestInvalid).named("PUT "+what, "the session lives on")
		put.Target = "{upload}?" + query
		list = append(list, put)
		if query != "" {
			post := pushBlob(name, content).refused(400, ocierr.DigestInvalid).named("single POST "+what, "")
			post.Target = uploadsOf(name) + "?" + query
			mount := post.named("mount "+what, "")
			mount.Target = uploadsOf(name) + "?mount=" + strings.TrimPrefix(query, "digest=")
			list = append(list, post, mount)
		}
	}
	list = append(list, status(name, len(content)), finish(name, content, "").named("PUT after all that", ""))
	for _, algorithm := range []string{"md5", "sha384", "", "SHA256"} {
		e := start(name).refused(400, ocierr.DigestInvalid).named("start for "+algorithm, "an algorithm that is not supported")
		e.Target += "?digest-algorithm=" + algorithm
		e.Save = nil
		list = append(list, e)
	}
	return list
}
