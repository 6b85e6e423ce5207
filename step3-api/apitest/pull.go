package apitest

import (
	"fmt"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// Fixture is what Pull finds in the registry: a tagged manifest, and a blob of at
// least 16 bytes.
type Fixture struct {
	Name, Tag           string
	MediaType, Manifest string
	Blob                string

	config string
}

// NewFixture is a fixture that is in no registry yet.
func NewFixture() Fixture {
	f := Fixture{Name: freshName("pull"), Tag: "v1", MediaType: oci.MediaTypeImageManifest, Blob: fresh("a layer to pull"), config: fresh("{}")}
	f.Manifest = image(f.config, f.Blob, "")
	return f
}

// Push puts a fixture of NewFixture into the registry.
func (f Fixture) Push() []Exchange {
	return []Exchange{
		pushBlob(f.Name, f.config),
		pushBlob(f.Name, f.Blob),
		pushManifest(f.Name, f.Tag, f.MediaType, f.Manifest),
	}
}

// Pull is what every registry can do. It changes nothing.
func Pull(f Fixture) []Exchange {
	list := []Exchange{
		{Name: "base", Method: "GET", Target: "/v2/", Status: 200,
			WantJSON: `{}`, Want: map[string]string{"Content-Type": "application/json"}},
		{Name: "base without slash", Reason: "a redirect would cost clients their credentials", Method: "GET", Target: "/v2", Status: 200, WantJSON: `{}`},
		{Name: "HEAD base", Method: "HEAD", Target: "/v2/", Status: 200},
		{Name: "base with a query", Reason: "unknown parameters are not looked at", Method: "GET", Target: "/v2/?ns=docker.io", Status: 200},
	}
	list = append(list, pullManifest(f)...)
	list = append(list, pullBlob(f)...)
	list = append(list, pullRanges(f)...)
	return append(list, pullMissing(f)...)
}

func pullManifest(f Fixture) []Exchange {
	d := sha256Of(f.Manifest)
	headers := map[string]string{
		"Content-Type": f.MediaType, "Content-Length": fmt.Sprint(len(f.Manifest)), "Docker-Content-Digest": d, "ETag": `"` + d + `"`,
		"X-Content-Type-Options": "nosniff", "Content-Encoding": "",
	}
	bare := map[string]string{"Docker-Content-Digest": d, "ETag": `"` + d + `"`, "Content-Length": ""}
	tag, digest := manifestOf(f.Name, f.Tag), manifestOf(f.Name, d)
	none, match := `If-None-Match: "`+d+`"`, `If-Match: "`+d+`"`
	return []Exchange{
		{Name: "manifest by tag", Method: "GET", Target: tag, Status: 200, Want: headers, WantBody: f.Manifest},
		{Name: "manifest by digest", Method: "GET", Target: digest, Status: 200, Want: headers, WantBody: f.Manifest},
		{Name: "manifest by escaped digest", Reason: "%3A is a colon", Method: "GET", Target: strings.Replace(digest, ":", "%3A", 1), Status: 200, WantBody: f.Manifest},
		{Name: "HEAD manifest by tag", Reason: "clients resolve tags so", Method: "HEAD", Target: tag, Status: 200, Want: headers},
		{Name: "HEAD manifest by digest", Method: "HEAD", Target: digest, Status: 200, Want: headers},
		{Name: "Accept on several lines", Reason: "docker sends one line for each type", Method: "GET", Target: tag, Status: 200,
			Header: []string{"Accept: application/vnd.docker.distribution.manifest.v1+json", "Accept: " + f.MediaType, "Accept: */*"}, Want: headers, WantBody: f.Manifest},
		{Name: "Accept of another type", Reason: "what is stored is never converted", Method: "GET", Target: tag, Status: 200,
			Header: []string{"Accept: text/html"}, Want: headers, WantBody: f.Manifest},
		{Name: "mirrored namespace", Reason: "containerd adds ?ns=", Method: "GET", Target: tag + "?ns=docker.io", Status: 200, Want: headers},
		{Name: "manifest If-None-Match", Method: "GET", Target: tag, Header: []string{none}, Status: 304, Want: bare},
		{Name: "manifest If-None-Match weak", Reason: "compared weakly: RFC 9110, section 13.1.2", Method: "GET", Target: tag,
			Header: []string{`If-None-Match: "x", W/"` + d + `"`}, Status: 304, Want: bare},
		{Name: "HEAD manifest If-None-Match", Method: "HEAD", Target: tag, Header: []string{none}, Status: 304, Want: bare},
		{Name: "manifest If-None-Match another", Method: "GET", Target: tag, Header: []string{`If-None-Match: "x"`}, Status: 200, WantBody: f.Manifest},
		{Name: "manifest If-Match", Method: "GET", Target: tag, Header: []string{match}, Status: 200, WantBody: f.Manifest},
		{Name: "manifest If-Match another", Method: "GET", Target: tag, Header: []string{`If-Match: "x"`}, Status: 412, Code: ocierr.Unsupported},
	}
}

func pullBlob(f Fixture) []Exchange {
	d := sha256Of(f.Blob)
	blob := blobOf(f.Name, d)
	headers := map[string]string{
		"Content-Length": fmt.Sprint(len(f.Blob)), "Docker-Content-Digest": d, "ETag": `"` + d + `"`,
		"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", "Content-Encoding": "", "Content-Range": "",
	}
	return []Exchange{
		{Name: "blob", Method: "GET", Target: blob, Status: 200, Want: headers, WantBody: f.Blob},
		{Name: "HEAD blob", Method: "HEAD", Target: blob, Status: 200, Want: headers},
		{Name: "HEAD blob with Range", Reason: "Range is defined for GET alone: RFC 9110, section 14.2", Method: "HEAD", Target: blob,
			Header: []string{"Range: bytes=0-3"}, Status: 200, Want: headers},
		{Name: "blob compressed", Reason: "a blob that is encoded has another digest", Method: "GET", Target: blob,
			Header: []string{"Accept-Encoding: zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"}, Status: 200, Want: headers, WantBody: f.Blob},
		{Name: "blob If-None-Match", Method: "GET", Target: blob, Header: []string{`If-None-Match: "` + d + `"`}, Status: 304,
			Want: map[string]string{"ETag": `"` + d + `"`}},
		{Name: "blob If-None-Match any", Method: "GET", Target: blob, Header: []string{`If-None-Match: *`}, Status: 304},
		{Name: "blob If-None-Match another", Method: "GET", Target: blob, Header: []string{`If-None-Match: "x"`}, Status: 200, WantBody: f.Blob},
		{Name: "blob If-Match another", Method: "GET", Target: blob, Header: []string{`If-Match: "x"`}, Status: 412, Code: ocierr.Unsupported},
	}
}

func pullRanges(f Fixture) []Exchange {
	d, size := sha256Of(f.Blob), len(f.Blob)
	part := func(name, reason, ranges string, first, last int) Exchange {
		return Exchange{Name: "Range " + name, Reason: reason, Method: "GET", Target: blobOf(f.Name, d), Header: []string{"Range: " + ranges},
			Status: 206, WantBody: f.Blob[first : last+1], Want: map[string]string{
				"Content-Range": fmt.Sprintf("bytes %d-%d/%d", first, last, size), "Content-Length": fmt.Sprint(last - first + 1),
				"Docker-Content-Digest": d, "ETag": `"` + d + `"`}}
	}
	whole := func(name, reason string, header ...string) Exchange {
		return Exchange{Name: "Range " + name, Reason: reason, Method: "GET", Target: blobOf(f.Name, d), Header: header,
			Status: 200, WantBody: f.Blob, Want: map[string]string{"Content-Range": ""}}
	}
	none := func(name, reason, ranges string) Exchange {
		return Exchange{Name: "Range " + name, Reason: reason, Method: "GET", Target: blobOf(f.Name, d), Header: []string{"Range: " + ranges},
			Status: 416, Code: ocierr.Unsupported, Want: map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", size)}}
	}
	tag := `"` + d + `"`
	match := part("if unchanged", "", "bytes=2-4", 2, 4)
	match.Header = append(match.Header, "If-Range: "+tag)
	list := []Exchange{
		part("single", "", "bytes=2-4", 2, 4),
		part("one byte", "both ends are included", "bytes=0-0", 0, 0),
		part("open", "how a cut download goes on", "bytes=5-", 5, size-1),
		part("open from 0", "containerd asks so to see whether ranges work", "bytes=0-", 0, size-1),
		part("suffix", "", "bytes=-5", size-5, size-1),
		part("long suffix", "cut down to the whole", "bytes=-99999999999999999999", 0, size-1),
		part("past the end", "cut down: RFC 9110, section 14.1.2", "bytes=3-99999999999999999999", 3, size-1),
		part("unit in capitals", "units are compared without case", "BYTES=2-4", 2, 4),
		match,
		whole("if changed", "If-Range does not hold", "Range: bytes=2-4", `If-Range: "x"`),
		whole("if weakly unchanged", "If-Range wants a strong tag: RFC 9110, section 13.1.5", "Range: bytes=2-4", "If-Range: W/"+tag),
		whole("if unmodified since", "there is no date to compare with", "Range: bytes=2-4", "If-Range: Mon, 01 Jan 2024 00:00:00 GMT"),
		whole("of bad syntax", "ignored: RFC 9110, section 14.2", "Range: bytes=abc"),
		whole("empty", "ignored", "Range: bytes="),
		whole("half of bad syntax", "ignored as a whole", "Range: bytes=0-1,x"),
		whole("of another unit", "ignored", "Range: items=0-1"),
		whole("too many", "bounded, so that one request cannot cost a thousand seeks", "Range: bytes=0-0"+strings.Repeat(",0-0", 1000)),
		none("behind the end", "", "bytes=999999-"),
		none("backwards", "the specification's conformance program wants it", "bytes=500-0"),
		none("of nothing", "a suffix of no bytes", "bytes=-0"),
	}
	several := whole("several", "each comes as a part of its own, in the order asked for", "Range: bytes=4-6, 0-1,-2")
	several.Status, several.WantBody = 206, ""
	several.Want = map[string]string{"Content-Type": "~multipart/byteranges; boundary=.+", "Docker-Content-Digest": d}
	several.WantParts = []string{
		fmt.Sprintf("bytes 4-6/%d: %s", size, f.Blob[4:7]),
		fmt.Sprintf("bytes 0-1/%d: %s", size, f.Blob[:2]),
		fmt.Sprintf("bytes %d-%d/%d: %s", size-2, size-1, size, f.Blob[size-2:]),
	}
	return append(list, several)
}

func pullMissing(f Fixture) []Exchange {
	absent := fresh("absent")
	var list []Exchange
	for _, method := range []string{"GET", "HEAD"} {
		list = append(list,
			missing(method, manifestOf(f.Name, "no-such-tag"), ocierr.ManifestUnknown).named(method+" missing tag", ""),
			missing(method, manifestOf(f.Name, sha256Of(absent)), ocierr.ManifestUnknown).named(method+" missing manifest", ""),
			missing(method, blobOf(f.Name, sha256Of(absent)), ocierr.BlobUnknown).named(method+" missing blob", ""),
			missing(method, blobOf(f.Name, sha512Of(absent)), ocierr.BlobUnknown).named(method+" missing sha512 blob", ""),
		)
	}
	return list
}
