package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// Manifests are the ways to push and to delete manifests and tags.
func Manifests() []Exchange {
	return slices.Concat(pushing(), tagParameters(), kinds(), conditions(), deleting(), oddNames())
}

// sample is a repository with the two blobs of an image in it.
type sample struct{ name, config, layer string }

func newSample(last string) (sample, []Exchange) {
	s := sample{freshName(last), fresh("{}"), fresh("a layer")}
	return s, []Exchange{pushBlob(s.name, s.config), pushBlob(s.name, s.layer)}
}

// image is an image of the sample's blobs, with more fields.
func (s sample) image(more string) string { return image(s.config, s.layer, more) }

// push puts a document under a tag.
func (s sample) push(tag, mediaType, document string) Exchange {
	return pushManifest(s.name, tag, mediaType, document)
}

// served wants a reference to lead to the document, with its bytes as they came.
func (s sample) served(reference, mediaType, document string) Exchange {
	return Exchange{Name: "GET " + short(reference), Method: "GET", Target: manifestOf(s.name, reference), Status: 200, WantBody: document,
		Want: map[string]string{"Content-Type": mediaType, "Docker-Content-Digest": sha256Of(document)}}
}

func pushing() []Exchange {
	s, list := newSample("pushing")
	// Bytes are kept as they came, whatever a JSON encoder would make of them.
	first := strings.Replace(s.image(""), `"layers"`, "\n\t\"layers\" ", 1) + "\n"
	second := s.image(`,"annotations":{"a":"b"}`)
	d := sha256Of(second)
	byDigest := s.push(d, oci.MediaTypeImageManifest, second).named("PUT by digest", "")
	charset := s.push("v1", oci.MediaTypeImageManifest+"; charset=utf-8", first).named("PUT with a charset", "parameters are ignored")
	untyped := s.push("untyped", "", first).named("PUT without Content-Type", "the document says what it is")
	untyped.Header = nil
	return append(list,
		s.push("v1", oci.MediaTypeImageManifest, first),
		Exchange{Name: "HEAD after PUT", Reason: "docker looks at once", Method: "HEAD", Target: manifestOf(s.name, "v1"), Status: 200},
		s.served("v1", oci.MediaTypeImageManifest, first),
		s.served(sha256Of(first), oci.MediaTypeImageManifest, first),
		byDigest, s.served(d, oci.MediaTypeImageManifest, second),
		Exchange{Name: "no tag from a digest", Method: "GET", Target: tagsOf(s.name), Status: 200, WantJSON: tagList(s.name, "v1")},
		s.push("v1", oci.MediaTypeImageManifest, second).named("move the tag", ""), s.served("v1", oci.MediaTypeImageManifest, second),
		s.served(sha256Of(first), oci.MediaTypeImageManifest, first).named("what the tag left", "stays"),
		charset, untyped, s.served("untyped", oci.MediaTypeImageManifest, first),
		s.bySHA512(first),
		Exchange{Name: "GET by sha512", Method: "GET", Target: manifestOf(s.name, sha512Of(first)), Status: 200, WantBody: first,
			Want: map[string]string{"Docker-Content-Digest": sha512Of(first)}},
	)
}

func (s sample) bySHA512(document string) Exchange {
	d := sha512Of(document)
	e := s.push(d, oci.MediaTypeImageManifest, document).named("PUT by sha512", "")
	e.Want = map[string]string{"Docker-Content-Digest": d, "Location": at(manifestOf(s.name, d))}
	return e
}

func tagParameters() []Exchange {
	s, list := newSample("tag-parameters")
	document := s.image("")
	d := sha256Of(document)
	several := s.push(d, oci.MediaTypeImageManifest, document).named("PUT with ?tag=", "one request, several tags")
	several.Target += "?tag=b&tag=a&tag=b&tag=v1.0_x-y"
	several.Want["OCI-Tag"] = "b, a, v1.0_x-y"
	wide := s.push(d, oci.MediaTypeImageManifest, document).named("PUT with ten tags", "at least ten are taken")
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprintf("t%d", i))
	}
	wide.Target += "?tag=" + strings.Join(ten, "&tag=")
	wide.Want["OCI-Tag"] = strings.Join(ten, ", ")
	sum512 := s.bySHA512(document).named("PUT by sha512 with ?tag=", "a tag can refer by any algorithm")
	sum512.Target += "?tag=long"
	sum512.Want["OCI-Tag"] = "long"
	many := several.refused(414, ocierr.Unsupported).named("PUT with too many tags", "")
	many.Target = manifestOf(s.name, d) + "?tag=x" + strings.Repeat("&tag=y", 10)
	for i := range 200 {
		many.Target += fmt.Sprintf("&tag=z%d", i)
	}
	bad := several.refused(400, ocierr.ManifestInvalid).named("PUT with a bad tag", "none of the tags is set")
	bad.Target = manifestOf(s.name, d) + "?tag=good&tag=-bad"
	return append(list, several, s.served("a", oci.MediaTypeImageManifest, document), s.served("b", oci.MediaTypeImageManifest, document),
		wide, sum512,
		Exchange{Name: "GET the tag of a sha512", Method: "GET", Target: manifestOf(s.name, "long"), Status: 200, WantBody: document,
			Want: map[string]string{"Docker-Content-Digest": sha512Of(document)}},
		many, bad, missing("GET", manifestOf(s.name, "good"), ocierr.ManifestUnknown),
		Exchange{Name: "the tags", Method: "GET", Target: tagsOf(s.name), Status: 200,
			WantJSON: tagList(s.name, slices.Concat([]string{"a", "b", "long"}, ten, []string{"v1.0_x-y"})...)})
}

// kinds are the documents that clients push besides plain images.
func kinds() []Exchange {
	s, list := newSample("kinds")
	add := func(tag, mediaType, document, reason string) {
		list = append(list, s.push(tag, mediaType, document).named("push "+tag, reason), s.served(tag, mediaType, document))
	}
	docker := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.MediaTypeDockerManifest,
		descriptor(oci.MediaTypeDockerConfig, s.config, ""), descriptor(oci.MediaTypeDockerLayerGzip, s.layer, ""))
	add("docker", oci.MediaTypeDockerManifest, docker, "Docker's schema 2 is stored as it comes")
	platform := `,"platform":{"architecture":"amd64","os":"linux"}`
	add("docker-list", oci.MediaTypeDockerManifestList, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`,
		oci.MediaTypeDockerManifestList, descriptor(oci.MediaTypeDockerManifest, docker, platform)), "so are its lists")

	plain := s.image("")
	add("plain", oci.MediaTypeImageManifest, plain, "")
	multi := index("", descriptor(oci.MediaTypeImageManifest, plain, platform), descriptor(oci.MediaTypeDockerManifest, docker, ""))
	add("index", oci.MediaTypeImageIndex, multi, "")
	add("nested", oci.MediaTypeImageIndex, index("", descriptor(oci.MediaTypeImageIndex, multi, "")), "an index of an index")
	add("empty-index", oci.MediaTypeImageIndex, index(""), "")
	add("cache", oci.MediaTypeImageIndex, index("", descriptor(oci.MediaTypeImageLayerGzip, s.layer, ""),
		descriptor("application/vnd.buildkit.cacheconfig.v0", s.config, "")), "build caches are indexes of blobs")
	add("artifact", oci.MediaTypeImageManifest, s.image(`,"artifactType":"application/vnd.example+type"`), "")
	add("artifact-index", oci.MediaTypeImageIndex, index(`,"artifactType":"application/vnd.example+type"`), "")
	add("unknown-types", oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.MediaTypeImageManifest,
		descriptor("application/vnd.cncf.helm.config.v1+json", s.config, ""), descriptor("application/vnd.in-toto+json", s.layer, "")),
		"configs and layers of any type are bytes")
	add("no-layers", oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, oci.MediaTypeImageManifest,
		descriptor(oci.MediaTypeImageConfig, s.config, "")), "")
	add("custom-fields", oci.MediaTypeImageManifest, s.image(`,"com.example.field":{"a":[1,null]}`), "what is not known is not refused")
	add("foreign-layer", oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.MediaTypeImageManifest,
		descriptor(oci.MediaTypeImageConfig, s.config, ""),
		descriptor(oci.MediaTypeImageLayerNonDistributableGzip, fresh("elsewhere"), `,"urls":["https://example.com/layer"]`)),
		"a layer that may not be distributed need not be here")
	add("data", oci.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, oci.MediaTypeImageManifest,
		strings.Replace(emptyDescriptor, "}", `,"data":"e30="}`, 1)), "a descriptor may carry its content")
	return slices.Concat([]Exchange{pushBlob(s.name, "{}")}, list)
}

// emptyDescriptor is the descriptor of "{}".
var emptyDescriptor = descriptor(oci.MediaTypeEmptyJSON, "{}", "")

// conditions keep a client from overwriting what another one has written.
func conditions() []Exchange {
	s, list := newSample("conditions")
	first, second := s.image(""), s.image(`,"annotations":{"n":"2"}`)
	put := func(name, document, header string, refused bool) {
		e := s.push("tag", oci.MediaTypeImageManifest, document)
		if refused {
			e = e.refused(412, ocierr.Unsupported)
		}
		e.Header = append(e.Header, header)
		list = append(list, e.named(name, ""))
	}
	first1, second1 := `"`+sha256Of(first)+`"`, `"`+sha256Of(second)+`"`
	put("change what is not there", first, "If-Match: "+first1, true)
	put("change anything where there is nothing", first, "If-Match: *", true)
	put("create", first, "If-None-Match: *", false)
	put("create again", second, "If-None-Match: *", true)
	list = append(list, s.served("tag", oci.MediaTypeImageManifest, first).named("unchanged by that", ""))
	put("change another state", second, "If-Match: "+second1, true)
	put("change a state like this", second, "If-Match: W/"+first1, true) // compared strongly: RFC 9110, section 13.1.1
	put("unless it is like this", second, "If-None-Match: W/"+first1, true)
	put("change this state", second, `If-Match: "x", `+first1, false)
	put("change the state before", first, "If-Match: "+first1, true)
	put("unless it is this state", first, "If-None-Match: "+second1, true)
	put("change anything", first, "If-Match: *", false)
	etag := Exchange{Name: "the tag's state", Method: "HEAD", Target: manifestOf(s.name, "tag"), Status: 200, Want: map[string]string{"ETag": first1}}
	return append(list, etag)
}

// oddNames push to repositories whose names hold the words of the API.
func oddNames() []Exchange {
	var list []Exchange
	for _, last := range []string{"tags/list", "blobs/uploads", "manifests", "v2/x/manifests/latest", "referrers", "a/blobs/sha256"} {
		s, blobs := newSample(last)
		document := s.image("")
		list = append(append(list, blobs...),
			s.push("latest", oci.MediaTypeImageManifest, document).named("push to "+last, "no word is reserved"),
			s.served("latest", oci.MediaTypeImageManifest, document),
			Exchange{Name: "tags of " + last, Method: "GET", Target: tagsOf(s.name), Status: 200, WantJSON: tagList(s.name, "latest")},
			start(s.name), finish(s.name, s.layer, s.layer))
	}
	return list
}

func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}
