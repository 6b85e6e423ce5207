package apitest

import (
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// BadInput are lists that are asked for wrongly, names that nobody knows, and
// requests that are hardly HTTP.
func BadInput() []Exchange { return slices.Concat(badLists(), unknownNames(), forged(), badWire()) }

func badLists() []Exchange {
	name := freshName("lists")
	list := []Exchange{pushBlob(name, fresh("so that it exists"))}
	d := sha256Of("x")
	for _, target := range []string{tagsOf(name), "/v2/_catalog", referrersOf(name, d)} {
		for _, n := range []string{"-1", "abc", "1e30", "", "1.5", "+1", "0x10", "%00", "-0"} {
			list = append(list, Exchange{Name: fmt.Sprintf("n=%s of %s", n, target[strings.LastIndexByte(target[:12], '/'):]), Reason: "n is a number that is not negative",
				Method: "GET", Target: target + "?n=" + n, Status: 400, Code: ocierr.Unsupported})
		}
	}
	for what, digest := range map[string]string{"short": "sha256:ab", "of an unknown algorithm": "md5:" + strings.Repeat("ab", 16), "a tag": "latest"} {
		list = append(list, Exchange{Name: "referrers of a digest " + what, Method: "GET", Target: referrersOf(name, digest), Status: 400, Code: ocierr.DigestInvalid})
	}
	return append(list, Exchange{Name: "referrers after what is no digest", Method: "GET", Target: referrersOf(name, d) + "?last=x", Status: 400, Code: ocierr.DigestInvalid})
}

func unknownNames() []Exchange {
	var list []Exchange
	d := sha256Of(fresh("x"))
	for _, name := range []string{freshName("unknown"), freshName("tags/list"), freshName("blobs/uploads"), freshName("manifests")} {
		list = append(list, missing("GET", tagsOf(name), ocierr.NameUnknown).named("tags of unknown "+name[35:], ""))
	}
	name := freshName("unknown")
	return append(list,
		missing("GET", manifestOf(name, "latest"), ocierr.NameUnknown), missing("HEAD", manifestOf(name, "latest"), ocierr.NameUnknown),
		missing("GET", manifestOf(name, d), ocierr.NameUnknown),
		missing("GET", blobOf(name, d), ocierr.NameUnknown), missing("HEAD", blobOf(name, d), ocierr.NameUnknown),
	)
}

// forged are headers that try to send other clients elsewhere.
func forged() []Exchange {
	name := freshName("forged")
	var list []Exchange
	for _, header := range []string{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "Forwarded: host=evil.example",
		"X-Forwarded-Prefix: /evil", "X-Original-URL: /evil", "X-Rewrite-URL: /evil"} {
		list = append(list, Exchange{Name: header, Reason: "a Location is relative, as any client can send any header", Method: "POST", Target: uploadsOf(name),
			Header: []string{header}, Status: 202, Want: map[string]string{"Location": "~/v2/" + name + "/blobs/uploads/.*"}})
	}
	override := missing("GET", manifestOf(name, "latest"), ocierr.NameUnknown).named("X-HTTP-Method-Override", "the method is that of the request line")
	override.Header = []string{"X-HTTP-Method-Override: DELETE"}
	return append(list, override)
}

// badWire is HTTP that two readers could take for two things. What cannot be
// parsed is answered by the HTTP server itself, and the connection ends.
func badWire() []Exchange {
	name, content := freshName("wire"), "hello"
	refused := func(what, reason, request string, status int) Exchange {
		return Exchange{Name: what, Reason: reason, Raw: request, Unparsed: true, Status: status}
	}
	both := patch(name, "", 5).named("both Transfer-Encoding and Content-Length", "the chunks count: RFC 9112, section 6.1")
	both.Raw = raw("PATCH", "{upload}", "5\r\nhello\r\n0\r\n\r\n", "Content-Length: 3", "Transfer-Encoding: chunked")
	folded := Exchange{Name: "folded header", Reason: "RFC 9112, section 5.2: a line that is folded counts as one", Raw: raw("GET", "/v2/", "", "X-Folded: a\r\n b"), Status: 200}
	bareLF := both.refused(400, ocierr.BlobUploadInvalid).named("chunk ended by a bare LF", "RFC 9112, section 7.1")
	bareLF.Raw, bareLF.Save = raw("PATCH", "{upload}", "5\nhello\n0\n\n", "Transfer-Encoding: chunked"), nil
	badSize := bareLF.named("chunk of no size", "")
	badSize.Raw = raw("PATCH", "{upload}", "zz\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
	return []Exchange{
		start(name), both, finish(name, content, ""),
		refused("two Content-Lengths", "RFC 9112, section 6.3", raw("PUT", manifestOf(name, "x"), "{}", "Content-Length: 2", "Content-Length: 3"), 400),
		refused("negative Content-Length", "", raw("PUT", manifestOf(name, "x"), "", "Content-Length: -1"), 400),
		refused("Content-Length with a sign", "", raw("PUT", manifestOf(name, "x"), "{}", "Content-Length: +2"), 400),
		refused("unknown transfer coding", "RFC 9112, section 6.1", raw("PUT", manifestOf(name, "x"), "", "Transfer-Encoding: xchunked"), 501),
		refused("two transfer codings", "", raw("PUT", manifestOf(name, "x"), "", "Transfer-Encoding: gzip, chunked"), 501),
		refused("space before the colon", "RFC 9112, section 5.1", raw("GET", "/v2/", "", "Foo : bar"), 400),
		refused("NUL in a header", "", raw("GET", "/v2/", "", "Foo: a\x00b"), 400),
		refused("no Host", "RFC 9112, section 3.2", "GET {base}/v2/ HTTP/1.1\r\n\r\n", 400),
		refused("two Hosts", "RFC 9112, section 3.2", raw("GET", "/v2/", "", "Host: other"), 400),
		refused("no HTTP", "", "SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
		refused("HTTP of no version", "", "GET /v2/ HTTP/9.9\r\nHost: {host}\r\n\r\n", 505),
		refused("bad escape", "", raw("GET", "/v2/%zz/tags/list", ""), 400),
		refused("header of 2 MiB", "", raw("GET", "/v2/", "", "X-Large: "+strings.Repeat("a", 2<<20)), 431),
		folded,
		start(name), bareLF, badSize,
		{Name: "unknown expectation", Reason: "RFC 9110, section 10.1.1", Method: "GET", Target: "/v2/", Header: []string{"Expect: miracles"}, Status: 417, Unparsed: true},
	}
}
