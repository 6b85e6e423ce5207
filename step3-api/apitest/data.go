package apitest

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// freshName is a repository that no run has used before.
func freshName(last string) string {
	return "apitest/" + strings.ToLower(rand.Text()) + "/" + last
}

// fresh is content that no run has used before, led by text.
func fresh(text string) string { return text + " " + rand.Text() }

func sha256Of(content string) string { return digest.SHA256.FromBytes([]byte(content)).String() }
func sha512Of(content string) string { return digest.SHA512.FromBytes([]byte(content)).String() }

// paths of a repository.
func uploadsOf(name string) string           { return "/v2/" + name + "/blobs/uploads/" }
func blobOf(name, d string) string           { return "/v2/" + name + "/blobs/" + d }
func manifestOf(name, ref string) string     { return "/v2/" + name + "/manifests/" + ref }
func tagsOf(name string) string              { return "/v2/" + name + "/tags/list" }
func referrersOf(name, digest string) string { return "/v2/" + name + "/referrers/" + digest }

// at is the wanted value of a Location that leads to path, relative or absolute.
func at(path string) string { return "~(https?://[^/]+)?(/.+)?" + regexp.QuoteMeta(path) }

// sessionAt is the wanted value of a Location that leads to an upload session.
func sessionAt(name string) string {
	return at(uploadsOf(name)) + `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\?.*)?`
}

// start opens an upload session and saves it as {upload}.
func start(name string) Exchange {
	return Exchange{Name: "start", Method: "POST", Target: uploadsOf(name), Status: 202,
		Want: map[string]string{"Location": sessionAt(name)}, Save: map[string]string{"Location": "upload"}}
}

// pushBlob uploads content in one request.
func pushBlob(name, content string) Exchange {
	d := sha256Of(content)
	return Exchange{Name: "push blob", Method: "POST", Target: uploadsOf(name) + "?digest=" + d, Body: content,
		Chunked: content == "", Status: 201, Want: map[string]string{"Location": at(blobOf(name, d)), "Docker-Content-Digest": d}}
}

// pushManifest puts a document under a tag or digest.
func pushManifest(name, reference, mediaType, document string) Exchange {
	return Exchange{Name: "push " + short(reference), Method: "PUT", Target: manifestOf(name, reference),
		Header: []string{"Content-Type: " + mediaType}, Body: document, Status: 201,
		Want: map[string]string{"Docker-Content-Digest": sha256Of(document), "Location": at(manifestOf(name, sha256Of(document)))}}
}

func short(reference string) string { return reference[:min(len(reference), 15)] }

// missing wants the target not to be there.
func missing(method, target string, code ocierr.Code) Exchange {
	return Exchange{Name: method + " missing", Method: method, Target: target, Status: 404, Code: code}
}

// named gives an exchange another name, and a reason.
func (e Exchange) named(name, reason string) Exchange {
	e.Name, e.Reason = name, reason
	return e
}

// refused makes of an exchange one that is refused.
func (e Exchange) refused(status int, code ocierr.Code) Exchange {
	e.Status, e.Code, e.Want = status, code, nil
	return e
}

// descriptor is the JSON of a descriptor of content, with more fields, each led by
// a comma.
func descriptor(mediaType, content, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, sha256Of(content), len(content), more)
}

// image is an OCI image manifest, with more fields.
func image(config, layer, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, oci.MediaTypeImageManifest,
		descriptor(oci.MediaTypeImageConfig, config, ""), descriptor(oci.MediaTypeImageLayerGzip, layer, ""), more)
}

// index is an OCI index over descriptors, with more fields.
func index(more string, descriptors ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]%s}`,
		oci.MediaTypeImageIndex, strings.Join(descriptors, ","), more)
}

// tagList is the wanted answer to a request for tags.
func tagList(name string, tags ...string) string {
	return fmt.Sprintf(`{"name":%q,"tags":%s}`, name, quoted(tags))
}

func quoted(words []string) string {
	if len(words) == 0 {
		return "[]"
	}
	return `["` + strings.Join(words, `","`) + `"]`
}
