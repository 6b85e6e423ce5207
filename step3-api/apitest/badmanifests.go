package apitest

import (
	"fmt"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// BadManifests are documents that a registry must not take, as two readers would
// see two images in them, or none.
func BadManifests() []Exchange {
	s, list := newSample("bad")
	good := s.image("")
	list = append(list, s.push("good", oci.MediaTypeImageManifest, good))
	for _, bad := range badDocuments(s) {
		mediaType := bad.mediaType
		if mediaType == "" {
			mediaType = oci.MediaTypeImageManifest
		}
		list = append(list, s.push("good", mediaType, bad.document).refused(400, ocierr.ManifestInvalid).named(bad.name, bad.reason))
	}
	list = append(list, badReferencesOf(s)...)
	list = append(list, badPushes(s, good)...)
	list = append(list, s.served("good", oci.MediaTypeImageManifest, good).named("the tag after all that", "nothing happened to it"),
		Exchange{Name: "the tags after all that", Method: "GET", Target: tagsOf(s.name), Status: 200, WantJSON: tagList(s.name, "good")})
	return append(list, sizes()...)
}

type badDocument struct{ name, reason, mediaType, document string }

func badDocuments(s sample) []badDocument {
	good := s.image("")
	config, layer := descriptor(oci.MediaTypeImageConfig, s.config, ""), descriptor(oci.MediaTypeImageLayerGzip, s.layer, "")
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	size := fmt.Sprintf(`"size":%d`, len(s.layer))
	return []badDocument{
		{"empty", "", "", ""},
		{"not JSON", "", "", "hello"},
		{"array", "", "", "[]"},
		{"null", "", "", "null"},
		{"number", "", "", "1"},
		{"empty object", "", "", "{}"},
		{"half of a document", "", "", good[:len(good)/2]},
		{"two documents", "", "", good + "{}"},
		{"trailing text", "", "", good + "x"},
		{"comment", "", "", "// image\n" + good},
		{"byte order mark", "", "", "\ufeff" + good},
		{"bad UTF-8", "decoders replace it silently", "", replace(`"schemaVersion"`, `"note":"`+"\xff"+`","schemaVersion"`)},
		{"deep nesting", "", "", replace(`"schemaVersion"`, `"x":`+strings.Repeat("[", 10000)+strings.Repeat("]", 10000)+`,"schemaVersion"`)},
		{"schemaVersion 1", "", "", replace(`"schemaVersion":2`, `"schemaVersion":1`)},
		{"schemaVersion 3", "", "", replace(`"schemaVersion":2`, `"schemaVersion":3`)},
		{"schemaVersion as text", "", "", replace(`"schemaVersion":2`, `"schemaVersion":"2"`)},
		{"no schemaVersion", "", "", replace(`"schemaVersion":2,`, ``)},
		{"Docker's schema 1", "not served any more", oci.MediaTypeDockerSchema1Signed,
			`{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[],"signatures":[]}`},
		{"Docker's schema 1 as schema 2", "", oci.MediaTypeDockerManifest, `{"schemaVersion":1,"fsLayers":[]}`},
		{"layers twice", "the last one wins, or the first", "", strings.TrimSuffix(good, "}") + `,"layers":[]}`},
		{"mediaType twice", "", "", replace(`"schemaVersion"`, `"mediaType":"x","schemaVersion"`)},
		{"a key twice, escaped", "", "", strings.TrimSuffix(good, "}") + `,"\u006cayers":[]}`},
		{"digest twice in a descriptor", "", "", replace(`"digest"`, `"digest":"`+sha256Of("x")+`","digest"`)},
		{"MediaType beside mediaType", "some readers take it for the same key", "", strings.TrimSuffix(good, "}") + `,"MediaType":"x"}`},
		{"Layers beside layers", "", "", strings.TrimSuffix(good, "}") + `,"Layers":[]}`},
		{"a key in Kelvin signs", "K folds to k", "", strings.TrimSuffix(good, "}") + `,"blob` + "\u017f" + `":[]}`},
		{"layers and manifests", "an image to one reader, an index to another (CVE-2021-41190)", "", strings.TrimSuffix(good, "}") + `,"manifests":[]}`},
		{"index with a config", "same", oci.MediaTypeImageIndex, index(`,"config":` + config)},
		{"another mediaType than Content-Type", "", oci.MediaTypeDockerManifest, good},
		{"an image as an index", "", oci.MediaTypeImageIndex, good},
		{"mediaType of an index in an image", "", oci.MediaTypeImageIndex, replace(oci.MediaTypeImageManifest, oci.MediaTypeImageIndex)},
		{"untyped image as an index", "its fields contradict the Content-Type", oci.MediaTypeImageIndex, replace(`"mediaType":"`+oci.MediaTypeImageManifest+`",`, "")},
		{"as text/html", "a browser would run it", "text/html", good},
		{"mediaType text/html", "a browser would run it", "text/html", replace(oci.MediaTypeImageManifest, "text/html")},
		{"negative size", "", "", replace(size, `"size":-1`)},
		{"size that is not the blob's", "", "", replace(size, fmt.Sprintf(`"size":%d`, len(s.layer)+1))},
		{"size past all numbers", "", "", replace(size, `"size":1e99`)},
		{"size as a fraction", "", "", replace(size, `"size":1.5`)},
		{"size as text", "", "", replace(size, `"size":"1"`)},
		{"digest of an unknown algorithm", "", "", replace(sha256Of(s.layer), "md5:"+strings.Repeat("ab", 16))},
		{"digest that climbs out", "", "", replace(sha256Of(s.layer), "sha256:../../../../etc/passwd")},
		{"digest missing", "", "", replace(`"digest":"`+sha256Of(s.layer)+`",`, "")},
		{"config missing", "", "", replace(`"config":`+config+`,`, "")},
		{"config null", "", "", replace(`"config":`+config, `"config":null`)},
		{"layers an object", "", "", replace(`[`+layer+`]`, `{}`)},
		{"layer null", "", "", replace(`[`+layer+`]`, `[null]`)},
		{"subject a text", "", "", s.image(`,"subject":"x"`)},
		{"subject without digest", "", "", s.image(`,"subject":{"mediaType":"application/x","size":1}`)},
		{"data that is not the content", "", "", replace(size, size+`,"data":"eHl6"`)},
		{"annotations that are no texts", "", "", s.image(`,"annotations":{"a":1}`)},
	}
}

// badReferencesOf are manifests that refer to what is not there.
func badReferencesOf(s sample) []Exchange {
	refused := func(what, mediaType, document string) Exchange {
		return s.push("good", mediaType, document).refused(400, ocierr.ManifestBlobUnknown).named(what, "what it refers to was not pushed")
	}
	return []Exchange{
		refused("missing layer", oci.MediaTypeImageManifest, image(s.config, fresh("x"), "")),
		refused("missing config", oci.MediaTypeImageManifest, image(fresh("x"), s.layer, "")),
		refused("missing child", oci.MediaTypeImageIndex, index("", descriptor(oci.MediaTypeImageManifest, fresh("x"), ""))),
	}
}

func badPushes(s sample, good string) []Exchange {
	zipped := s.push("good", oci.MediaTypeImageManifest, good).refused(415, ocierr.Unsupported).named("Content-Encoding: gzip", "the digest would be that of other bytes")
	zipped.Header = append(zipped.Header, "Content-Encoding: gzip")
	cut := Exchange{Name: "PUT cut", Reason: "half a document is none", Raw: raw("PUT", manifestOf(s.name, "good"), good[:20],
		"Content-Type: "+oci.MediaTypeImageManifest, fmt.Sprintf("Content-Length: %d", len(good))), Status: 400, Code: ocierr.ManifestInvalid}
	cutChunk := cut.named("PUT cut between chunks", "")
	cutChunk.Raw = raw("PUT", manifestOf(s.name, "good"), fmt.Sprintf("%x\r\n%s\r\n", len(good), good),
		"Content-Type: "+oci.MediaTypeImageManifest, "Transfer-Encoding: chunked")
	other := func(what, digest string) Exchange {
		return s.push(digest, oci.MediaTypeImageManifest, good).refused(400, ocierr.DigestInvalid).named("PUT by "+what, "")
	}
	badTag := s.push("-bad", oci.MediaTypeImageManifest, good).refused(404, ocierr.ManifestUnknown).named("PUT by what cannot be a tag", "no manifest can have that name")
	badName := pushManifest("a/../b", "v1", oci.MediaTypeImageManifest, good).refused(400, ocierr.NameInvalid).named("PUT to a name with dots", "a redirect would push it elsewhere")
	twoSlashes := pushManifest("a//b", "v1", oci.MediaTypeImageManifest, good).refused(400, ocierr.NameInvalid).named("PUT to a name with two slashes", "a redirect would push it elsewhere")
	return []Exchange{zipped, cut, cutChunk,
		other("another digest", sha256Of("x")), other("another sha512", sha512Of("x")), other("a short digest", "sha256:ab"), other("no digest", "sha256:baddigeststring"),
		badTag, badName, twoSlashes}
}

// sizes are manifests as large as they may be, and one byte more.
func sizes() []Exchange {
	const most = 4 << 20
	s, list := newSample("sizes")
	padded := func(size int) string {
		empty := s.image(`,"annotations":{"padding":""}`)
		return s.image(`,"annotations":{"padding":"` + strings.Repeat("x", size-len(empty)) + `"}`)
	}
	large := s.push("large", oci.MediaTypeImageManifest, padded(most)).named("4 MiB", "every registry takes them")
	streamed := s.push("streamed", oci.MediaTypeImageManifest, padded(most)).named("4 MiB of unknown length", "")
	tooLarge := s.push("huge", oci.MediaTypeImageManifest, padded(most+1)).refused(413, ocierr.ManifestInvalid).named("a byte more", "")
	tooLong := tooLarge.named("a byte more than 4 MiB of unknown length", "")
	streamed.Chunked, tooLong.Chunked = true, true
	return append(list, large, s.served("large", oci.MediaTypeImageManifest, padded(most)), streamed, tooLarge, tooLong,
		missing("GET", manifestOf(s.name, "huge"), ocierr.ManifestUnknown))
}
