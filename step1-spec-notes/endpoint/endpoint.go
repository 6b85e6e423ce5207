// Package endpoint is the table of the API's endpoints: what a server routes by,
// what a client builds its requests from, and what the documentation is made of.
//
// Source: OCI distribution specification, "Endpoints". The catalog is not in it;
// it comes from Docker's registry, whose API the specification grew out of.
package endpoint

import (
	"iter"
	"net/url"
	"slices"
)

// Action is the right that a request needs.
type Action string

const (
	// Ping needs no right on a repository, only that the caller is let in.
	Ping    Action = "ping"
	Pull    Action = "pull"
	Push    Action = "push"
	Delete  Action = "delete"
	Catalog Action = "catalog"
)

// Endpoint is one method on one shape of path. Endpoints are compared by
// pointer; all there are stand in this package's table.
type Endpoint struct {
	// Name says what the endpoint does, in words: "pull blob".
	Name string
	// Methods are what it answers to, the one to route by first; GET is followed
	// by HEAD where a body can be left out.
	Methods []string
	// Pattern is the path in the syntax of http.ServeMux: "/v2/{name}/blobs/{digest}".
	Pattern string
	Action  Action
	// Variants are the rows of the specification's table that it serves, told
	// apart by the query. There is at least one; the last one is taken where no
	// other fits.
	Variants []Variant
}

// Variant is a row of the specification's table.
type Variant struct {
	// ID is the specification's: "end-4a". It is "" for what is not in it.
	ID string
	// Query names the parameters that choose this row; all must be there.
	Query []string
	// Success and Failure are the statuses that the specification names.
	Success, Failure []int
	// Section is the heading of the specification that says more.
	Section string
	// Role is one sentence on what it is for.
	Role string
}

// The endpoints.
var (
	Base = &Endpoint{"check the API", []string{"GET", "HEAD"}, "/v2/", Ping, []Variant{
		{"end-1", nil, []int{200}, []int{404, 401}, "Determining Support", "Says that this is a registry, and asks for credentials where it wants some."}}}
	PullBlob = &Endpoint{"pull blob", []string{"GET", "HEAD"}, "/v2/{name}/blobs/{digest}", Pull, []Variant{
		{"end-2", nil, []int{200, 206}, []int{404, 416}, "Pulling blobs", "Sends a layer, a config or any other blob, whole or in ranges; HEAD asks whether it is there and how large."}}}
	PullManifest = &Endpoint{"pull manifest", []string{"GET", "HEAD"}, "/v2/{name}/manifests/{reference}", Pull, []Variant{
		{"end-3", nil, []int{200}, []int{404}, "Pulling manifests", "Sends a manifest by tag or by digest; HEAD turns a tag into a digest."}}}
	StartUpload = &Endpoint{"start upload", []string{"POST"}, "/v2/{name}/blobs/uploads/", Push, []Variant{
		{"end-11", []string{"mount"}, []int{201, 202}, []int{404}, "Mounting a blob from another repository", "Takes a blob over from a repository that has it; where that cannot be, a session starts."},
		{"end-4b", []string{"digest"}, []int{201, 202}, []int{404, 400}, "Single POST", "Uploads a whole blob in one request."},
		{"end-4c", []string{"digest-algorithm"}, []int{201, 202}, []int{404, 400}, "Pushing a blob in chunks", "Opens a session for a digest of the named algorithm."},
		{"end-4a", nil, []int{202}, []int{404}, "POST then PUT", "Opens an upload session; its URL comes back as Location."}}}
	UploadChunk = &Endpoint{"upload chunk", []string{"PATCH"}, "/v2/{name}/blobs/uploads/{session}", Push, []Variant{
		{"end-5", nil, []int{202}, []int{404, 416}, "Pushing a blob in chunks", "Adds bytes at the end of a session."}}}
	FinishUpload = &Endpoint{"finish upload", []string{"PUT"}, "/v2/{name}/blobs/uploads/{session}", Push, []Variant{
		{"end-6", []string{"digest"}, []int{201}, []int{404, 400, 416}, "POST then PUT", "Adds the last bytes, if any, checks the digest and publishes the blob."}}}
	PushManifest = &Endpoint{"push manifest", []string{"PUT"}, "/v2/{name}/manifests/{reference}", Push, []Variant{
		{"end-7b", []string{"tag"}, []int{201}, []int{404, 413, 414}, "Pushing Manifests", "Stores a manifest by its digest and points several tags at it."},
		{"end-7a", nil, []int{201}, []int{404, 413}, "Pushing Manifests", "Stores a manifest, and points the tag at it if the path names one."}}}
	ListTags = &Endpoint{"list tags", []string{"GET"}, "/v2/{name}/tags/list", Pull, []Variant{
		{"end-8b", []string{"n"}, []int{200}, []int{404}, "Listing Tags", "Lists a page of the repository's tags."},
		{"end-8b", []string{"last"}, []int{200}, []int{404}, "Listing Tags", "Lists the repository's tags after one."},
		{"end-8a", nil, []int{200}, []int{404}, "Listing Tags", "Lists the repository's tags."}}}
	DeleteManifest = &Endpoint{"delete manifest or tag", []string{"DELETE"}, "/v2/{name}/manifests/{reference}", Delete, []Variant{
		{"end-9", nil, []int{202}, []int{404, 400, 405}, "Deleting tags", "Removes a tag, or by digest a manifest with all tags that point at it."}}}
	DeleteBlob = &Endpoint{"delete blob", []string{"DELETE"}, "/v2/{name}/blobs/{digest}", Delete, []Variant{
		{"end-10", nil, []int{202}, []int{404, 400, 405}, "Deleting Blobs", "Takes a blob out of the repository."}}}
	ListReferrers = &Endpoint{"list referrers", []string{"GET"}, "/v2/{name}/referrers/{digest}", Pull, []Variant{
		{"end-12b", []string{"artifactType"}, []int{200}, []int{404, 400}, "Listing Referrers", "Lists those of one type."},
		{"end-12a", nil, []int{200}, []int{404, 400}, "Listing Referrers", "Lists the manifests whose subject is this digest: signatures, SBOMs, attestations."}}}
	UploadStatus = &Endpoint{"upload status", []string{"GET"}, "/v2/{name}/blobs/uploads/{session}", Push, []Variant{
		{"end-13", nil, []int{204}, []int{404}, "Pushing a blob in chunks", "Says how many bytes of a session are kept, so that a cut upload can go on."}}}
	CancelUpload = &Endpoint{"cancel upload", []string{"DELETE"}, "/v2/{name}/blobs/uploads/{session}", Push, []Variant{
		{"end-14", nil, []int{204}, []int{404, 400}, "Cancel a blob upload", "Ends a session and frees its bytes."}}}
	ListCatalog = &Endpoint{"list repositories", []string{"GET"}, "/v2/_catalog", Catalog, []Variant{
		{"", nil, []int{200}, []int{401}, "", "Lists the registry's repositories; Docker's API, not the specification's."}}}
)

var table = []*Endpoint{
	Base, PullBlob, PullManifest, StartUpload, UploadChunk, FinishUpload, PushManifest, ListTags,
	DeleteManifest, DeleteBlob, ListReferrers, UploadStatus, CancelUpload, ListCatalog,
}

// All lists the table in the order of the specification.
func All() iter.Seq[*Endpoint] { return slices.Values(table) }

// Variant returns the row that a request with this query falls under.
func (e *Endpoint) Variant(query url.Values) *Variant {
	for i, v := range e.Variants {
		if !slices.ContainsFunc(v.Query, func(k string) bool { return !query.Has(k) }) {
			return &e.Variants[i]
		}
	}
	return &e.Variants[len(e.Variants)-1]
}
