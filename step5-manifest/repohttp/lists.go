package repohttp

import (
	"net/http"
	"net/url"
	"strconv"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
)

const (
	// maxPage is how many names one answer holds, asked for or not.
	maxPage = 10_000
	// maxReferrers and maxIndex bound a page of referrers: in number, and in bytes so
	// that it stays within what clients take for a manifest.
	maxReferrers = 1_000
	maxIndex     = 3 << 20
)

// pageSize reads the parameter n. What is no number is refused; what is larger
// than a page is cut down to it.
func pageSize(query url.Values, most int) (int, error) {
	if !query.Has("n") {
		return most, nil
	}
	text := query.Get("n")
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			text = ""
			break
		}
	}
	if text == "" {
		return 0, ocierr.Unsupported.WithStatus(http.StatusBadRequest, "n: want a number that is not negative")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > most {
		return most, nil
	}
	return n, nil
}

// linkNext sets the Link header that leads to the page after last.
//
// Source: RFC 8288.
func linkNext(w http.ResponseWriter, r *http.Request, n int, last string) {
	query := url.Values{"n": {strconv.Itoa(n)}, "last": {last}}
	if filter := r.URL.Query().Get("artifactType"); filter != "" {
		query.Set("artifactType", filter)
	}
	w.Header().Set("Link", "<"+api.Location(r, api.PathOf(r))+"?"+query.Encode()+`>; rel="next"`)
}

func listTags(w http.ResponseWriter, r *http.Request, tags Tags) error {
	query := r.URL.Query()
	n, err := pageSize(query, maxPage)
	if err != nil {
		return err
	}
	name := api.PathOf(r).Name
	page, more, err := tags.Tags(r.Context(), name, query.Get("last"), n)
	if err != nil {
		return reason(err)
	}
	if more && len(page) > 0 {
		linkNext(w, r, n, page[len(page)-1])
	}
	return api.WriteJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name.String(), page})
}

func listCatalog(w http.ResponseWriter, r *http.Request, catalog Catalog) error {
	query := r.URL.Query()
	n, err := pageSize(query, maxPage)
	if err != nil {
		return err
	}
	page, more, err := catalog.Repositories(r.Context(), query.Get("last"), n)
	if err != nil {
		return reason(err)
	}
	if more && len(page) > 0 {
		linkNext(w, r, n, page[len(page)-1])
	}
	return api.WriteJSON(w, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{page})
}

func listReferrers(w http.ResponseWriter, r *http.Request, referrers Referrers) error {
	p := api.PathOf(r)
	query := r.URL.Query()
	n, err := pageSize(query, maxReferrers)
	if err != nil {
		return err
	}
	var after digest.Digest
	if last := query.Get("last"); last != "" {
		if after, err = digest.Parse(last); err != nil {
			return ocierr.DigestInvalid.With("last: " + err.Error())
		}
	}
	filter := query.Get("artifactType")
	found, more, err := referrers.Referrers(r.Context(), p.Name, p.Digest, filter, after, n, maxIndex)
	if err != nil {
		return reason(err)
	}
	if more && len(found) > 0 {
		linkNext(w, r, n, found[len(found)-1].Digest.String())
	}
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return api.WriteJSON(w, oci.MediaTypeImageIndex, oci.Index{
		SchemaVersion: oci.SchemaVersion,
		MediaType:     oci.MediaTypeImageIndex,
		Manifests:     found,
	})
}
