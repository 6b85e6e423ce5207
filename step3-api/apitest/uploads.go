package apitest

import (
	"fmt"
	"slices"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// Uploads are the ways to push a blob. They need no more than what step 4 has.
func Uploads() []Exchange {
	return slices.Concat(postPut(), streamed(), chunked(), outOfOrder(), closed(), singlePost(), otherAlgorithms(), mounts(), foreignSession(), cut())
}

// progressAt wants a session of the repository to hold size bytes.
func progressAt(name string, size int) map[string]string {
	return map[string]string{"Location": sessionAt(name), "Range": fmt.Sprintf("0-%d", max(size-1, 0))}
}

// status asks how far {upload} is.
func status(name string, size int) Exchange {
	return Exchange{Name: fmt.Sprintf("status %d bytes", size), Method: "GET", Target: "{upload}", Status: 204, Want: progressAt(name, size)}
}

// patch adds body to {upload}, which holds size bytes then. It follows the
// Location from response to response, as clients do.
func patch(name, body string, size int, header ...string) Exchange {
	return Exchange{Name: "PATCH", Method: "PATCH", Target: "{upload}", Header: header, Body: body, Status: 202,
		Want: progressAt(name, size), Save: map[string]string{"Location": "upload"}}
}

// finish closes {upload} with the last part of content.
func finish(name, content, last string, header ...string) Exchange {
	d := sha256Of(content)
	return Exchange{Name: "PUT", Method: "PUT", Target: "{upload}?digest=" + d, Header: header, Body: last, Status: 201,
		Want: map[string]string{"Location": at(blobOf(name, d)), "Docker-Content-Digest": d}}
}

// pulled wants content to be a blob.
func pulled(name, digest, content string) []Exchange {
	size := map[string]string{"Content-Length": fmt.Sprint(len(content)), "Docker-Content-Digest": digest}
	return []Exchange{
		{Name: "HEAD what was pushed", Reason: "must be there at once", Method: "HEAD", Target: blobOf(name, digest), Status: 200, Want: size},
		{Name: "GET what was pushed", Method: "GET", Target: blobOf(name, digest), Status: 200, Want: size, WantBody: content},
	}
}

func postPut() []Exchange {
	name, content := freshName("post-put"), fresh("POST then PUT")
	first := start(name)
	first.Want = progressAt(name, 0)
	list := []Exchange{
		first,
		status(name, 0).named("status of an empty session", `"0-0", as no other form is read by all clients`),
		finish(name, content, content),
	}
	list = append(list, pulled(name, sha256Of(content), content)...)
	list = append(list,
		start(name), finish(name, content, content).named("the same again", "the bytes are there, and may come again"),
		start(name).named("start an empty blob", ""), finish(name, "", "").named("PUT of no bytes", "an empty blob is a blob"))
	list = append(list, pulled(name, sha256Of(""), "")...)
	slashless := start(name).named("start without slash", "not a redirect, which would lose the body")
	slashless.Target = uploadsOf(name)[:len(uploadsOf(name))-1]
	asForm := finish(name, content, content, "Content-Type: application/x-www-form-urlencoded").named("PUT as a form", "what curl sends unless told otherwise")
	asForm.Target += "&_state=kept&ns=docker.io"
	return append(list, slashless, asForm)
}

// streamed is how docker pushes: one PATCH whose length nobody knows.
func streamed() []Exchange {
	name, content := freshName("streamed"), fresh("one PATCH of unknown length")
	whole := patch(name, content, len(content)).named("streamed PATCH", "no Content-Length, no Content-Range")
	whole.Chunked = true
	list := []Exchange{start(name), whole, status(name, len(content)), finish(name, content, "").named("PUT without body", "")}
	return append(list, pulled(name, sha256Of(content), content)...)
}

func chunked() []Exchange {
	name, content := freshName("chunks"), "0123456789"+fresh("chunks")
	end := len(content) - 1
	list := []Exchange{
		start(name),
		patch(name, content[:5], 5, "Content-Range: 0-4"),
		patch(name, content[5:8], 8, "Content-Range: 5-7", "Content-Type: text/plain").named("PATCH as text", "any type is taken"),
		status(name, 8),
		patch(name, content[8:10], 10, "Content-Type: application/x-www-form-urlencoded").named("PATCH without Content-Range", "goes to the end"),
		patch(name, "", 10).named("empty PATCH", "adds nothing"),
		finish(name, content, content[10:], fmt.Sprintf("Content-Range: 10-%d", end)).named("PUT with the last chunk", ""),
	}
	list = append(list, pulled(name, sha256Of(content), content)...)
	return append(list,
		start(name), patch(name, "", 0).named("empty first PATCH", ""), patch(name, content[:7], 7),
		finish(name, content, content[7:]).named("PUT with the rest", "without saying where it belongs"))
}

func outOfOrder() []Exchange {
	name, content := freshName("order"), "0123456789"+fresh("order")
	refused := func(what, reason, body, contentRange string, size int) Exchange {
		e := patch(name, body, size, "Content-Range: "+contentRange).named(what, reason)
		e.Status, e.Code = 416, ocierr.BlobUploadInvalid
		return e
	}
	early := finish(name, content, content[9:], fmt.Sprintf("Content-Range: 9-%d", len(content)-1)).named("PUT leaves a gap", "")
	early.Status, early.Code, early.Want = 416, ocierr.BlobUploadInvalid, progressAt(name, 8)
	list := []Exchange{
		start(name),
		refused("first chunk not first", "the response says where the session is", content[5:10], "5-9", 0),
		patch(name, content[:5], 5, "Content-Range: 0-4"),
		refused("chunk sent twice", "a client that lost the answer learns that the bytes are there", content[:5], "0-4", 5),
		refused("chunk overlaps", "", content[3:8], "3-7", 5),
		refused("chunk leaves a gap", "", content[7:10], "7-9", 5),
		status(name, 5),
		patch(name, content[5:8], 8, "Content-Range: 5-7").named("right chunk after wrong ones", "the session lives on"),
		early,
		finish(name, content, content[8:], fmt.Sprintf("Content-Range: 8-%d", len(content)-1)),
	}
	return append(list, pulled(name, sha256Of(content), content)...)
}

// closed are sessions that were finished, cancelled or failed: nobody knows them
// any more.
func closed() []Exchange {
	name, content := freshName("closed"), fresh("closed")
	wrong := finish(name, fresh("something else"), "").refused(400, ocierr.DigestInvalid).named("PUT of another digest", "ends the session")
	cancel := Exchange{Name: "cancel", Method: "DELETE", Target: "{upload}", Status: 204}
	return slices.Concat(
		[]Exchange{start(name), finish(name, content, content).named("PUT finishes", "")}, gone(content, "finished"),
		[]Exchange{start(name), patch(name, content, len(content)), cancel}, gone(content, "cancelled"),
		[]Exchange{start(name), patch(name, content, len(content)), wrong}, gone(content, "mismatch"),
	)
}

// gone wants no method to find {upload}.
func gone(content, why string) []Exchange {
	var list []Exchange
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		e := missing(method, "{upload}", ocierr.BlobUploadUnknown).named(method+" after "+why, "")
		if method == "PUT" {
			e.Target += "?digest=" + sha256Of(content)
		}
		if method == "PATCH" || method == "PUT" {
			e.Body = content
		}
		list = append(list, e)
	}
	return list
}

func singlePost() []Exchange {
	name, content, other := freshName("single-post"), fresh("single POST"), fresh("other")
	wrong := pushBlob(name, other).refused(400, ocierr.DigestInvalid).named("single POST of another digest", "")
	wrong.Body = content
	chunked := pushBlob(name, fresh("of unknown length")).named("single POST, streamed", "")
	chunked.Chunked = true
	list := []Exchange{pushBlob(name, content).named("single POST", ""), wrong, chunked,
		missing("HEAD", blobOf(name, sha256Of(other)), "").named("HEAD what was refused", "nothing is kept of it")}
	return append(list, pulled(name, sha256Of(content), content)...)
}

// otherAlgorithms push what sha512 names.
func otherAlgorithms() []Exchange {
	name, content := freshName("sha512"), fresh("sha512")
	d := sha512Of(content)
	announced := start(name).named("start for sha512", "so that the bytes are hashed once, by the right algorithm")
	announced.Target += "?digest-algorithm=sha512"
	put := finish(name, content, content[6:])
	put.Target = "{upload}?digest=" + d
	put.Want = map[string]string{"Location": at(blobOf(name, d)), "Docker-Content-Digest": d}
	list := append([]Exchange{announced, patch(name, content[:6], 6), put.named("PUT sha512", "")}, pulled(name, d, content)...)

	late := put.named("PUT sha512 unannounced", "no byte came before, so nothing is lost")
	late.Body = content
	list = append(list, start(name), late)

	single := pushBlob(name, content).named("single POST sha512", "")
	single.Target, single.Want = uploadsOf(name)+"?digest="+d, put.Want
	wrong := single.refused(400, ocierr.DigestInvalid).named("single POST of another sha512", "")
	wrong.Body = content + "x"
	explicit := start(name).named("start for sha256", "the default may be said")
	explicit.Target += "?digest-algorithm=sha256"
	return append(list, single, wrong, explicit, finish(name, content, content))
}
